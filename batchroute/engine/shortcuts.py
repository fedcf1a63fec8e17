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
from batchroute.engine.admission import Backlog
from batchroute.engine.caches import Cache
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.pools import Pool, PoolSpec
from batchroute.engine.trails import Admitted
from batchroute.engine.twins import Twins

LOOKED_UP_AT_ONCE: Final = 512
AT_ONCE_BYTES: Final = 4 << 20
"""Of requests that are held until it is decided whether they are sent: some carry images."""


class Answering:
    """Brings records to results that were answered before: each is a row of its own, and a line of the ledger that
    costs nothing. Its attempt has the number 0, as it is none.
    """

    def __init__(self, run_id: str, pools: Mapping[str, Pool], clock: Clock, commits: Commits) -> None:
        self._run_id, self._pools, self._clock, self._commits = run_id, pools, clock, commits
        self._blanks: dict[tuple[str, str, CostBasis], Attempt] = {}

    def repeat(self, record: Admitted, answer: Result) -> None:
        """With the answer of an equal record, or as a dead letter like it."""
        now = self._clock.wall()
        result = entries.repeated(record, answer, self._run_id, now)
        pool = self._pools.get(answer.model or "")
        attempt = None
        if answer.status is Status.SUCCEEDED and pool is not None:
            attempt = structs.replace(
                self._blank(record, pool.spec, CostBasis.SHARED),
                record_id=record.record_id,
                task=record.labels.task,
                complexity=record.labels.complexity,
                started_at=now,
                finish_reason=answer.finish_reason,
                spared=_cost(pool.spec, entries.usage_of(answer.totals)),
            )
        self._commits.finished(record.seq, attempt, result)

    def recall(self, record: Admitted, model: str, response: Response) -> None:
        """With an answer from the cache."""
        spec = self._pools[model].spec
        attempt = structs.replace(
            self._blank(record, spec, CostBasis.CACHE),
            record_id=record.record_id,
            task=record.labels.task,
            complexity=record.labels.complexity,
            started_at=self._clock.wall(),
            response_model=response.response_model,
            finish_reason=response.finish_reason,
            spared=_cost(spec, response.usage),
        )
        self._commits.finished(record.seq, attempt, entries.recalled(record, attempt, response))

    def _blank(self, record: Admitted, spec: PoolSpec, basis: CostBasis) -> Attempt:
        key = (record.route, spec.model, basis)
        blank = self._blanks.get(key)
        if blank is None:
            blank = self._blanks[key] = entries.unsent(self._run_id, record.route, spec, basis)
        return blank


def _cost(spec: PoolSpec, usage: Usage | None) -> int | None:
    """What these tokens cost there today, picodollars."""
    return None if spec.rates is None or usage is None else spec.rates.cost(usage)


class Shortcuts:
    """Stands before the backlog: what comes through has to be sent."""

    def __init__(
        self, backlog: Backlog, twins: Twins | None, cache: Cache | None, answering: Answering
    ) -> None:
        self._backlog, self._twins, self._cache, self._answering = backlog, twins, cache, answering
        self._ready: list[Admitted] = []
        self._ready_bytes = 0
        self.heavy = False
        """Whether so much was put that it is time to `share`."""
        self._perhaps: list[Admitted] = []
        """Those whose answer may stand in a part, which is looked for once it is worth it: some were never asked."""
        self._perhaps_bytes = 0

    def put(self, record: Admitted) -> None:
        """Take a record; what becomes of it is decided with those that come with it."""
        if record.tail is None and self._cache is None:
            self._backlog.put(record)  # it shares no answer
            return
        self._ready.append(record)
        self._ready_bytes += len(record.request.messages)
        self.heavy = self._ready_bytes >= AT_ONCE_BYTES

    async def share(self) -> None:
        """Answer what can be answered of the records that were put, and pass the others on."""
        ready, self._ready, self._ready_bytes, self.heavy = self._ready, [], 0, False
        if not ready:
            return
        if self._twins is not None:
            await self._twins.look_back()
            ready, perhaps = self._twins.unshared(ready)
            self._perhaps += perhaps
            self._perhaps_bytes += sum(len(record.request.messages) for record in perhaps)
            if self._perhaps_bytes >= AT_ONCE_BYTES:
                await self.look_up(least=1)
        await self._pass_on(ready)

    async def look_up(self, *, least: int = LOOKED_UP_AT_ONCE) -> None:
        """Look into parts for those that were kept back, if they are so many. Raises OutputError."""
        if self._twins is not None and len(self._perhaps) >= least:
            perhaps, self._perhaps, self._perhaps_bytes = self._perhaps, [], 0
            await self._pass_on(await self._twins.recalled(perhaps))

    async def _pass_on(self, records: list[Admitted]) -> None:
        if self._cache is not None and records:
            records = await self._cache.unanswered(records, self._answering.recall)
        for record in records:
            self._backlog.put(record)
