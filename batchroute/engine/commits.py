"""Group commit: whatever happened in one turn of the event loop reaches the store in one transaction."""

import asyncio
from collections.abc import Callable, Sequence

from batchroute.core.attempts import Attempt, Reuse
from batchroute.core.results import Result, Totals
from batchroute.io.store import Group, Store

FLUSH_INTERVAL_S = 0.05
LINGERING_TURNS = 3


class Commits:
    """Gathers what is to be committed; everybody who waits, waits for the same commit.

    Groups are committed in the order in which they were begun, so that who waits for what was entered last has waited
    for everything. A failed commit fails all who wait for it, and every later one: after that nothing is known to be
    stored.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._loop = asyncio.get_running_loop()
        self._group = Group.empty()
        self._done: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._dirty = asyncio.Event()
        self._told: list[Callable[[Group], None]] = []

    def on_commit(self, tell: Callable[[Group], None]) -> None:
        """Call this with every group once it is committed."""
        self._told.append(tell)

    def pending(self) -> list[Result]:
        """The results that were entered and are not committed yet."""
        return [result for _, result in self._group.results]

    async def settled(self) -> None:
        """Wait until everything that was entered by now is committed. Raises OutputError when the disk fails."""
        done = self._done
        while done is not None and self._done is done:  # noqa: ASYNC110  for four turns at most
            await asyncio.sleep(0)
        if self._failure is not None:
            raise self._failure

    def started(self, seq: int, attempt: Attempt) -> asyncio.Future[None]:
        """Enter an attempt that is about to start; send it when the future is done."""
        self._group.started.append((seq, attempt))
        return self._soon()

    def ended(self, seq: int, attempt: Attempt) -> asyncio.Future[None]:
        """Enter an attempt that ended while its record goes on."""
        self._group.ended.append((seq, attempt))
        return self._soon()

    def labelled(
        self,
        seq: int,
        attempt: Attempt,
        shares: Sequence[tuple[int, Totals]],
        told: Sequence[tuple[int, bytes]],
    ) -> asyncio.Future[None]:
        """Enter an attempt that labelled records: what each of them bears of it, and what was said to which question."""
        self._group.shares += shares
        self._group.told += told
        return self.ended(seq, attempt)

    def finished(self, seq: int, attempt: Attempt | None, result: Result) -> asyncio.Future[None]:
        """Enter a record's result together with the attempt that ended it, if one did."""
        if attempt is not None:
            self._group.ended.append((seq, attempt))
        self._group.results.append((seq, result))
        return self._soon()

    def reused(
        self, seq: int, result: Result, line: Attempt, response_model: str | None, spared: int | None
    ) -> None:
        """Enter a record's result for which nothing was sent. `line` is what its line in the ledger has in common with
        those of others; an equal one should be the same object.
        """
        group = self._group
        if line not in group.lines:
            group.lines.append(line)
        group.results.append((seq, result))
        group.reused.append((seq, Reuse(group.lines.index(line), response_model, spared)))
        self._soon()

    def close(self, unfinished: Sequence[tuple[int, Attempt]]) -> None:
        """Commit at once how attempts ended that nobody waits for any more. Raises OutputError."""
        if unfinished:
            group = Group([], [*unfinished], [])
            self._store.commit(group)
            self._tell(group)

    def _soon(self) -> asyncio.Future[None]:
        if self._done is None:
            self._done = self._loop.create_future()
            self._loop.call_soon(self._linger, LINGERING_TURNS)
        return self._done

    def _linger(self, turns: int) -> None:
        """Let what is ready at this moment join the group: on an idle loop these turns take no time."""
        if turns:
            self._loop.call_soon(self._linger, turns - 1)
        else:
            self._commit()

    def _commit(self) -> None:
        group, done = self._group, self._done
        assert done is not None
        self._group, self._done = Group.empty(), None
        if self._failure is None:
            try:
                self._store.commit(group)
            except Exception as error:  # noqa: BLE001  it is raised in everyone who waits
                self._failure = error
        self._dirty.set()
        if self._failure is None:
            self._tell(group)
        if done.cancelled():
            return  # a run that is cut off cancels everyone who waits, and with them what they wait for
        if self._failure is None:
            done.set_result(None)
        else:
            done.set_exception(self._failure)
            done.exception()  # seen: whoever waits gets it, even if nobody does

    def _tell(self, group: Group) -> None:
        for tell in self._told:
            tell(group)

    async def flush_regularly(self) -> None:
        """Force commits to the disk at most every 50 ms, until cancelled.

        Raises OutputError when the disk fails, at once where a commit did: who would have learned of it may be asleep.
        """
        while True:
            await self._dirty.wait()
            self._dirty.clear()
            if self._failure is not None:
                raise self._failure
            await asyncio.to_thread(self._store.flush)
            self._store.checkpoint()
            await asyncio.sleep(FLUSH_INTERVAL_S)
