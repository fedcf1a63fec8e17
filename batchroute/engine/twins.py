"""Records that ask the same: one of them is sent, and all of them get its answer.

Whether a request was read before is asked of a filter, once, as the record is read: to most records that is nearly all
that happens here. The answers are looked for where they are at that moment: among those that are in no part yet, which
are in memory anyway; among those that were asked for often or lately; and in the parts, through the store. So what was
answered before a kill -9 is found again, and memory stays as it is however many records ask the same.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Final

from msgspec import Struct, structs

from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.trails import Admitted
from batchroute.io.parts import part_path, read_answers
from batchroute.io.store import Group, Store
from batchroute.job.endpoints import VECTOR
from batchroute.routing.equals import OPINIONS, is_of_request
from batchroute.routing.fingerprints import Digest
from batchroute.routing.forms import Formed
from batchroute.routing.sightings import Sightings

PARKED: Final = 4096
PARKED_BYTES: Final = 16 << 20
"""Records at most that wait for another one without a place in the window, and what they ask."""
SHELVED: Final = 16_384
SHELVED_BYTES: Final = 32 << 20
"""What is kept in memory of answers that stand in parts."""

Journey = Callable[[Admitted], Awaitable[Result | None]]
"""Brings a record to its result; None where it stays pending."""
Entered = Callable[[], Sequence[Result]]
"""The results that were entered and are not committed yet: who shares one is committed with it, or after it."""
Give = Callable[[Admitted, Result], None]
"""Brings a record to the result that an equal one has."""


class _Led(Struct):
    """A request that is on its way, and the records that wait for its end. Most have none."""

    fingerprint: int
    result: Result | None = None
    followers: list[Admitted] | None = None
    waiting: asyncio.Event | None = None
    failures: int = 0

    def follow(self, record: Admitted) -> None:
        if self.followers is None:
            self.followers = []
        self.followers.append(record)

    async def over(self) -> None:
        if self.waiting is None:
            self.waiting = asyncio.Event()
        await self.waiting.wait()


class _Shelf:
    """Answers by the tails of their digests, those that were asked for longest ago dropped first."""

    def __init__(self) -> None:
        self._results: OrderedDict[int, Result] = OrderedDict()
        self._bytes = 0

    def get(self, tail: int) -> Result | None:
        result = self._results.get(tail)
        if result is not None:
            self._results.move_to_end(tail)
        return result

    def put(self, tail: int, result: Result) -> None:
        if tail in self._results:
            return
        if result.kept:  # of the record's own columns those that share its answer want none
            vector = entries.vector_of(result)
            result = structs.replace(result, kept={} if vector is None else {VECTOR: vector})
        self._results[tail] = result
        self._bytes += _size(result)
        while len(self._results) > SHELVED or self._bytes > SHELVED_BYTES:
            self._bytes -= _size(self._results.popitem(last=False)[1])


def _size(result: Result) -> int:
    vector = entries.vector_of(result)
    said = len(result.response or "")
    parsed = said if result.parsed is not None else 0
    return said + parsed + len(result.error_message or "") + len(vector or b"")


class Twins:
    """What was asked in this dataset, and what is being asked."""

    def __init__(
        self,
        *,
        directory: Path,
        store: Store,
        entered: Entered,
        give: Give,
        forms: Mapping[str, Formed],
        vectors: bool,
    ) -> None:
        """`forms` are those that answers must have, by route; `vectors`: whether vectors are asked for."""
        self._directory, self._store, self._entered, self._give = directory, store, entered, give
        self._forms, self._vectors = forms, vectors
        # By tails: a pair of numbers would be one more thing for the garbage collector to look at, for each record.
        # Whoever finds something compares the fingerprints.
        # Of a request that nobody waits for, as most are, only its fingerprint is kept.
        self._led: dict[int, _Led | int] = {}
        self._parked = self._parked_bytes = 0
        self._recent: dict[int, Result] = {}
        self._leaving: dict[int, Result] = {}
        """Answers in the journal: those since an export began, and those that it moves into a part."""
        self._shelf = _Shelf()
        self._sightings = Sightings()
        """All that was read by now, and what earlier runs were answered."""
        self._looked_back = self._parts = False

    # What is known

    def committed(self, group: Group) -> None:
        """Note the answers that were committed together."""
        recent = self._recent
        for _, result in group.results:
            tail = result.tail
            if tail is not None and result.status is Status.SUCCEEDED and tail not in recent:
                recent[tail] = result  # the first one was sent, and tells what it took

    def exporting(self) -> None:
        """An export begins: what was committed by now goes into a part."""
        self._leaving, self._recent, self._parts = self._recent, {}, True

    def _pending(self) -> dict[int, Result]:
        """Answers that were entered and are not committed yet; true until others have their turn."""
        pending = reversed(self._entered())
        return {
            each.tail: each for each in pending if each.tail is not None and each.status is Status.SUCCEEDED
        }

    def _known(
        self, fingerprint: int, tail: int, pending: Mapping[int, Result] = MappingProxyType({})
    ) -> Result | None:
        """An answer that is in memory, and stays there for a while as it is asked for."""
        found = self._shelf.get(tail)
        if found is None:
            found = self._recent.get(tail) or self._leaving.get(tail) or pending.get(tail)
            if found is None:
                return None
            self._shelf.put(tail, found)
        return found if found.fingerprint == fingerprint else None

    async def look_back(self) -> None:
        """Note what earlier runs were answered; only now, since a run that has nothing to send need not know."""
        if self._looked_back:
            return
        self._looked_back = True
        for some in self._store.digests():
            for fingerprint, tail in some:
                self._sightings.note(fingerprint, tail)
            self._parts = True
            await asyncio.sleep(0)

    # Before a record is sent

    def unshared(self, records: Sequence[Admitted]) -> tuple[list[Admitted], list[Admitted]]:
        """Give these records the answers of equal ones that are in memory; those that are to be sent, and those whose
        answer may stand in a part.
        """
        left, missed = list[Admitted](), list[tuple[int, int, Admitted]]()
        note = self._sightings.note
        for record in records:
            fingerprint, tail = record.fingerprint, record.tail
            if tail is None or fingerprint is None or not note(fingerprint, tail):
                left.append(record)
            elif (answer := self._known(fingerprint, tail)) is not None:
                self._give(record, answer)
            else:
                missed.append((fingerprint, tail, record))
        perhaps = list[Admitted]()
        pending = self._pending() if missed else {}
        for fingerprint, tail, record in missed:
            if (answer := self._known(fingerprint, tail, pending)) is not None:
                self._give(record, answer)
            else:
                waits = tail in self._led or not self._parts
                (left if waits else perhaps).append(structs.replace(record, repeats=True))
        return left, perhaps

    async def recalled(self, records: Sequence[Admitted]) -> list[Admitted]:
        """Give these records the answers of equal ones that stand in parts; those that are to be sent.

        Raises OutputError.
        """
        found = await self._found({digest for record in records if (digest := _digest(record)) is not None})
        left, pending = [], self._pending()
        for record in records:
            digest = _digest(record)
            known = None if digest is None else found.get(digest) or self._known(*digest, pending)
            if known is None:
                left.append(record)
            else:
                self._give(record, known)
        return left

    async def _found(self, digests: set[Digest]) -> dict[Digest, Result]:
        """Those of these answers that stand in parts, and are not in memory."""
        found: dict[Digest, Result] = {}
        by_part: dict[int, dict[str, Digest]] = {}
        pending = self._pending()
        wanted = (
            [digest for digest in digests if self._known(*digest, pending) is None] if self._parts else []
        )
        for digest, (record_id, part) in self._store.answered(wanted).items():
            by_part.setdefault(part, {})[record_id] = digest
        for part, ids in by_part.items():
            for result in await asyncio.to_thread(self._read, part, list(ids)):
                answer = self._with_its_form(result)
                if answer is not None:
                    fingerprint, tail = digest = ids[result.record_id]
                    found[digest] = structs.replace(answer, fingerprint=fingerprint, tail=tail)
                    self._shelf.put(tail, found[digest])
        return found

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

    def sets_out(self, record: Admitted) -> bool:
        """Whether nobody else asks the same, or has asked it: then the record goes its way, and has `arrived` after it.

        Else it is for `walk`. To most records this is all that happens here, so that it is no coroutine.
        """
        tail, fingerprint = record.tail, record.fingerprint
        if tail is None or fingerprint is None:
            return True
        if record.repeats or tail in self._led:
            return False
        self._led[tail] = fingerprint
        return True

    def arrived(self, record: Admitted, result: Result | None) -> bool:
        """Whether that was all; else others are to follow the record. Told in the turn in which that was entered."""
        tail = record.tail
        if tail is None:
            return True
        led = self._led[tail]
        if isinstance(led, int):
            if result is None or result.status is Status.SUCCEEDED:
                del self._led[tail]
                return True
            led = self._led[tail] = _Led(led)
        led.result = result
        if led.followers is not None or led.waiting is not None:
            return False
        self._settle(tail, led)
        del self._led[tail]
        return True

    async def walk(self, record: Admitted, journey: Journey) -> None:
        """Bring a record to its result, or leave it with one that is on its way and asks the same. Raises OutputError."""
        tail, fingerprint = record.tail, record.fingerprint
        assert tail is not None
        assert fingerprint is not None
        while (led := self._awaited(tail)) is not None:
            if led.fingerprint != fingerprint:
                await journey(record)  # half of the digest by chance, or by ill will
                return
            if self._parked < PARKED and self._parked_bytes < PARKED_BYTES:
                self._parked += 1
                self._parked_bytes += len(record.request.messages)
                led.follow(record)
                return
            await led.over()
        if not await self.recalled([record]):
            await asyncio.sleep(0)  # others come to their turn, however many records ask the same
            return
        if tail in self._led:  # while a part was read
            await self.walk(record, journey)
            return
        led = self._led[tail] = _Led(fingerprint)
        led.result = await journey(record)
        await self.followed(record, journey)

    async def followed(self, record: Admitted, journey: Journey) -> None:
        """Bring those to their results that wait for this one, which has come to its own."""
        tail = record.tail
        assert tail is not None, "only then is it waited for"
        led = self._awaited(tail)
        assert led is not None
        while (asking := self._settle(tail, led)) is not None:
            led.result = await journey(asking)
        for follower in led.followers or ():
            self._unpark(follower)
        del self._led[tail]
        if led.waiting is not None:
            led.waiting.set()

    def _unpark(self, record: Admitted) -> None:
        self._parked -= 1
        self._parked_bytes -= len(record.request.messages)

    def _awaited(self, tail: int) -> _Led | None:
        """A request that is on its way and shall be waited for."""
        led = self._led.get(tail)
        if isinstance(led, int):
            led = self._led[tail] = _Led(led)
        return led

    def _settle(self, tail: int, led: _Led) -> Admitted | None:
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
                asking = led.followers.pop(0)
                self._unpark(asking)
                return asking
            self._shelf.put(tail, result)
        for follower in led.followers or ():
            self._give(follower, result)
        return None


def _digest(record: Admitted) -> Digest | None:
    """Of its request; None where it shares no answer."""
    tail = record.tail
    if tail is None or record.fingerprint is None:
        return None
    return record.fingerprint, tail
