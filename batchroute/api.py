"""batchroute from Python: load a job, run it, scan what it has written."""

import asyncio
import datetime as dt
import gc
import signal
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import uvloop

from batchroute.core.money import Rates, usd
from batchroute.engine.endings import Ended
from batchroute.engine.openings import model_price
from batchroute.engine.pipeline import MAX_WAIT_S, Options, Watch
from batchroute.engine.runs import run as run_pipeline
from batchroute.engine.signals import Ear
from batchroute.job.jobs import Job
from batchroute.job.loading import load_job
from batchroute.job.moments import since as moment
from batchroute.job.profiles import PROFILES, ProfileName
from batchroute.report.routes import routes_of_parts, write_routes
from batchroute.report.scans import ledger_parts, scan_ledger, scan_results, scan_routes
from batchroute.report.summary import Records, Summary, route_lines, status_word, total_of

__all__ = ["load_job", "run", "scan_ledger", "scan_results", "scan_routes"]

GC_THRESHOLD = 100_000


def run(
    job: Job | str | Path,
    *,
    overrides: Sequence[str] = (),
    profile: ProfileName | None = None,
    limit: int | None = None,
    fresh: bool = False,
    retry_failed: bool = True,
    refresh_changed: bool = False,
    only: Sequence[str] = (),
    since: dt.datetime | dt.timedelta | str | None = None,
    max_wait_s: float = MAX_WAIT_S,
    max_duration_s: float | None = None,
    otel: bool = False,
    use_cache: bool = True,
    watch: Watch | None = None,
) -> Summary:
    """Bring the job's output directory up to date with its input, and sum up what that took.

    `overrides` are those of `--set`; `profile` takes the place of the job's; `limit` reads only the first records; `refresh_changed` answers records anew whose request has changed since they
    were answered; `only`, such as ["route=code"], leaves the others pending; with `since` (a time, or how long ago)
    only files that were modified then or later are read, as a string also "24h"; `max_wait_s` is how long records may wait for a model while
    none is answered, and `max_duration_s` how long the run may take, seconds; `otel` exports each attempt by
    OpenTelemetry, as the variables of the environment say (OTEL_EXPORTER_OTLP_ENDPOINT and so on); without `use_cache`
    no answer is taken from the job's cache.

    Raises BatchrouteError when the run cannot start or its output cannot be written, ValueError for a limit below 1;
    any other early end is told by the summary's `exit_code` and `reason`, that by a SIGINT included. Where a loop is
    running it runs in a thread, and a KeyboardInterrupt, as of a notebook, cuts it off.
    """
    if limit is not None and limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}")
    job = (
        _chosen(job, profile)
        if isinstance(job, Job)
        else load_job(job, overrides=_profiled(overrides, profile))
    )
    options = Options(
        limit=limit,
        fresh=fresh,
        retry_failed=retry_failed,
        max_wait_s=max_wait_s,
        max_duration_s=max_duration_s,
        use_cache=use_cache,
        refresh_changed=refresh_changed,
        only=(only,) if isinstance(only, str) else tuple(only),
        since=moment(since) if isinstance(since, str) else since,
        otel=otel,
    )
    ear = Ear()
    pipeline = run_pipeline(
        job, options, sum_up=partial(_sum_up, job), conclude=partial(_summarise, job), watch=watch, ear=ear
    )
    return _run(pipeline, ear)


def _chosen(job: Job, profile: ProfileName | None) -> Job:
    """Raise ValueError for a profile that there is not, and for a job that has none."""
    if profile is None:
        return job
    if profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, got {profile!r}")
    if not any(route.profiled for route in job.routes.values()):
        raise ValueError(f"profile {profile} chooses nothing: no route of {job.job} has profiles")
    return job.chosen(profile)


def _profiled(overrides: Sequence[str], profile: ProfileName | None) -> tuple[str, ...]:
    return (*overrides, *(() if profile is None else (f"profile={profile}",)))


