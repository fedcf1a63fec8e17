"""What ends a run before all is answered: a signal, a deadline, models that never answer, a full disk, a hang."""

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from signal import Signals
from typing import Any

from batchroute.core.errors import DeadlineError, HungError, NoRoomError, OutputError, StalledError
from batchroute.engine.admission import Window
from batchroute.engine.clock import Clock
from batchroute.engine.cutoffs import Cutoff
from batchroute.engine.halts import Halt
from batchroute.engine.pools import Pool
from batchroute.engine.stacks import tell_stacks
from batchroute.engine.tally import Tally
from batchroute.engine.watchdog import Watchdog
from batchroute.io.files import check_room
from batchroute.job.durations import spelled

GRACE_S = 30.0
"""How long what is in flight may still come back after a stop."""
BROKEN_DISK_GRACE_S = 3.0
"""And when something else than the journal cannot be written."""
ROOM_INTERVAL_S = 1.0
LOOK_AT_THE_CLOCK_S = 1.0
LOOKS_PER_WAIT = 60

Attendant = Callable[[], Coroutine[Any, Any, None]]


@dataclass(kw_only=True)
class Stops:
    """Watches over a run and stops it: nothing is started then, and what is in flight has `GRACE_S` to come back.

    `max_wait_s` is how long records may wait while none is answered, `due_at` when the run has to be done by the wall
    clock, seconds since the epoch.
    """

    halt: Halt
    pools: Mapping[str, Pool]
    tally: Tally
    window: Window
    clock: Clock
    directory: Path
    max_wait_s: float
    due_at: float | None
    whole: Cutoff = field(default_factory=Cutoff)
    """Of the run."""
    flight: Cutoff = field(default_factory=Cutoff)
    """Of the requests that are out, within the run."""
    signal: Signals | None = None
    """The first one that was heard."""
    cut_off: bool = False
    """Whether a second signal asked to end at once."""
    broken: OutputError | None = None
    """The first file that could not be written."""
    _answered_at: float = 0.0

    def __post_init__(self) -> None:
        self.halt.on_stop(self._grace)

    def attendants(self) -> list[Attendant]:
        """What has to run beside the journeys."""
        in_time = [] if self.due_at is None else [self._in_time]
        return [self._when_stalled, self._when_full, *in_time]

    def heard(self, number: Signals) -> None:
        """The first signal lets what is in flight finish; the second one does not, nor does it wait for exports."""
        if self.signal is not None:
            self.cut_off = True
            if not self.flight.within(0.0):
                self.whole.within(0.0)
        self.signal = self.signal or number
        self.halt.stop()

    def _grace(self) -> None:
        self.flight.within(GRACE_S)

    def broke(self, error: OutputError) -> None:
        """Stop, as a file could not be written: the first one is what the run ends with."""
        self.broken = self.broken or error
        self.halt.stop(error)

    @contextlib.contextmanager
    def when_broken(self) -> Iterator[None]:
        """When a file cannot be written, send nothing more; what is in flight may still reach the journal."""
        try:
            yield
        except OutputError as error:
            self.broke(error)
            self.flight.within(BROKEN_DISK_GRACE_S)

    def gives_up_s(self) -> float | None:
        """Seconds until the run ends unless a record is answered; None while that is not waited for."""
        if not self._parked() or any(pool.in_flight for pool in self.pools.values()):
            return None
        return self._answered_at + self.max_wait_s - self.clock.now()

    async def _when_full(self) -> None:
        """Stop in good order while there is still room for what is in flight and for the last parts."""
        try:
            while True:
                await asyncio.sleep(ROOM_INTERVAL_S)
                check_room(self.directory)
        except NoRoomError as error:
            self.halt.stop(error)

    async def _in_time(self) -> None:
        """Send nothing more once it would not be back by the deadline; what is still out then is cut off."""
        while (spare_s := self._due_in_s() - self._usual_s()) > 0:  # noqa: ASYNC110  a clock that is set is no event
            await asyncio.sleep(min(LOOK_AT_THE_CLOCK_S, spare_s))
        self.flight.within(self._due_in_s())
        self.halt.stop(DeadlineError("the deadline has come; the same command goes on"))

    def _due_in_s(self) -> float:
        """Seconds left until the deadline, by the wall clock: it may be set, and machines are suspended."""
        assert self.due_at is not None
        return self.due_at - self.clock.wall()

    def _usual_s(self) -> float:
        """How long the slowest of the models in use may take for an answer."""
        return min(GRACE_S, max((pool.usual_s for pool in self.pools.values()), default=0.0))

    async def _when_stalled(self) -> None:
        """Stop when records wait and nothing was answered for too long: every model is down, or refuses these.

        And when nothing happens at all although something should, which ends sooner.
        """
        finished, self._answered_at = self.tally.finished, self.clock.now()
        timeouts = [pool.spec.timeout_s for pool in self.pools.values()]
        loop = asyncio.get_running_loop()
        watchdog = Watchdog.over(timeouts, self.max_wait_s / LOOKS_PER_WAIT, loop.time())
        while True:
            await asyncio.sleep(watchdog.interval_s)
            if watchdog.hangs(loop.time(), self._signs(), waits=self._waits):
                self._end_hung(watchdog.limit_s)
                return
            if self.tally.finished != finished or not self._parked():
                finished, self._answered_at = self.tally.finished, self.clock.now()
            elif self.clock.now() - self._answered_at >= self.max_wait_s:
                waited = spelled(self.max_wait_s)
                self.halt.stop(StalledError(f"no record was answered for {waited}; the same command goes on"))

    def _parked(self) -> bool:
        """Whether records wait and no model is in order: a slow one that has requests out, or is paced, is."""
        return self.window.taken > 0 and not any(pool.in_order for pool in self.pools.values())

    def _end_hung(self, limit_s: float) -> None:
        """Stop a run in which nothing happens although it should: a bug of ours shall say where it stood."""
        tell_stacks()
        out = sum(pool.in_flight for pool in self.pools.values())
        self.halt.stop(
            HungError(
                f"nothing happened for {limit_s:g} s with {out} requests in flight: please report this with "
                "the stacks above; the same command goes on"
            )
        )
        self.flight.within(0.0)

    def _signs(self) -> Hashable:
        """What changes while a run goes on: records read and finished, requests started and answered."""
        pools = ((pool.started, pool.answered) for pool in self.pools.values())
        return (self.tally.read, self.tally.finished, *pools)

    def _waits(self) -> bool:
        """Whether all wait for a time to come: a pause, a limit, the end of a cooldown."""
        pools = [pool.statistics() for pool in self.pools.values()]
        queued = any(pool.waiting or pool.state != "closed" for pool in pools)
        return not any(pool.in_flight for pool in pools) and (queued or self.halt.sleepers > 0)
