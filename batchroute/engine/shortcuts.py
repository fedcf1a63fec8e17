"""Records that need no request: equal ones have their answer, or the job's cache has it.

They come to their results as they are read, many at a time, and never stand in the backlog.
"""

from collections.abc import Mapping
from typing import Final

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.responses import Response
from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.caches import Cache
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.pools import Pool
from batchroute.engine.trails import Admitted
from batchroute.engine.twins import Twins

LOOKED_UP_AT_ONCE: Final = 512
AT_ONCE_BYTES: Final = 4 << 20
"""Of requests that are held until it is decided whether they are sent: some carry images."""


class Answering:
    """Brings records to results that were answered before: each is a row of its own, and a line of the ledger that
    costs nothing. Its attempt has the number 0, as it is none.
    """

    def __init__(
        self, run_id: str, pools: Mapping[str, Pool], clock: Clock, commits: Commits, *, labelled: bool
    ) -> None:
        """`labelled`: whether models label records, so that what a record took is more than what its answer took."""
        self._run_id, self._pools, self._clock, self._commits = run_id, pools, clock, commits
        self._labelled = labelled
        self._lines: dict[tuple[str, str, CostBasis], Attempt] = {}
        """What the lines on a route and a model have in common."""

    def repeat(self, record: Admitted, answer: Result) -> None:
        """With the answer of an equal record, or as a dead letter like it."""
        result = entries.repeated(record, answer, self._run_id, self._clock.wall())
        if answer.status is not Status.SUCCEEDED:
            self._commits.finished(record.seq, None, result)
            return
        assert answer.model is not None
        assert answer.provider is not None
        line = self._line(record.route, answer.model, answer.provider, CostBasis.SHARED)
        self._commits.reused(record.seq, result, line, None, self._cost(answer, answer.model))

    def _cost(self, answer: Result, model: str) -> int | None:
        """What the answer cost when it was asked for, if that is known: of one that stands in a part, by its totals."""
        if answer.answer_cost is not None or self._labelled or model not in self._pools:
            return answer.answer_cost
        return entries.cost_by_totals(answer.totals, self._pools[model].spec.rates)

    def recall(self, record: Admitted, model: str, response: Response) -> None:
        """With an answer from the cache."""
        spec, usage = self._pools[model].spec, response.usage
        line = self._line(record.route, model, spec.provider, CostBasis.CACHE)
        cost = None if spec.rates is None or usage is None else spec.rates.cost(usage)
        result = entries.recalled(record, line, response, self._clock.wall(), cost)
        self._commits.reused(record.seq, result, line, response.response_model, cost)

    def _line(self, route: str, model: str, provider: str, basis: CostBasis) -> Attempt:
        key = (route, model, basis)
        line = self._lines.get(key)
        if line is None:
            pool = self._pools.get(model)
            blank = (
                entries.undeclared(self._run_id, route, model, provider)
                if pool is None
                else entries.blank_attempt(self._run_id, route, pool.spec)
            )
            line = self._lines[key] = entries.unsent(blank, basis)
        return line


class Shortcuts:
    """Stands before the backlog: what comes through has to be sent."""

    def __init__(self, twins: Twins | None, cache: Cache | None, answering: Answering) -> None:
        self._twins, self._cache, self._answering = twins, cache, answering
        self._perhaps: list[Admitted] = []
        """Those whose answer may stand in a part, which is looked for once it is worth it: some were never asked."""
        self._perhaps_bytes = 0

    async def share(self, records: list[Admitted]) -> list[Admitted]:
        """Answer what can be answered of these records, keep back what perhaps can be, and give those that have to be
        sent. Raises OutputError.
        """
        if self._twins is None:
            return await self._unanswered(records)
        await self._twins.look_back()
        left, perhaps = self._twins.unshared(records)
        if perhaps:
            self._perhaps += perhaps
            self._perhaps_bytes += sum(len(record.request.messages) for record in perhaps)
            if self._perhaps_bytes >= AT_ONCE_BYTES:
                return [*await self._unanswered(left), *await self.look_up(least=1)]
        return await self._unanswered(left)

    async def look_up(self, *, least: int = LOOKED_UP_AT_ONCE) -> list[Admitted]:
        """Look into parts for those that were kept back, if they are so many; those that have to be sent.

        Raises OutputError.
        """
        if self._twins is None or len(self._perhaps) < least:
            return []
        perhaps, self._perhaps, self._perhaps_bytes = self._perhaps, [], 0
        return await self._unanswered(await self._twins.recalled(perhaps))

    async def _unanswered(self, records: list[Admitted]) -> list[Admitted]:
        if self._cache is None or not records:
            return records
        return await self._cache.unanswered(records, self._answering.recall)
