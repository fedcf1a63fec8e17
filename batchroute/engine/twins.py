"""Records that ask the same: one of them is sent, and all of them get its answer once it is committed.

Answers are looked for where they are at that moment: among those that are in no part yet, which are in memory anyway;
among those that were asked for often or lately; and in the parts, through the store. So what was answered before a
kill -9 is found again, and memory stays as it is however many records ask the same.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from msgspec import Struct

from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.deliveries import Deliveries
from batchroute.engine.trails import Admitted
from batchroute.io.parts import part_path, read_answers
from batchroute.io.store import Store
from batchroute.routing.equals import OPINIONS, is_of_request
from batchroute.routing.sightings import Sightings

PARKED = 4096
"""Records at most that wait for another one without a place in the window."""
SHELVED = 16_384
SHELVED_BYTES = 32 << 20
"""What is kept in memory of answers that stand in parts."""
LOOKED_UP_AT_ONCE = 10_000
"""SQLite takes 32,766 values in a statement."""


class _Led(Struct):
    """A request that is on its way, and the records that wait for its end."""

    followers: list[Admitted]
    over: asyncio.Event
    failures: int = 0
    result: Result | None = None


class _Shelf:
    """Answers by digest, those that were asked for longest ago dropped first."""

    def __init__(self) -> None:
        self._results: OrderedDict[bytes, Result] = OrderedDict()
        self._bytes = 0

    def get(self, digest: bytes) -> Result | None:
        result = self._results.get(digest)
        if result is not None:
            self._results.move_to_end(digest)
        return result

    def put(self, digest: bytes, result: Result) -> None:
        if digest in self._results:
            return
        self._results[digest] = result
        self._bytes += _size(result)
        while len(self._results) > SHELVED or self._bytes > SHELVED_BYTES:
            self._bytes -= _size(self._results.popitem(last=False)[1])


def _size(result: Result) -> int:
    return len(result.response or "") + len(result.error_message or "")


class Twins:
    """What was asked in this dataset, and what is being asked."""

    def __init__(self, *, run_id: str, directory: Path, store: Store, commits: Commits, clock: Clock) -> None:
        self._run_id, self._directory = run_id, directory
        self._store, self._clock = store, clock
        self._led: dict[bytes, _Led] = {}
        self._parked = 0
        self._recent: dict[bytes, Result] = {}
        self._leaving: dict[bytes, Result] = {}
        """Answers in the journal: those since an export began, and those that it moves into a part."""
        self._shelf = _Shelf()
        self._sightings: Sightings | None = None
        self.deliveries = Deliveries(commits)

    # What is known

    def learn(self, result: Result) -> None:
        """Note a result that is committed."""
        digest = result.digest
        if digest is None:
            return
        led = self._led.get(digest)
        if led is not None:
            led.result = result
        if result.status is not Status.FAILED:
            self._recent[digest] = result

    def exporting(self) -> None:
        """An export begins: what is committed by now goes into a part."""
        self._leaving, self._recent = self._recent, {}
        if self._sightings is not None:
            for digest in self._leaving:
                self._sightings.add(digest)

    def _known(self, digest: bytes) -> Result | None:
        found = self._recent.get(digest) or self._leaving.get(digest)
        if found is not None:
            self._shelf.put(digest, found)
            return found
        return self._shelf.get(digest)

    async def recall(self, records: Sequence[Admitted]) -> None:
        """Bring the answers in parts that these records ask for to where `share` finds them. Raises OutputError."""
        if not records:
            return
        if self._sightings is None:
            await self._look_back()
        sightings = self._sightings or Sightings()
        wanted = {
            digest
            for record in records
            if (digest := record.digest) is not None
            and digest in sightings
            and digest not in self._led
            and self._known(digest) is None
        }
        if wanted:
            await self._fetch(list(wanted))

    async def _look_back(self) -> None:
        """Note what earlier runs were answered; only now, since a run that has nothing to send need not know."""
        sightings = self._sightings = Sightings()
        for digest in self._leaving:
            sightings.add(digest)
        for number, digest in enumerate(self._store.digests()):
            sightings.add(digest)
            if number % LOOKED_UP_AT_ONCE == LOOKED_UP_AT_ONCE - 1:
                await asyncio.sleep(0)

    async def _fetch(self, digests: list[bytes]) -> None:
        """Read answers from their parts."""
        by_part: dict[int, dict[str, bytes]] = {}
        for start in range(0, len(digests), LOOKED_UP_AT_ONCE):
            found = self._store.answered(digests[start : start + LOOKED_UP_AT_ONCE])
            for digest, (record_id, part) in found.items():
                by_part.setdefault(part, {})[record_id] = digest
        for part, ids in by_part.items():
            path = part_path("results", part)
            for result in await asyncio.to_thread(read_answers, self._directory, path, list(ids)):
                self._shelf.put(ids[result.record_id], result)

    # What is done with it

    def share(self, record: Admitted) -> bool:
        """Give a record the answer of an equal one, if there is one by now."""
        if record.digest is None:
            return False
        answer = self._known(record.digest)
        if answer is None:
            return False
        self._give(record, answer)
        return True

    async def walk(self, record: Admitted, journey: Callable[[Admitted], Awaitable[None]]) -> None:
        """Bring a record to its result, or leave it with one that is on its way and asks the same."""
        digest = record.digest
        if digest is None:
            return await journey(record)
        while (led := self._led.get(digest)) is not None:
            if self._parked < PARKED:
                self._parked += 1
                led.followers.append(record)
                return None
            await led.over.wait()
        if self.share(record):
            return await self.deliveries.settled()
        return await self._lead(digest, record, journey)

    async def _lead(
        self, digest: bytes, record: Admitted, journey: Callable[[Admitted], Awaitable[None]]
    ) -> None:
        led = self._led[digest] = _Led([], asyncio.Event())
        next_one: Admitted | None = record
        try:
            while next_one is not None:
                led.result = None
                await journey(next_one)
                next_one = self._following(digest, led)
        finally:
            self._parked -= len(led.followers)
            del self._led[digest]
            led.over.set()
        if led.followers:
            await self.deliveries.settled()

    def _following(self, digest: bytes, led: _Led) -> Admitted | None:
        """The record that has to ask again for the others; None where all got what the one before them got.

        Without a result the run is stopping, or lacks the money or the models: all of them stay pending.
        """
        result = led.result
        if result is None:
            return None
        if result.status is Status.FAILED:
            led.failures += 1
            if led.failures < OPINIONS and not is_of_request(result.error_type or ""):
                if not led.followers:
                    return None
                self._parked -= 1
                return led.followers.pop(0)
            self._shelf.put(digest, result)
        for follower in led.followers:
            self._give(follower, result)
        return None

    def _give(self, record: Admitted, answer: Result) -> None:
        result = entries.repeated(record, answer, self._run_id, self._clock.wall())
        self.deliveries.deliver(record.seq, None, result)