def _run(pipeline: Coroutine[Any, Any, Summary], ear: Ear) -> Summary:
    """Run in this thread, or in another one where this one has a loop already, as in a notebook."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return _run_here(pipeline)
    with _interrupts_told(ear):
        return _run_beside(pipeline)


@contextmanager
def _interrupts_told(ear: Ear) -> Iterator[None]:
    """Have SIGINT stop the run where it would interrupt nothing: asyncio.run cancels its task, which is waiting here."""
    before = signal.getsignal(signal.SIGINT)
    aside = before is signal.default_int_handler or not callable(before)
    if aside or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, lambda number, _: ear.hear(signal.Signals(number)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _run_beside(pipeline: Coroutine[Any, Any, Summary]) -> Summary:
    """In a thread of its own. An interrupt of this one, as by a notebook's stop button, cancels the run there."""
    begun: Future[Callable[[], object]] = Future()

    async def stoppable() -> Summary:
        running = asyncio.current_task()
        assert running is not None
        begun.set_result(partial(asyncio.get_running_loop().call_soon_threadsafe, running.cancel))
        return await pipeline

    with ThreadPoolExecutor(max_workers=1) as thread:
        summary = thread.submit(_run_here, stoppable())
        try:
            return summary.result()
        except KeyboardInterrupt:
            with suppress(RuntimeError):  # it has just ended by itself
                begun.result()()
            raise


def _run_here(pipeline: Coroutine[Any, Any, Summary]) -> Summary:
    with _tuned_interpreter(), asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(pipeline)


@contextmanager
def _tuned_interpreter() -> Iterator[None]:
    """The interpreter as a run wants it, and afterwards as it was.

    The cyclic garbage collector looks seldom, and never at what is imported: records form no cycles, and
    looking for some among the objects of all modules took a tenth of the run.
    """
    thresholds, frozen = gc.get_threshold(), gc.get_freeze_count()
    gc.collect()
    gc.freeze()
    gc.set_threshold(GC_THRESHOLD, *thresholds[1:])
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        if not frozen:  # what somebody else has frozen stays so
            gc.unfreeze()


def _sum_up(job: Job, ended: Ended) -> None:
    """Write the routes. Raises OutputError."""
    write_routes(job.output.path, _baseline(job, ended))


def _baseline(job: Job, ended: Ended) -> Rates | None:
    price = model_price(job, job.baseline, ended.started_at.date()) if job.baseline else None
    return Rates.of(price) if price else None


def _summarise(job: Job, ended: Ended) -> Summary:
    """Sum up what this run did. Raises OutputError."""
    baseline = _baseline(job, ended)
    directory = job.output.path
    of_this_run = pl.col("run_id") == ended.run_id
    table = routes_of_parts([part.filter(of_this_run) for part in ledger_parts(directory)], baseline)
    lines = route_lines(table)
    return Summary(
        run_id=ended.run_id,
        job=job.job,
        status=status_word(ended.exit_code),
        exit_code=ended.exit_code,
        reason=ended.reason,
        output=str(directory),
        duration_s=round(ended.duration_s, 3),
        records=Records(
            total=ended.total,
            succeeded=ended.succeeded,
            failed=ended.failed,
            degraded=ended.degraded,
            skipped=ended.skipped,
            failed_before=ended.failed_before,
            pending=ended.pending,
            stale=ended.stale,
            repeated=ended.repeated,
            cached=ended.cached,
        ),
        attempts=total_of(lines, "attempts") or 0,
        failovers=total_of(lines, "failovers") or 0,
        escalations=total_of(lines, "escalations") or 0,
        input_tokens=total_of(lines, "input_tokens") or 0,
        output_tokens=total_of(lines, "output_tokens") or 0,
        cost_usd=total_of(lines, "cost_usd") if lines else Decimal(0),
        unpriced_attempts=int(table["unpriced_attempts"].sum()),
        baseline=job.baseline,
        baseline_cost_usd=total_of(lines, "baseline_cost_usd"),
        warnings=ended.warnings,
        disabled=ended.disabled,
        errors=ended.errors,
        spared_usd=None if ended.spared is None else usd(ended.spared),
        routes=lines,
        escalation_cost_usd=total_of(lines, "escalation_cost_usd"),
        refused=total_of(lines, "refused") or 0,
    )
