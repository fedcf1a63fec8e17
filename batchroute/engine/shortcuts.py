"""Records that need no request: equal ones have their answer, or the job's cache has it.

They come to their results as they are read, many at a time, and never stand in the backlog.
"""

from collections.abc import Mapping
from typing import Final

from msgspec import structs

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
        self._blanks: dict[tuple[str, str, CostBasis], Attempt] = {}
        self._shared: dict[int | None, tuple[Result, Attempt | None]] = {}
        """The lines of answers that were shared lately, but for what is the record's."""

    def repeat(self, record: Admitted, answer: Result) -> None:
        """With the answer of an equal record, or as a dead letter like it."""
        now, labels = self._clock.wall(), record.labels
        answered, attempt = self._shared.get(record.tail) or (None, None)
        if answered is not answer:
            if len(self._shared) == REMEMBERED:
                self._shared.clear()
            attempt = self._shared_line(record.route, answer)
            self._shared[record.tail] = answer, attempt
        if attempt is not None:
            attempt = structs.replace(
                attempt,
                record_id=record.record_id,
                task=labels.task,
                complexity=labels.complexity,
                started_at=now,
            )
        self._commits.finished(record.seq, attempt, entries.repeated(record, answer, self._run_id, now))

    def _shared_line(self, route: str, answer: Result) -> Attempt | None:
        pool = self._pools.get(answer.model or "")
        if answer.status is not Status.SUCCEEDED or pool is None:
            return None
        return structs.replace(
            self._blank(route, pool.spec, CostBasis.SHARED),
            finish_reason=answer.finish_reason,
            spared=_cost(pool.spec, entries.usage_of(answer.totals)),
        )

    def recall(self, record: Admitted, model: str, response: Response) -> None:
        """With an answer from the cache."""
        spec = self._pools[model].spec
        attempt = structs.replace(
            self._blank(record.route, spec, CostBasis.CACHE),
            record_id=record.record_id,
            task=record.labels.task,
            complexity=record.labels.complexity,
            started_at=self._clock.wall(),
            response_model=response.response_model,
            finish_reason=response.finish_reason,
            spared=_cost(spec, response.usage),
        )
        self._commits.finished(record.seq, attempt, entries.recalled(record, attempt, response))

    def _blank(self, route: str, spec: PoolSpec, basis: CostBasis) -> Attempt:
        key = (route, spec.model, basis)
        blank = self._blanks.get(key)
        if blank is None:
            blank = self._blanks[key] = entries.unsent(self._run_id, route, spec, basis)
        return blank


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
