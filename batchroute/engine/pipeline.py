"""All journeys of one job: in which order it runs, and how it ends.

source ─▶ feed ─▶ backlog ─▶ journeys ─▶ commits ─▶ exporter
                    ▲ window ──┘
"""

import asyncio
import contextlib
import datetime as dt
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from msgspec import structs

from batchroute.core.errors import (
    BatchrouteError,
    InputError,
    InterruptedRunError,
    JobError,
    OutputError,
)
from batchroute.core.money import usd
from batchroute.core.records import Batch
from batchroute.core.results import Status
from batchroute.engine.admission import Backlog, Window
from batchroute.engine.caches import Cache
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.demands import Demands
from batchroute.engine.endings import Ended, Ending, weightiest
from batchroute.engine.exports import PART_BYTES, PART_RECORDS, Exporter
from batchroute.engine.feed import Feed
from batchroute.engine.halts import Halt
from batchroute.engine.inquiries import Inquiries
from batchroute.engine.journey import Journey
from batchroute.engine.judgements import Judgements
from batchroute.engine.lineups import Lineup
from batchroute.engine.network import Network
from batchroute.engine.pools import Pool
from batchroute.engine.purses import Purse
from batchroute.engine.requests import Requests
from batchroute.engine.signals import Ear, listening
from batchroute.engine.stacks import tell_stacks
from batchroute.engine.stops import Attendant, Stops
from batchroute.engine.tally import Progress, Tally
from batchroute.engine.trails import Admitted
from batchroute.engine.twins import Twins
from batchroute.io.manifest import LastRun
from batchroute.io.sources.source import Source
from batchroute.io.store import Group, Store
from batchroute.job.moments import Since
from batchroute.routing.forms import Formed

WATCH_INTERVAL_S = 0.5
PART_INTERVAL_S = 300.0
"""After so long there is a part, however slow the run: what `status` and `report` tell is no older."""
MAX_WAIT_S = 3600.0

