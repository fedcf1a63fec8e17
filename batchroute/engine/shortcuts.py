"""Records that need no request: equal ones have their answer, or the job's cache has it.

They come to their results as they are read, many at a time, and never stand in the backlog.
"""

from collections.abc import Mapping
from typing import Final

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.responses import Response, Usage
from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.caches import Cache
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.pools import Pool, PoolSpec
from batchroute.engine.trails import Admitted
from batchroute.engine.twins import Twins

LOOKED_UP_AT_ONCE: Final = 512
REMEMBERED: Final = 4096
AT_ONCE_BYTES: Final = 4 << 20
"""Of requests that are held until it is decided whether they are sent: some carry images."""


class Answering:
    """Brings records to results that were answered before: each is a row of its own, and a line of the ledger that
    costs nothing. Its attempt has the number 0, as it is none.
    """

    def __init__(self, run_id: str, pools: Mapping[str, Pool], clock: Clock, commits: Commits) -> None:
        self._run_id, self._pools, self._clock, self._commits = run_id, pools, clock, commits
        self._lines: dict[tuple[str, str, CostBasis], Attempt] = {}
        """What the lines on a route and a model have in common."""
        self._spared: dict[int | None, tuple[int | None, int | None]] = {}
        """What the answers took that were shared or recalled lately, with the fingerprints of what they answer, by tail."""

    def repeat(self, record: Admitted, answer: Result) -> None:
        """With the answer of an equal record, or as a dead letter like it."""
        result = entries.repeated(record, answer, self._run_id, self._clock.wall())
        pool = self._pools.get(answer.model or "")
        if answer.status is not Status.SUCCEEDED or pool is None:
            self._commits.finished(record.seq, None, result)
            return
        line = self._line(record.route, pool.spec, CostBasis.SHARED)
        self._commits.reused(record.seq, result, line, None, self._spared_by(record, answer, pool.spec))

    def _spared_by(self, record: Admitted, answer: Result, spec: PoolSpec) -> int | None:
        fingerprint, spared = self._spared.get(record.tail) or (None, None)
        if fingerprint is None or fingerprint != record.fingerprint:
            spared = _cost(spec, entries.usage_of(answer.totals))
            self._remember(record, spared)
        return spared

    def _remember(self, record: Admitted, spared: int | None) -> None:
        if len(self._spared) >= REMEMBERED:
            self._spared.clear()
        self._spared[record.tail] = record.fingerprint, spared

    def recall(self, record: Admitted, model: str, response: Response) -> None:
        """With an answer from the cache."""
        spec = self._pools[model].spec
        line = self._line(record.route, spec, CostBasis.CACHE)
        result = entries.recalled(record, line, response, self._clock.wall())
        spared = _cost(spec, response.usage)
        self._remember(record, spared)
        self._commits.reused(record.seq, result, line, response.response_model, spared)

    def _line(self, route: str, spec: PoolSpec, basis: CostBasis) -> Attempt:
        key = (route, spec.model, basis)
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = entries.unsent(self._run_id, route, spec, basis)
        return line


def _cost(spec: PoolSpec, usage: Usage | None) -> int | None:
    """What these tokens cost there today, picodollars."""
    return None if spec.rates is None or usage is None else spec.rates.cost(usage)


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
