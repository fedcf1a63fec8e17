"""Results that need no journey: committed many at a time, and told of once they are."""

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple, TypeAlias

from batchroute.core.attempts import Attempt
from batchroute.core.results import Result
from batchroute.engine.commits import Commits


class Delivery(NamedTuple):
    """A result with the line that stands for it in the ledger, if one does."""

    attempt: Attempt | None
    result: Result


Told: TypeAlias = Callable[[Sequence[Delivery]], None]


class Deliveries:
    """Enters results one after the other without waiting for each."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._due: asyncio.Future[None] | None = None
        self._together: list[Delivery] = []
        self.told: Told = lambda _together: None
        """Told of those that were committed together, once they are."""

    def deliver(self, seq: int, attempt: Attempt | None, result: Result) -> None:
        committed = self._commits.finished(seq, attempt, result)
        if committed is not self._due:
            self._due, self._together = committed, []
            committed.add_done_callback(self._telling_of(self._together))
        self._together.append(Delivery(attempt, result))

    def _telling_of(self, together: list[Delivery]) -> Callable[[asyncio.Future[None]], None]:
        def tell(committed: asyncio.Future[None]) -> None:
            if not committed.cancelled() and committed.exception() is None:
                self.told(together)

        return tell

    async def settled(self) -> None:
        """Wait until all is committed, and told of. Raises OutputError when the disk fails."""
        if self._due is not None:
            await self._due
