"""`batchroute run JOB`: bring an output directory up to date with its input."""

import os
import signal
import sys
from pathlib import Path
from typing import Literal

import click

from batchroute.cli.imports import quick_imports
from batchroute.cli.logs import PlainLog
from batchroute.cli.options import (
    Duration,
    Moment,
    job_argument,
    json_option,
    overrides_option,
    profile_option,
    with_profile,
)
from batchroute.cli.streams import dropped_if_unread
from batchroute.cli.telling import told_as
from batchroute.io.locks import refuse_if_held
from batchroute.job.moments import Since

OWNERS_ALONE = 0o077
"""Files 0600, folders 0700, also where the caller's umask would take more away, or less."""


@click.command(short_help="Bring a job's output up to date with its input.")
@job_argument
@overrides_option
@profile_option
@click.option(
    "--limit", type=click.IntRange(min=1), metavar="N", help="Read only the first N records of the input."
)
@click.option(
    "--fresh",
    is_flag=True,
    help="Start over: remove what earlier runs of this job have written, answers and ledger included, so that "
    "budget.usd and budget.per_route count from nothing again.",
)
@click.option("--no-retry-failed", is_flag=True, help="Leave records alone that failed in an earlier run.")
@click.option(
    "--refresh",
    type=click.Choice(["changed", "failed"]),
    help="changed: answer stale records anew, those whose request has changed since they were answered. "
    "failed: what every run does. Default: stale records are counted and keep their answers.",
)
@click.option(
    "--only",
    multiple=True,
    metavar="KEY=VALUE",
    help="Answer only records with this route, task or complexity, such as route=code; the others stay pending. "
    "Repeatable: one value of each key must fit.",
)
@click.option(
    "--since",
    type=Moment(),
    metavar="TIME",
    help="Read only input files that were modified at this time or later: 2026-11-20, 2026-11-20T06:00 (local "
    "time, or with an offset), or so long ago: 24h.",
)
@click.option(
    "--max-wait",
    type=Duration(),
    default="1h",
    show_default=True,
    metavar="TIME",
    help="Stop when records wait and none was answered for so long: 30s, 5m, 1h.",
)
@click.option(
    "--max-duration",
    type=Duration(),
    metavar="TIME",
    help="Be done after so long: what would not be back in time is not sent.",
)
@click.option(
    "--otel",
    is_flag=True,
    help="Export each attempt as an OpenTelemetry span, and metrics, by OTLP over HTTP to "
    "OTEL_EXPORTER_OTLP_ENDPOINT (http://localhost:4318). No prompt and no answer is exported.",
)
@click.option(
    "--no-cache",
    is_flag=True,
    help="Ask everything anew: take no answer from the job's cache. New answers take the places of those in it.",
)
@json_option
@click.option("-q", "--quiet", is_flag=True, help="Show no progress and no table; errors still show.")
@click.option(
    "--log-format",
    type=click.Choice(["plain", "json"]),
    help="Log lines on stderr: plain, also on a terminal, or one JSON object each. Default: a live display on a "
    "terminal, plain lines elsewhere.",
)
def run(
    job: Path,
    overrides: tuple[str, ...],
    profile: str | None,
    limit: int | None,
    fresh: bool,
    no_retry_failed: bool,
    refresh: Literal["changed", "failed"] | None,
    only: tuple[str, ...],
    since: Since | None,
    max_wait: float,
    max_duration: float | None,
    otel: bool,
    no_cache: bool,
    as_json: bool,
    quiet: bool,
    log_format: str | None,
) -> None:
    """Bring the output directory of JOB up to date with its input.

    Records that are finished are not sent again, failed ones are; finished ones whose request has changed are
    told of. Interrupt it as you like: the same command goes on where it stopped, and pays for nothing twice but
    what was in flight.

    \b
    Exit codes: 0 all records succeeded, 2 usage or job file, 3 finished with failed records,
    4 stopped by the budget, the deadline or --max-wait, 5 no model can serve, 65 input unusable, 74 output I/O error,
    75 another run holds the directory, 130/143 interrupted.
    """
    if refresh == "failed" and no_retry_failed:
        raise click.UsageError(
            "--refresh failed and --no-retry-failed contradict each other. Drop one of them."
        )
    os.umask(OWNERS_ALONE)
    _heed_signals()
    with told_as(log_format, job.stem) as told:
        loaded = told.load(job, with_profile(overrides, profile))
        refuse_if_held(
            loaded.output.path
        )  # before half a second of imports; the run looks again, and for sure
        with quick_imports():
            from batchroute.api import run as run_job
            from batchroute.cli.display import closing_table, display

        with display(loaded.job, quiet=quiet, log_format=log_format, clean=told.clean) as watch:
            summary = run_job(
                loaded,
                limit=limit,
                fresh=fresh,
                retry_failed=not no_retry_failed,
                refresh_changed=refresh == "changed",
                only=only,
                since=since,
                max_wait_s=max_wait,
                max_duration_s=max_duration,
                otel=otel,
                use_cache=not no_cache,
                watch=watch,
            )
        told.end(summary, quiet=quiet)
    with dropped_if_unread():
        if as_json:
            sys.stdout.buffer.write(summary.json() + b"\n")
        elif not quiet and log_format != "json":
            closing_table(summary)
    if summary.reason and not as_json and log_format != "json":
        PlainLog("", told.clean).tell("info", "reason", summary.reason)
    sys.exit(summary.exit_code)


def _heed_signals() -> None:
    """Before and after the run, which listens itself: a terminal that goes away ends nothing, SIGTERM at once."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, _: os._exit(128 + number))
