"""All journeys of one job: in which order it runs, and how it ends.

source ─▶ feed ─▶ backlog ─▶ journeys ─▶ commits ─▶ exporter
                    ▲ window ──┘
"""

import asyncio
import contextlib
import datetime as dt
import logging
import signal
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Hashable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, structs

from batchroute.core.attempts import Attempt
from batchroute.core.errors import (
    BatchrouteError,
    BudgetError,
    DeadlineError,
    HungError,
    InputError,
    InterruptedRunError,
    NoModelError,
    NoRoomError,
    OutputError,
    StalledError,
)
from batchroute.core.records import Batch
from batchroute.core.results import Result, Status
from batchroute.engine.admission import Backlog, Window
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.exports import PART_BYTES, PART_RECORDS, Exporter
from batchroute.engine.feed import Feed
from batchroute.engine.halts import Halt
from batchroute.engine.journey import Journey
from batchroute.engine.network import Network
from batchroute.engine.pools import Pool
from batchroute.engine.purses import Purse
from batchroute.engine.requests import Requests
from batchroute.engine.signals import listening
from batchroute.engine.stacks import stacks
from batchroute.engine.tally import Progress, Tally
from batchroute.engine.trails import Admitted
from batchroute.engine.watchdog import Watchdog
from batchroute.io.files import check_room
from batchroute.io.manifest import LastRun
from batchroute.io.sources.source import Source
from batchroute.io.store import Group, Store
from batchroute.job.durations import spelled
from batchroute.job.notify import Event

LOG = logging.getLogger("batchroute")
GRACE_S = 30.0
BROKEN_DISK_GRACE_S = 3.0
"""How long what is in flight may still come back when something else than the journal cannot be written."""
ROOM_INTERVAL_S = 1.0
LOOK_AT_THE_CLOCK_S = 1.0
WATCH_INTERVAL_S = 0.5
LOOKS_PER_WAIT = 60
MAX_WAIT_S = 3600.0

