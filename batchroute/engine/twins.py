"""Records that ask the same: one of them is sent, and all of them get its answer once it is committed.

Answers are looked for where they are at that moment: among those that are in no part yet, which are in memory anyway;
among those that were asked for often or lately; and in the parts, through the store. So what was answered before a
kill -9 is found again, and memory stays as it is however many records ask the same.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from msgspec import Struct, structs

from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.trails import Admitted
from batchroute.io.parts import part_path, read_answers
from batchroute.io.store import Store
from batchroute.job.endpoints import VECTOR
from batchroute.routing.equals import OPINIONS, is_of_request
from batchroute.routing.fingerprints import Digest
from batchroute.routing.forms import Formed
from batchroute.routing.sightings import Sightings

PARKED: Final = 4096
"""Records at most that wait for another one without a place in the window."""
SHELVED: Final = 16_384
SHELVED_BYTES: Final = 32 << 20
"""What is kept in memory of answers that stand in parts."""

Give = Callable[[Admitted, Result], None]
"""Brings a record to the result that an equal one has."""


class _Led(Struct):
    """A request that is on its way, and the records that wait for its end."""

    followers: list[Admitted] = []
    waiting: asyncio.Event | None = None
    failures: int = 0
    result: Result | None = None

    async def over(self) -> None:
        if self.waiting is None:
            self.waiting = asyncio.Event()
        await self.waiting.wait()


class _Shelf:
    """Answers by digest, those that were asked for longest ago dropped first."""

    def __init__(self) -> None:
        self._results: OrderedDict[Digest, Result] = OrderedDict()
        self._bytes = 0

    def get(self, digest: Digest) -> Result | None:
        result = self._results.get(digest)
        if result is not None:
            self._results.move_to_end(digest)
        return result

    def put(self, digest: Digest, result: Result) -> None:
        if digest in self._results:
            return
        self._results[digest] = result
        self._bytes += _size(result)
        while len(self._results) > SHELVED or self._bytes > SHELVED_BYTES:
            self._bytes -= _size(self._results.popitem(last=False)[1])


def _size(result: Result) -> int:
    vector = entries.vector_of(result)
    return len(result.response or "") + len(result.error_message or "") + len(vector or b"")


class Twins:
    """What was asked in this dataset, and what is being asked."""

    def __init__(
        self, *, directory: Path, store: Store, give: Give, forms: Mapping[str, Formed], vectors: bool
    ) -> None:
        """`forms` are those that answers must have, by route; `vectors`: whether vectors are asked for."""
        self._directory, self._store, self._give = directory, store, give
        self._forms, self._vectors = forms, vectors
        self._led: dict[Digest, _Led] = {}
        self._asking: dict[str, _Led] = {}
        """The same by the id of the record that asks for all."""
        self._parked = 0
        self._recent: dict[Digest, Result] = {}
        self._leaving: dict[Digest, Result] = {}
        """Answers in the journal: those since an export began, and those that it moves into a part."""
        self._shelf = _Shelf()
        self._sightings = Sightings()
        """All of which an answer is known, wherever it is."""
        self._looked_back = False

    # What is known

    def learn(self, result: Result) -> None:
        """Note a result that is committed."""
        led = self._asking.get(result.record_id)
        if led is not None:
            led.result = result
        if result.status is Status.SUCCEEDED and result.tail is not None and result.fingerprint is not None:
            digest = result.fingerprint, result.tail
            self._recent[digest] = result
            self._sightings.add(digest)

    def exporting(self) -> None:
        """An export begins: what is committed by now goes into a part."""
        self._leaving, self._recent = self._recent, {}

    def _known(self, digest: Digest) -> Result | None:
        shelved = self._shelf.get(digest)
        if shelved is not None:
            return shelved
        found = self._recent.get(digest) or self._leaving.get(digest)
        if found is not None:
            self._shelf.put(digest, found)
        return found

    async def look_back(self) -> None:
        """Note what earlier runs were answered; only now, since a run that has nothing to send need not know."""
        if self._looked_back:
            return
        self._looked_back = True
        for some in self._store.digests():
            for digest in some:
                self._sightings.add(digest)
            await asyncio.sleep(0)

    # Before a record is sent

    def unshared(self, records: Sequence[Admitted]) -> tuple[list[Admitted], list[Admitted]]:
        """Give these records the answers of equal ones that are in memory; those that are to be sent, and those whose
        answer may stand in a part.
        """
        sightings, left, perhaps = self._sightings, list[Admitted](), list[Admitted]()
        for record in records:
            digest = _digest(record)
            if digest is None or digest not in sightings:
                left.append(record)
            elif (answer := self._known(digest)) is not None:
                self._give(record, answer)
            elif digest in self._led:
                left.append(record)
            else:
                perhaps.append(record)
        return left, perhaps

    async def recalled(self, records: Sequence[Admitted]) -> list[Admitted]:
        """Give these records the answers of equal ones that stand in parts; those that are to be sent.

        Raises OutputError.
        """
        wanted = {digest for record in records if (digest := _digest(record)) and self._known(digest) is None}
        found: dict[Digest, Result] = {}
        by_part: dict[int, dict[str, Digest]] = {}
        for digest, (record_id, part) in self._store.answered(list(wanted)).items():
            by_part.setdefault(part, {})[record_id] = digest
        for part, ids in by_part.items():
            for result in await asyncio.to_thread(self._read, part, list(ids)):
                answer = self._with_its_form(result)
                if answer is not None:
                    found[ids[result.record_id]] = answer
                    self._shelf.put(ids[result.record_id], answer)
        left = []
        for record in records:
            digest = _digest(record)
            known = None if digest is None else found.get(digest) or self._known(digest)
            if known is None:
                left.append(record)
            else:
                self._give(record, known)
        return left

    def _read(self, part: int, ids: Sequence[str]) -> list[Result]:
        path = part_path("results", part)
        return read_answers(self._directory, path, ids, VECTOR if self._vectors else None)

    def _with_its_form(self, result: Result) -> Result | None:
        """The answer with its value, which a part holds in another shape; None where it does not have its form."""
        form = self._forms.get(result.route or "")
        if form is None:
            return result
        parsed = form.parsed(result.response or "")
        return None if parsed is None else structs.replace(result, parsed=parsed)

    # While one is on its way

    async def walk(self, record: Admitted, journey: Callable[[Admitted], Awaitable[None]]) -> None:
        """Bring a record to its result, or leave it with one that is on its way and asks the same."""
        digest = _digest(record)
        if digest is None:
            return await journey(record)
        while (led := self._led.get(digest)) is not None:
            if self._parked < PARKED:
                self._parked += 1
                led.followers.append(record)
                return None
            await led.over()
        if digest in self._sightings:
            left, perhaps = self.unshared([record])
            if not left and not (perhaps and await self.recalled(perhaps)):
                return await asyncio.sleep(0)  # others come to their turn, however many records ask the same
            if digest in self._led:  # while a part was read
                return await self.walk(record, journey)
        return await self._lead(digest, record, journey)

    async def _lead(
        self, digest: Digest, record: Admitted, journey: Callable[[Admitted], Awaitable[None]]
    ) -> None:
        led = self._led[digest] = _Led()
        asking: Admitted | None = record
        try:
            while asking is not None:
                self._asking[asking.record_id], led.result = led, None
                try:
                    await journey(asking)
                finally:
                    del self._asking[asking.record_id]
                asking = self._following(digest, led)
        finally:
            self._parked -= len(led.followers)
            del self._led[digest]
            if led.waiting is not None:
                led.waiting.set()

    def _following(self, digest: Digest, led: _Led) -> Admitted | None:
        """The record that has to ask again for the others; None where all got what the one before them got.

        Without a result the run is stopping, or lacks the money or the models: all of them stay pending.
        """
        result = led.result
        if result is None:
            return None
        if result.status is not Status.SUCCEEDED:
            led.failures += 1
            if led.failures < OPINIONS and not is_of_request(result.error_type or ""):
                if not led.followers:
                    return None
                self._parked -= 1
                return led.followers.pop(0)
            self._shelf.put(digest, result)
            self._sightings.add(digest)
        for follower in led.followers:
            self._give(follower, result)
        return None


def _digest(record: Admitted) -> Digest | None:
    """Of its request; None where it shares no answer."""
    tail = record.tail
    if tail is None or record.fingerprint is None:
        return None
    return record.fingerprint, tail
