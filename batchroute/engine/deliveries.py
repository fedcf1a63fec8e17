"""Results that need no journey: committed many at a time, and told of once they are."""

import asyncio
from collections.abc import Callable

from batchroute.core.attempts import Attempt
from batchroute.core.results import Result
from batchroute.engine.commits import Commits

Told = Callable[[Attempt | None, Result], None]


class Deliveries:
    """Enters results one after the other without waiting for each."""

    def __init__(self, commits: Commits) -> None:
        self._commits = commits
        self._due: asyncio.Future[None] | None = None
        self._together: list[tuple[Attempt | None, Result]] = []
        self.told: Told = lambda _attempt, _result: None
        """Told of each with the attempt that stands for it in the ledger, once both are committed."""

    def deliver(self, seq: int, attempt: Attempt | None, result: Result) -> None:
        committed = self._commits.finished(seq, attempt, result)
        if committed is not self._due:
            self._due, self._together = committed, []
            committed.add_done_callback(self._telling_of(self._together))
        self._together.append((attempt, result))

    def _telling_of(
        self, together: list[tuple[Attempt | None, Result]]
    ) -> Callable[[asyncio.Future[None]], None]:
        def tell(committed: asyncio.Future[None]) -> None:
            if not committed.cancelled() and committed.exception() is None:
                for attempt, result in together:
                    self.told(attempt, result)

        return tell

    async def settled(self) -> None:
        """Wait until all is committed."""
        if self._due is not None:
            await self._due