Watch = Callable[[Progress], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """What a run is asked beyond the job. `limit`: read only the first records; `fresh`: start over.

    `max_wait_s`: how long records may wait for a model while none is answered, seconds; `max_duration_s`: how
    long the run may take. `refresh_changed`: answer stale records anew; `only`: `route=NAME` and its like, of which
    the others stay pending; `since`: read only files that were modified then or later; `otel`: export attempts by
    OpenTelemetry; without `use_cache` every answer is asked for anew, and takes the place of the one in the cache.
    """

    limit: int | None = None
    fresh: bool = False
    retry_failed: bool = True
    max_wait_s: float = MAX_WAIT_S
    max_duration_s: float | None = None
    refresh_changed: bool = False
    only: tuple[str, ...] = ()
    since: Since | None = None
    otel: bool = False
    use_cache: bool = True


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
    stops: Stops
    lineups: Mapping[str, Lineup]
    demands: Demands
    forms: Mapping[str, Formed]
    warnings: tuple[str, ...]
    twins: Twins | None = None
    """None where equal records are sent each for itself."""
    cache: Cache | None = None
    exported: Callable[[], None] = lambda: None
    """Called when more parts are finished while the run goes on."""
    ear: Ear = field(default_factory=Ear)
    _part_due: asyncio.Event = field(default_factory=asyncio.Event)
    _read_all: bool = False
    _all_walked: bool = False

    def __post_init__(self) -> None:
        if self.twins is not None:
            self.exporter.starting = self.twins.exporting
        self._started_at, self._began = self.clock.wall(), self.clock.now()
        self.halt.on_stop(self._wake_all)
        requests = Requests(
            run_id=self.run_id,
            network=Network({pool.spec.provider for pool in self.pools.values()}),
            commits=self.commits,
            halt=self.halt,
            clock=self.clock,
            purse=self.purse,
            last_resorts=self.demands.last_resorts,
            cache=self.cache,
        )
        wished = self.feed.wishes.rules if self.feed.wishes is not None else ()
        answering = {model for rule in (*self.feed.router.rules, *wished) for model in rule.models}
        self._journey = Journey(
            pools={model: pool for model, pool in self.pools.items() if model in answering},
            requests=requests,
            halt=self.halt,
            clock=self.clock,
            purse=self.purse,
            lineups=self.lineups,
            checks=self.demands.checks,
            judgements=Judgements(
                pools=self.pools, requests=requests, halt=self.halt, clock=self.clock, purse=self.purse
            ),
            forms=self.forms,
            resting=self.window.wake,
            failed_over=self.tally.note_failover,
        )
        judged = any(checks.judge is not None for checks in self.demands.checks.values())
        self._direct = not (self.lineups or judged or self.purse.bounded)
        self._inquiries = Inquiries.of(self.feed.classifier, self._journey, self.pools, self.store)

    async def run(self, watch: Watch | None) -> Ended:
        """Run to the end, or to the stop; what is committed is exported, unless the disk fails: then a resume does.

        Raises OutputError when the disk fails, and InterruptedRunError when a second signal comes while nothing is
        in flight.
        """
        with listening(self.stops.heard, tell_stacks, self.ear):
            try:
                async with self.stops.whole.over():
                    return await self._run(watch)
            except TimeoutError:
                ending = self._ending()
                raise InterruptedRunError(str(ending.reason), exit_code=ending.exit_code) from None
            except OutputError:
                with contextlib.suppress(OutputError):
                    self._note("stopped", OutputError.exit_code, self._counts_stored())
                raise

    async def _run(self, watch: Watch | None) -> Ended:
        await self._recover()
        self.commits.on_commit(self._committed)
        if self.twins is not None:
            self.commits.on_commit(self.twins.committed)
        if self.purse.bounded:
            self.purse.begin(self.exporter.spent())
        self._note("running", None, self._counts_stored())
        await self._travel(watch)
        await self._conclude()
        ended = self._ended()
        self._note(
            "stopped" if self._waiting() or self.halt.stopping else "finished",
            ended.exit_code,
            self._counts_stored(),
        )
        return ended

    async def _recover(self) -> None:
        """Put in order what an interrupted run has left: open attempts end unknown, the journal goes to parts."""
        unknown = [
            (seq, structs.replace(attempt, verdict="retry")) for seq, attempt in self.store.unfinished()
        ]
        self.commits.close(unknown)
        await self.exporter.export()  # what a crash left half done
        await self.exporter.export()  # what came after it: no range may hold two results of one record
        if self.options.retry_failed:
            self.exporter.retract_dead_letters()

    async def _travel(self, watch: Watch | None) -> None:
        """All journeys. Raises OutputError when the disk fails; whatever else stops them is the halt's reason."""
        try:
            await self._walk_all(watch)
        except* BatchrouteError as group:
            first = weightiest(group)
            if isinstance(first, OutputError):
                self.stops.broke(first)
            else:
                self.halt.stop(first)
        with self.stops.when_broken():
            await self.commits.settled()
        if self.stops.broken is not None:
            with contextlib.suppress(OutputError):
                self._enter_cancelled()
            raise self.stops.broken

    async def _walk_all(self, watch: Watch | None) -> None:
        async with _background(*self._attendants(watch)), asyncio.TaskGroup() as exporting:
            exporting.create_task(self._export_regularly())
            try:
                async with self.stops.flight.over(), asyncio.TaskGroup() as journeys:
                    with self.stops.when_broken():
                        await self._admit(journeys)
            except TimeoutError:
                pass  # the grace after a stop is over; what was in flight is entered as cancelled
            self._all_walked = True
            self._part_due.set()

    def _attendants(self, watch: Watch | None) -> list[Attendant]:
        pacers = [pool.pace for pool in self.pools.values()]
        attendants = [*pacers, self._flush_regularly, *self.stops.attendants()]
        if self.cache is not None:
            attendants.append(self.cache.write_regularly)
        return attendants if watch is None else [*attendants, lambda: self._watch(watch)]

    async def _admit(self, journeys: asyncio.TaskGroup) -> None:
        """Start journeys as the window allows, reading on whenever a pool has nothing ready."""
        batches = self.source.batches()
        async with contextlib.aclosing(batches):
            while not self.halt.stopping:
                if not (self._read_all or self.feed.soundness.known):
                    await self._read(batches)  # nothing is paid for before it is known to be worth it
                    continue
                for record in self.backlog.ready(self._is_crowded):
                    journeys.create_task(self._walk(record))
                if not self._read_all and self.backlog.hungry():
                    await self._read(batches)
                    await asyncio.sleep(0)
                elif self._read_all and not self.backlog:
                    return
                else:
                    await self.window.freed()

    async def _read(self, batches: AsyncGenerator[Batch, None]) -> None:
        """Read one batch into the backlog. Unusable input stops the run, and so does a stage that fails with it; what
        is in flight still finishes.
        """
        try:
            await self._take(await anext(batches, None))
        except (InputError, JobError) as error:
            self.halt.stop(error)

    async def _take(self, batch: Batch | None) -> None:
        """Bring a batch into the backlog; None: there are no more."""
        limit = self.options.limit
        left = None if limit is None else limit - self.tally.read
        self._read_all = batch is None or (left is not None and len(batch) >= left)
        if batch is not None:
            await self.feed.take(batch if left is None else batch.first(left), self._inquiries)
        if self._read_all:
            await self.feed.close()
        self._stop_when_mostly_bad()

    def _stop_when_mostly_bad(self) -> None:
        soundness = self.feed.soundness
        if (soundness.known or self._read_all) and (reason := soundness.unusable()):
            self.halt.stop(InputError(reason, code="input_mostly_bad"))

    async def _walk(self, first: Admitted) -> None:
        """The journey of a record, and then of those that follow it: a task for each would cost more.

        Where records wait for nothing but a slot, none follows, until as many are in motion as there are slots: then
        each has its slot at once, and nobody has to be woken for it. No fewer are, though others may have the slots:
        whoever comes from a model that is down takes turns with those whose first choice this one is.
        """
        head, record, twins = first.head, first, self.twins
        del first  # or it would stay in memory as long as the others
        try:
            while True:
                if twins is None:
                    await self._journey.walk(record)
                elif twins.sets_out(record):
                    result = await self._journey.walk(record)
                    if not twins.arrived(record, result):
                        await twins.followed(record, self._journey.walk)
                else:
                    self.window.wake()  # this one may wait for another one, without a slot
                    await twins.walk(record, self._journey.walk)
                if self.halt.stopping or self._is_crowded(head, leaving=1):
                    return
                if self._direct and not self.pools[head].busy:
                    self.window.wake()
                following = self.backlog.following(head)
                if following is None:
                    return
                record = following
        finally:
            self.window.give_back(head)

    def _is_crowded(self, model: str, *, leaving: int = 0) -> bool:
        """Whether as many of its own records are in motion as can be of use, also without those that are `leaving`."""
        pool = self.pools[model]
        own = self.window.taken_of(model) - leaving
        return self._direct and pool.crowded and own >= pool.spec.concurrency

    def _committed(self, group: Group) -> None:
        self.tally.count(group)
        if self._is_part_due():
            self._part_due.set()

    def _is_part_due(self) -> bool:
        return self.store.unexported >= PART_RECORDS or self.store.unexported_bytes >= PART_BYTES

    async def _export_regularly(self) -> None:
        """Write parts as they fall due. It ends by itself: an export that is cut off would go on in its thread."""
        while not self._all_walked:
            late = not await self._is_told_of_part()
            if (self._is_part_due() or (late and self.store.unexported)) and not self._all_walked:
                with self.stops.when_broken():
                    await self.exporter.export()
                    self._note("running", None, self._counts_so_far())
                    self.exported()
                if self.stops.broken is not None:
                    return

    async def _is_told_of_part(self) -> bool:
        """Wait until a part is due; False where none was for so long that what there is makes one."""
        try:
            async with asyncio.timeout(PART_INTERVAL_S):
                await self._part_due.wait()
        except TimeoutError:
            return False
        self._part_due.clear()
        return True

    async def _flush_regularly(self) -> None:
        with self.stops.when_broken():
            await self.commits.flush_regularly()

    async def _watch(self, watch: Watch) -> None:
        while True:
            watch(self.progress())
            await asyncio.sleep(WATCH_INTERVAL_S)

    def _wake_all(self) -> None:
        """Let everybody who waits see that the run is stopping."""
        self.window.wake()
        self.purse.close()
        for pool in self.pools.values():
            pool.turn_away()

    def _enter_cancelled(self) -> None:
        cancelled = [
            (seq, structs.replace(attempt, error_type="cancelled_by_run", outcome="error", verdict="retry"))
            for seq, attempt in self.store.unfinished()
        ]
        self.commits.close(cancelled)

    async def _conclude(self) -> None:
        """Enter what was cancelled, export the rest of the journal and the dead letters."""
        self._enter_cancelled()
        await self.exporter.export()
        if self._read_all and self.options.limit is None:
            if self.source.whole:
                self.store.forget_places()
            self.feed.comparison.close(whole=self.source.whole)
        await self.exporter.write_dead_letters()
        if self.cache is not None:
            self.cache.close()  # before it is asked what a person should know of it

    def progress(self) -> Progress:
        """How far the run is."""
        now = self.clock.now()
        tally, reading = self.tally, self.source.statistics()
        total = tally.read if self._read_all else self.source.rows
        per_second = tally.per_second(now)
        done = tally.finished + tally.skipped.total() + tally.left_out
        share_read = 1.0 if self._read_all else reading.bytes_read / max(1, self.source.bytes_total)
        pools = tuple(pool.statistics() for pool in self.pools.values())
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
            repeated=tally.repeated,
            cached=tally.cached,
            spared=tally.spared,
            gives_up_s=self.stops.gives_up_s(),
        )

    def _ended(self) -> Ended:
        tally, ending = self.tally, self._ending()
        failed_before, left_alone = self._failed_before(), tally.skipped[Status.FAILED]
        return Ended(
            run_id=self.run_id,
            exit_code=ending.exit_code,
            reason=ending.reason,
            started_at=dt.datetime.fromtimestamp(self._started_at, dt.UTC),
            duration_s=self.clock.now() - self._began,
            total=self._total(),
            succeeded=tally.statuses[Status.SUCCEEDED],
            failed=tally.statuses[Status.FAILED],
            degraded=tally.statuses[Status.DEGRADED],
            skipped=tally.skipped.total() - left_alone,
            failed_before=failed_before,
            pending=self._pending() + left_alone - failed_before,
            stale=self.store.stale(),
            cost=tally.cost,
            unpriced=tally.unpriced,
            warnings=self._all_warnings(),
            disabled=dict(ending.out),
            errors=dict(tally.errors.most_common()),
            failed_over=tally.failed_over,
            repeated=tally.repeated,
            cached=tally.cached,
            spared=tally.spared,
            event=ending.event,
            cut_off=self.stops.cut_off,
        )

    def _all_warnings(self) -> tuple[str, ...]:
        remark = None if isinstance(self.halt.reason, InputError) else self.feed.soundness.remark()
        remarks = (*self.source.remarks(), remark, self._remark_on_stale(), self._remark_on_left_out())
        cached = () if self.cache is None else self.cache.remarks()
        return (
            *self.warnings,
            *self.feed.absences.warnings(),
            *cached,
            *(remark for remark in remarks if remark),
        )

    def _remark_on_stale(self) -> str | None:
        stale = self.store.stale()
        return (
            f"{stale:,} finished record(s) are stale: what they ask has changed since they were answered. "
            "--refresh changed answers them anew [stale]"
            if stale
            else None
        )

    def _remark_on_left_out(self) -> str | None:
        if self.options.since is not None and not self.source.files:
            return "no file of the input was modified since: nothing was read"
        if self.options.only and self.tally.read and self.tally.left_out == self.tally.read:
            return f"--only {' '.join(self.options.only)} took none of the records that were read"
        return None

    def _total(self) -> int:
        rows = 0 if self._read_all or self.options.limit else self.source.rows or 0
        return max(self.tally.read, rows)

    def _pending(self) -> int:
        return self._total() - self.tally.finished - self.tally.skipped.total()

    def _failed_before(self) -> int:
        """The dead letters of earlier runs that still stand: this one was not to try them, or has not come to them."""
        if self.options.retry_failed:
            return self.store.untried(self.run_id)
        return self.tally.skipped[Status.FAILED]

    def _waiting(self) -> int:
        """The pending records that this run was to answer."""
        return self._pending() - self.tally.left_out

    def _ending(self) -> Ending:
        refused = self.purse.refused > 0
        return Ending(
            signal=self.stops.signal,
            stopped_by=self.halt.reason,
            sent=any(pool.started for pool in self.pools.values()),
            waiting=self._waiting(),
            failed=self.tally.statuses[Status.FAILED] + self.tally.skipped[Status.FAILED],
            untried=self.tally.skipped[Status.FAILED],
            unaffordable=(self.purse.shortage() or "each may cost more than is left") if refused else None,
            out={model: pool.disabled for model, pool in self.pools.items() if pool.disabled},
        )

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
            repeated=self.tally.repeated,
            cached=self.tally.cached,
            spared_usd=None if self.tally.spared is None else usd(self.tally.spared),
        )
        stale = self.tally.stale if state == "running" and self.tally.read else self.store.stale()
        self.exporter.update(
            lambda manifest: structs.replace(manifest, counts=counts, stale=stale, last_run=last_run)
        )


@asynccontextmanager
async def _background(*attendants: Attendant) -> AsyncIterator[None]:
    """Run coroutines beside the body and cancel them after it; what one of them raises ends the body."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(attendant()) for attendant in attendants]
        yield
        for task in tasks:
            task.cancel()


def _iso(seconds: float) -> str:
    return dt.datetime.fromtimestamp(seconds, dt.UTC).isoformat(timespec="milliseconds")
