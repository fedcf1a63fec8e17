"""The running totals of one run: what is committed, and nothing else."""

from collections import Counter, deque
from dataclasses import dataclass, field

from msgspec import Struct

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.results import Status
from batchroute.engine.pools import PoolStatistics
from batchroute.io.store import Group

RATE_WINDOW_S = 10.0


class Progress(Struct, frozen=True, kw_only=True):
    """A moment of a run. Costs are picodollars, times seconds; None where unknown."""

    elapsed_s: float
    read: int
    total: int | None
    share_read: float
    skipped: int
    succeeded: int
    failed: int
    degraded: int
    in_motion: int
    per_second: float
    cost: int
    unpriced: int
    left_s: float | None
    pools: tuple[PoolStatistics, ...]
    stopping: bool
    failed_over: int = 0
    """Finished records of this run that needed a failover."""
    gives_up_s: float | None = None
    """Seconds until the run ends unless a record is answered; None while requests are out."""
    repeated: int = 0
    """Finished records of this run that shared the answer of an equal one."""
    cached: int = 0
    """Finished records of this run that were answered from the cache."""
    spared: int | None = None
    """What these answers cost when they were asked for, at today's prices, picodollars; None where none is known."""


@dataclass
class Tally:
    """Counts what this run has read and, as it is committed, what it has finished.

    `skipped` are records that an earlier run had finished, `stale` those among them that ask for something else by
    now, `left_out` the pending ones that this run was not asked for; `cost` is what this run has spent, picodollars;
    `unpriced` are the attempts whose cost is unknown, `errors` those that failed, by error type; `failed_over` are the
    records at their end that their first choice could not answer; `repeated` are the finished records that shared the answer of an equal
    one, `cached` those that were answered from the cache, `spared` is what both would have cost, picodollars, None as
    long as that is known of none.
    """

    read: int = 0
    skipped: Counter[Status] = field(default_factory=Counter)
    stale: int = 0
    left_out: int = 0
    statuses: Counter[Status] = field(default_factory=Counter)
    cost: int = 0
    unpriced: int = 0
    errors: Counter[str] = field(default_factory=Counter)
    failed_over: int = 0
    repeated: int = 0
    cached: int = 0
    spared: int | None = None
    _recent: deque[tuple[float, int]] = field(default_factory=deque)

    def count(self, group: Group) -> None:
        """Count what was committed together."""
        for _, result in group.results:
            self.statuses[result.status] += 1
        for _, attempt in group.ended:
            self._count(attempt)
        for _, reuse in group.reused:
            if group.lines[reuse.line].cost_basis is CostBasis.CACHE:
                self.cached += 1
            else:
                self.repeated += 1
            if reuse.spared is not None:
                self.spared = reuse.spared + (self.spared or 0)

    def note_failover(self) -> None:
        """Count a record that another model than its first choice had to answer, if one did."""
        self.failed_over += 1

    def _count(self, attempt: Attempt) -> None:
        if attempt.error_type is not None and attempt.verdict is not None:  # another one was faster
            self.errors[attempt.error_type] += 1
        if attempt.cost is None:
            self.unpriced += 1
        else:
            self.cost += attempt.cost

    @property
    def finished(self) -> int:
        return self.statuses.total()

    def per_second(self, now: float) -> float:
        """Records finished per second over the last ten seconds or so; ask about once a second."""
        self._recent.append((now, self.finished))
        while len(self._recent) > 2 and self._recent[0][0] < now - RATE_WINDOW_S:
            self._recent.popleft()
        (then, before), (latest, count) = self._recent[0], self._recent[-1]
        return (count - before) / (latest - then) if latest > then else 0.0
