"""How a run has ended, and what that means to whoever started it."""

import datetime as dt
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from signal import Signals

from msgspec import Struct

from batchroute.core.errors import (
    BatchrouteError,
    BudgetError,
    InputError,
    JobError,
    NoModelError,
    OutputError,
)
from batchroute.job.notify import Event


class Ended(Struct, frozen=True, kw_only=True):
    """How a run ended. Counts are records of the input; `cost` is what this run spent, picodollars."""

    run_id: str
    exit_code: int
    reason: str | None
    started_at: dt.datetime
    duration_s: float
    total: int
    succeeded: int
    failed: int
    degraded: int
    skipped: int
    """Answered by an earlier run."""
    pending: int
    stale: int
    """Finished records of the output whose request has changed since they were answered."""
    cost: int
    unpriced: int
    warnings: tuple[str, ...]
    """What a person should know of the input, the prices and the job."""
    disabled: dict[str, str]
    """Models that were left out for the rest of the run, and why."""
    errors: dict[str, int]
    """Attempts that failed, by error type, the most frequent first."""
    failed_over: int
    """Records of this run that their first choice could not answer."""
    event: Event
    """How those are told who do not watch: finish, failure or budget."""
    cut_off: bool
    """Whether a second signal asked to end at once."""
    failed_before: int = 0
    """Dead letters of earlier runs that this one did not try again."""
    repeated: int = 0
    """Finished records of this run that shared the answer of an equal one."""
    cached: int = 0
    """Finished records of this run that were answered from the cache."""
    spared: int | None = None
    """What these answers cost when they were asked for, at today's prices, picodollars; None where none is known."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ending:
    """Why a run has ended. A signal counts for more than what stopped it, and that more than what is left."""

    signal: Signals | None
    stopped_by: BaseException | None
    sent: bool
    """Whether this run has sent anything."""
    waiting: int
    """Records without a result that this run was to answer."""
    failed: int
    """Records that are dead letters, of this run and of earlier ones."""
    untried: int
    """Those of earlier runs that this one was not to try again."""
    unaffordable: str | None
    """What no longer leaves room for a request; None where every request could be afforded."""
    out: Mapping[str, str]
    """Models that are out for the rest of the run, and why."""

    @property
    def exit_code(self) -> int:
        if self.signal is not None:
            return 128 + self.signal
        if isinstance(self.stopped_by, JobError) and self.sent:
            return InputError.exit_code
        if isinstance(self.stopped_by, BatchrouteError):
            return self.stopped_by.exit_code
        if self.waiting and self.unaffordable is not None:
            return BudgetError.exit_code
        if self.waiting:
            return NoModelError.exit_code if self.out else 1
        return 3 if self.failed else 0

    @property
    def event(self) -> Event:
        if self.signal is None and isinstance(self.stopped_by, BatchrouteError):
            return self.stopped_by.event
        if self.waiting and self.unaffordable is not None:
            return BudgetError.event
        return "failure" if self.exit_code else "finish"

    @property
    def reason(self) -> str | None:
        """In words; None of a run that got through."""
        if self.signal is not None:
            return f"stopped by {self.signal.name}; the same command goes on"
        if self.stopped_by is not None:
            return str(self.stopped_by)
        if not self.waiting:
            return self._left_alone()
        if self.unaffordable is not None:
            return f"{self.waiting} records wait for a larger budget: {self.unaffordable}"
        if self.out:
            out = "; ".join(f"{model}: {why}" for model, why in self.out.items())
            return f"{self.waiting} records wait for a model that is out: {out}; mend that and run again"
        return f"{self.waiting} records have no result although all was read: please report this"

    def _left_alone(self) -> str | None:
        if not self.untried:
            return None
        return f"{self.untried} records failed before and were not tried again: run without --no-retry-failed"


def weightiest(group: BaseExceptionGroup[BatchrouteError]) -> BatchrouteError:
    """The error that matters most of those that happened together: a failing disk before all else."""
    leaves = list(_leaves(group))
    return next((error for error in leaves if isinstance(error, OutputError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BatchrouteError]) -> Iterator[BatchrouteError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error