Watch = Callable[[Progress], None]
Attendant = Callable[[], Coroutine[Any, Any, None]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a run is asked beyond the job. `limit`: read only the first records; `fresh`: start over.

    `max_wait_s`: how long records may wait for a model while none is answered, seconds; `max_duration_s`: how
    long the run may take.
    """

    limit: int | None = None
    fresh: bool = False
    retry_failed: bool = True
    max_wait_s: float = MAX_WAIT_S
    max_duration_s: float | None = None


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
    pending: int
    cost: int
    unpriced: int
    warnings: tuple[str, ...]
    """What a person should know of the input, the prices and the job."""
    disabled: dict[str, str]
    """Models that were left out for the rest of the run, and why."""
    errors: dict[str, int]
    """Attempts that failed, by error type, the most frequent first."""
    failed_over: int
    """Finished records of this run that needed a failover."""
    event: Event
    """How those are told who do not watch: finish, failure or budget."""
    cut_off: bool
    """Whether a second signal asked to end at once."""


@dataclass(kw_only=True)
class Pipeline:
    """One run, opened and ready."""

    run_id: str
    options: Options
    clock: Clock
    source: Source
    store: Store
    exporter: Exporter
    pools: Mapping[str, Pool]
    halt: Halt
    commits: Commits
    tally: Tally
    window: Window
    backlog: Backlog
    feed: Feed
    purse: Purse
    due_at: float | None
    """When the run has to be done, by the wall clock."""
    warnings: tuple[str, ...]
    _part_due: asyncio.Event = field(default_factory=asyncio.Event)
    _read_all: bool = False
    _all_walked: bool = False
    _signal: signal.Signals | None = None
    _cut_off: bool = False
    _deadline: asyncio.Timeout | None = None
    _whole: asyncio.Timeout | None = None
    _answered_at: float = 0.0
    _broken: OutputError | None = None

    def __post_init__(self) -> None:
        self._started_at, self._began = self.clock.wall(), self.clock.now()
        self.halt.on_stop(self._wake_all)
        requests = Requests(
            run_id=self.run_id,
            network=Network({pool.spec.provider for pool in self.pools.values()}),
            commits=self.commits,
            halt=self.halt,
            clock=self.clock,
            purse=self.purse,
            committed=self._committed,
        )
        self._journey = Journey(
            pools=self.pools, requests=requests, halt=self.halt, clock=self.clock, purse=self.purse
        )

    async def run(self, watch: Watch | None) -> Ended:
        """Run to the end, or to the stop; what is committed is exported, unless the disk fails: then a resume does.

        Raises OutputError when the disk fails, and InterruptedRunError when a second signal comes while nothing is
        in flight.
        """
        with _listening(self._heard, _tell_stacks):
            try:
                async with asyncio.timeout(None) as self._whole:
                    return await self._run(watch)
            except TimeoutError:
                raise InterruptedRunError(str(self._reason()), exit_code=self._exit_code()) from None
            except OutputError:
                with contextlib.suppress(OutputError):
                    self._note("stopped", OutputError.exit_code, self._counts_stored())
                raise

    async def _run(self, watch: Watch | None) -> Ended:
        await self._recover()
        if self.purse.bounded:
            self.purse.begin(self.exporter.spent())
        self._note("running", None, self._counts_stored())
        await self._travel(watch)
        await self._conclude()
        ended = self._ended()
        self._note(
            "stopped" if ended.pending or self.halt.stopping else "finished",
            ended.exit_code,
            self._counts_stored(),
        )
        return ended

    async def _recover(self) -> None:
        """Put in order what an interrupted run has left: open attempts end unknown, the journal goes to parts."""
        unknown = [
            (seq, structs.replace(attempt, verdict="retry")) for seq, attempt in self.store.unfinished()
        ]
        if unknown:
            self.store.commit(Group([], unknown, []))
        await self.exporter.export()  # what a crash left half done
        await self.exporter.export()  # what came after it: no range may hold two results of one record
        if self.options.retry_failed:
            self.exporter.retract_dead_letters()

    async def _travel(self, watch: Watch | None) -> None:
        """All journeys. Raises OutputError when the disk fails; whatever else stops them is the halt's reason."""
        try:
            await self._walk_all(watch)
        except* BatchrouteError as group:
            first = _first(group)
            if isinstance(first, OutputError):
                self._broken = self._broken or first
            self.halt.stop(first)
        if self._broken is not None:
            with contextlib.suppress(OutputError):
                self._enter_cancelled()
            raise self._broken

    async def _walk_all(self, watch: Watch | None) -> None:
        async with _background(*self._attendants(watch)), asyncio.TaskGroup() as exporting:
            exporting.create_task(self._export_regularly())
            try:
                async with asyncio.timeout(None) as self._deadline, asyncio.TaskGroup() as journeys:
                    with self._stopping_when_broken():
                        await self._admit(journeys)
            except TimeoutError:
                pass  # the grace after a stop is over; what was in flight is entered as cancelled
            finally:
                self._deadline = None
            self._all_walked = True
            self._part_due.set()

    def _attendants(self, watch: Watch | None) -> list[Attendant]:
        pacers = [pool.pace for pool in self.pools.values()]
        attendants = [*pacers, self._flush_regularly, self._stop_when_stalled, self._stop_when_full]
        if self.due_at is not None:
            attendants.append(self._stop_in_time)
        return attendants if watch is None else [*attendants, lambda: self._watch(watch)]

    async def _admit(self, journeys: asyncio.TaskGroup) -> None:
        """Start journeys as the window allows, reading on whenever a pool has nothing ready."""
        batches = self.source.batches()
        async with contextlib.aclosing(batches):
            while not self.halt.stopping:
                if not (self._read_all or self.feed.soundness.known):
                    await self._read(batches)  # nothing is paid for before it is known to be worth it
                    continue
                for record in self.backlog.ready():
                    journeys.create_task(self._walk(record))
                if not self._read_all and self.backlog.hungry():
                    await self._read(batches)
                    await asyncio.sleep(0)
                elif self._read_all and not self.backlog:
                    return
                else:
                    await self.window.freed()

    async def _read(self, batches: AsyncGenerator[Batch, None]) -> None:
        """Read one batch into the backlog. Unusable input stops the run; what is in flight still finishes."""
        try:
            batch = await anext(batches, None)
        except InputError as error:
            self.halt.stop(error)
            return
        limit = self.options.limit
        left = None if limit is None else limit - self.tally.read
        self._read_all = batch is None or (left is not None and len(batch) >= left)
        if batch is not None:
            await self.feed.take(batch if left is None else batch.first(left))
        self._stop_when_mostly_bad()

    def _stop_when_mostly_bad(self) -> None:
        soundness = self.feed.soundness
        if (soundness.known or self._read_all) and (reason := soundness.unusable()):
            self.halt.stop(InputError(reason, code="input_mostly_bad"))

    async def _walk(self, record: Admitted) -> None:
        try:
            await self._journey.walk(record)
        finally:
            self.window.give_back(record.models[0])

    def _committed(self, attempt: Attempt | None, result: Result | None) -> None:
        self.tally.count(attempt, result)
        if attempt is not None and attempt.cost:
            self.purse.spend(attempt.route, attempt.cost)
        if self._is_part_due():
            self._part_due.set()

    def _is_part_due(self) -> bool:
        return self.store.unexported >= PART_RECORDS or self.store.unexported_bytes >= PART_BYTES

    async def _export_regularly(self) -> None:
        """Write parts as they fall due. It ends by itself: an export that is cut off would go on in its thread."""
        while not self._all_walked:
            await self._part_due.wait()
            self._part_due.clear()
            if self._is_part_due() and not self._all_walked:
                with self._stopping_when_broken():
                    await self.exporter.export()
                    self._note("running", None, self._counts_so_far())
                if self._broken is not None:
                    return

    async def _flush_regularly(self) -> None:
        with self._stopping_when_broken():
            await self.commits.flush_regularly()

    async def _stop_when_full(self) -> None:
        """Stop in good order while there is still room for what is in flight and for the last parts."""
        try:
            while True:
                await asyncio.sleep(ROOM_INTERVAL_S)
                check_room(self.exporter.directory)
        except NoRoomError as error:
            self.halt.stop(error)

    async def _stop_in_time(self) -> None:
        """Send nothing more once it would not be back by the deadline; what is still out then is cut off."""
        while (spare_s := self._due_in_s() - self._usual_s()) > 0:  # noqa: ASYNC110  a clock that is set is no event
            await asyncio.sleep(min(LOOK_AT_THE_CLOCK_S, spare_s))
        self._end_within(self._due_in_s())
        self.halt.stop(DeadlineError("the deadline has come; the same command goes on"))

    def _due_in_s(self) -> float:
        """Seconds left until the deadline, by the wall clock: it may be set, and machines are suspended."""
        assert self.due_at is not None
        return self.due_at - self.clock.wall()

    def _usual_s(self) -> float:
        """How long the slowest of the models in use may take for an answer."""
        return min(GRACE_S, max((pool.usual_s for pool in self.pools.values()), default=0.0))

    async def _stop_when_stalled(self) -> None:
        """Stop when records wait and nothing was answered for too long: every model is down, or refuses these.

        And when nothing happens at all although something should, which ends sooner.
        """
        longest = self.options.max_wait_s
        finished, self._answered_at = self.tally.finished, self.clock.now()
        timeouts = [pool.spec.timeout_s for pool in self.pools.values()]
        loop = asyncio.get_running_loop()
        watchdog = Watchdog.over(timeouts, longest / LOOKS_PER_WAIT, loop.time())
        while True:
            await asyncio.sleep(watchdog.interval_s)
            if watchdog.hangs(loop.time(), self._signs(), waits=self._waits):
                self._end_hung(watchdog.limit_s)
                return
            if self.tally.finished != finished or not self._parked():
                finished, self._answered_at = self.tally.finished, self.clock.now()
            elif self.clock.now() - self._answered_at >= longest:
                self.halt.stop(
                    StalledError(f"no record was answered for {spelled(longest)}; the same command goes on")
                )

    def _parked(self) -> bool:
        """Whether records wait and no model is in order: a slow one that has requests out, or is paced, is."""
        return self.window.taken > 0 and not any(pool.in_order for pool in self.pools.values())

    def _end_hung(self, limit_s: float) -> None:
        """Stop a run in which nothing happens although it should: a bug of ours shall say where it stood."""
        _tell_stacks()
        out = sum(pool.statistics().in_flight for pool in self.pools.values())
        self.halt.stop(
            HungError(
                f"nothing happened for {limit_s:g} s with {out} requests in flight: please report this with "
                "the stacks above; the same command goes on"
            )
        )
        self._end_within(0.0)

    def _signs(self) -> Hashable:
        """What changes while a run goes on: records read and finished, requests started and answered."""
        pools = ((pool.started, pool.answered) for pool in self.pools.values())
        return (self.tally.read, self.tally.finished, *pools)

    def _waits(self) -> bool:
        """Whether all wait for a time to come: a pause, a limit, the end of a cooldown."""
        pools = [pool.statistics() for pool in self.pools.values()]
        queued = any(pool.waiting or pool.state != "closed" for pool in pools)
        return not any(pool.in_flight for pool in pools) and (queued or self.halt.sleepers > 0)

    async def _watch(self, watch: Watch) -> None:
        while True:
            watch(self.progress())
            await asyncio.sleep(WATCH_INTERVAL_S)

    def _heard(self, number: signal.Signals) -> None:
        """The first signal lets what is in flight finish; the second one does not, nor does it wait for exports."""
        if self._signal is not None:
            self._cut_off = True
            if self._deadline is not None and not self._deadline.expired():
                self._end_within(0.0)
            elif self._whole is not None:
                self._whole.reschedule(asyncio.get_running_loop().time())
        self._signal = self._signal or number
        self.halt.stop()

    @contextlib.contextmanager
    def _stopping_when_broken(self) -> Iterator[None]:
        """When a file cannot be written, send nothing more; what is in flight may still reach the journal."""
        try:
            yield
        except OutputError as error:
            self._broken = self._broken or error
            self.halt.stop(error)
            self._end_within(BROKEN_DISK_GRACE_S)

    def _end_within(self, seconds: float) -> None:
        """Cut off after so long what is still in flight, if it is not to be sooner."""
        if self._deadline is None or self._deadline.expired():
            return
        end, planned = asyncio.get_running_loop().time() + seconds, self._deadline.when()
        self._deadline.reschedule(end if planned is None else min(end, planned))

    def _wake_all(self) -> None:
        """Let everybody who waits see that the run is stopping."""
        self._end_within(GRACE_S)
        self.window.wake()
        self.purse.close()
        for pool in self.pools.values():
            pool.turn_away()

    def _enter_cancelled(self) -> None:
        cancelled = [
            (seq, structs.replace(attempt, error_type="cancelled_by_run", outcome="error", verdict="retry"))
            for seq, attempt in self.store.unfinished()
        ]
        if cancelled:
            self.store.commit(Group([], cancelled, []))
            for _, attempt in cancelled:
                self.tally.count(attempt, None)

    async def _conclude(self) -> None:
        """Enter what was cancelled, export the rest of the journal and the dead letters."""
        self._enter_cancelled()
        await self.exporter.export()
        if self._read_all and self.options.limit is None:
            self.store.forget_places()
        await self.exporter.write_dead_letters()

    def progress(self) -> Progress:
        """How far the run is."""
        now = self.clock.now()
        tally, reading = self.tally, self.source.statistics()
        total = tally.read if self._read_all else self.source.rows
        per_second = tally.per_second(now)
        done = tally.finished + tally.skipped.total()
        share_read = 1.0 if self._read_all else reading.bytes_read / max(1, self.source.bytes_total)
        pools = tuple(pool.statistics() for pool in self.pools.values())
        waiting = self._parked() and not any(pool.in_flight for pool in pools)
        expected = total if total is not None else (tally.read / share_read if share_read else None)
        return Progress(
            elapsed_s=now - self._began,
            read=tally.read,
            total=self._total(),
            share_read=share_read,
            skipped=tally.skipped.total(),
            succeeded=tally.statuses[Status.SUCCEEDED],
            failed=tally.statuses[Status.FAILED],
            degraded=tally.statuses[Status.DEGRADED],
            in_motion=self.window.taken,
            per_second=per_second,
            cost=tally.cost,
            unpriced=tally.unpriced,
            left_s=(expected - done) / per_second if expected is not None and per_second else None,
            pools=pools,
            stopping=self.halt.stopping,
            failed_over=tally.failed_over,
            gives_up_s=self._answered_at + self.options.max_wait_s - now if waiting else None,
        )

    def _ended(self) -> Ended:
        tally = self.tally
        return Ended(
            run_id=self.run_id,
            exit_code=self._exit_code(),
            reason=self._reason(),
            started_at=dt.datetime.fromtimestamp(self._started_at, dt.UTC),
            duration_s=self.clock.now() - self._began,
            total=self._total(),
            succeeded=tally.statuses[Status.SUCCEEDED],
            failed=tally.statuses[Status.FAILED],
            degraded=tally.statuses[Status.DEGRADED],
            skipped=tally.skipped.total(),
            pending=self._pending(),
            cost=tally.cost,
            unpriced=tally.unpriced,
            warnings=self._all_warnings(),
            disabled={model: pool.disabled for model, pool in self.pools.items() if pool.disabled},
            errors=dict(tally.errors.most_common()),
            failed_over=tally.failed_over,
            event=self._event(),
            cut_off=self._cut_off,
        )

    def _all_warnings(self) -> tuple[str, ...]:
        remark = None if isinstance(self.halt.reason, InputError) else self.feed.soundness.remark()
        return (*self.warnings, *self.source.remarks(), *((remark,) if remark else ()))

    def _total(self) -> int:
        rows = 0 if self._read_all or self.options.limit else self.source.rows or 0
        return max(self.tally.read, rows)

    def _pending(self) -> int:
        return self._total() - self.tally.finished - self.tally.skipped.total()

    def _exit_code(self) -> int:
        if self._signal is not None:
            return 128 + self._signal
        if isinstance(self.halt.reason, BatchrouteError):
            return self.halt.reason.exit_code
        if self._pending() and self.purse.refused:
            return BudgetError.exit_code
        if self._pending():
            return NoModelError.exit_code if self._out() else 1
        failed = self.tally.statuses[Status.FAILED] + self.tally.skipped[Status.FAILED]
        return 3 if failed else 0

    def _event(self) -> Event:
        if self._signal is None and isinstance(self.halt.reason, BatchrouteError):
            return self.halt.reason.event
        if self._pending() and self.purse.refused:
            return BudgetError.event
        return "failure" if self._exit_code() else "finish"

    def _reason(self) -> str | None:
        if self._signal is not None:
            return f"stopped by {self._signal.name}; the same command goes on"
        if self.halt.reason is None and self._pending() and self.purse.refused:
            return f"{self._pending()} records wait for a larger budget: {self.purse.shortage() or 'each may cost more than is left'}"
        if self.halt.reason is None and (out := self._out()) and self._pending():
            return f"{self._pending()} records wait for a model that is out: {out}; mend that and run again"
        if self.halt.reason is None and self._pending():
            return f"{self._pending()} records have no result although all was read: please report this"
        return str(self.halt.reason) if self.halt.reason else None

    def _out(self) -> str:
        """The models that are out for the rest of the run, and why."""
        return "; ".join(f"{model}: {pool.disabled}" for model, pool in self.pools.items() if pool.disabled)

    def _counts_stored(self) -> dict[str, int]:
        return {state.name.lower(): count for state, count in self.store.counts().items()}

    def _counts_so_far(self) -> dict[str, int]:
        """Of the records that this run has read; counting those in the store would take longer with each part."""
        tally = self.tally
        done = {status.value: tally.statuses[status] + tally.skipped[status] for status in Status}
        return {"pending": tally.read - sum(done.values()), **done}

    def _note(self, state: str, exit_code: int | None, counts: dict[str, int]) -> None:
        """Write into the manifest how the run stands."""
        last_run = LastRun(
            run_id=self.run_id,
            state=state,
            started_at=_iso(self._started_at),
            updated_at=_iso(self.clock.wall()),
            exit_code=exit_code,
            models={model: pool.statistics().state for model, pool in self.pools.items()},
        )
        self.exporter.update(lambda manifest: structs.replace(manifest, counts=counts, last_run=last_run))


@asynccontextmanager
async def _background(*attendants: Attendant) -> AsyncIterator[None]:
    """Run coroutines beside the body and cancel them after it; what one of them raises ends the body."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attendant()) for attendant in attendants]
        yield
        for task in tasks:
            task.cancel()


def _tell_stacks() -> None:
    LOG.warning("%s", stacks(), extra={"event": "stacks"})


@contextlib.contextmanager
def _listening(heard: Callable[[signal.Signals], None], asked: Callable[[], None]) -> Iterator[None]:
    """Signals reach only the main thread; a run in another one is stopped by its caller."""
    if threading.current_thread() is threading.main_thread():
        with listening(heard, asked):
            yield
    else:
        yield


def _first(group: BaseExceptionGroup[BatchrouteError]) -> BatchrouteError:
    """The error that matters most of those that happened together: a failing disk before all else."""
    leaves = list(_leaves(group))
    return next((error for error in leaves if isinstance(error, OutputError)), leaves[0])


def _leaves(group: BaseExceptionGroup[BatchrouteError]) -> Iterator[BatchrouteError]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
