"""`batchroute report OUT ...`: what the ledgers of output directories tell of money and reliability."""

import datetime as dt
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchroute.report.reports import Report

from batchroute.cli.imports import quick_imports
from batchroute.cli.options import Moment
from batchroute.core.errors import OutputError
from batchroute.engine.clock import Clock
from batchroute.job.moments import Since, epoch

FORMATS = ("text", "md", "json", "html")


@click.command(short_help="Tell what output directories cost, saved and suffered.")
@click.argument(
    "outputs",
    nargs=-1,
    required=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    metavar="OUT [OUT ...]",
)
@click.option(
    "--baseline",
    metavar="MODEL",
    help="The model that savings are measured against. Default: the one that these tokens would be dearest on.",
)
@click.option(
    "--since",
    type=Moment(),
    metavar="TIME",
    help="Only attempts from then on: 2026-11-20, 2026-11-20T06:00, 24h.",
)
@click.option("--until", type=Moment(), metavar="TIME", help="Only attempts before then.")
@click.option("--format", "kind", type=click.Choice(FORMATS), default="text", show_default=True)
@click.option(
    "-o",
    "--output",
    "file",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write to this file instead of stdout.",
)
def report(
    outputs: tuple[Path, ...],
    baseline: str | None,
    since: Since | None,
    until: Since | None,
    kind: str,
    file: Path | None,
) -> None:
    """Sum up the ledgers of one or many output directories: cost, savings, latency, outages, errors.

    While a run goes on, it tells how far that had come at its latest export. The HTML is one file that needs no network. Attempts count by the time they started, records by when they ended.
    """
    with quick_imports():
        from batchroute.report.reports import Span
        from batchroute.report.reports import report as sum_up

    now = Clock().wall()
    span = Span(since=_moment(since, now), until=_moment(until, now))
    if span.since and span.until and span.since >= span.until:
        raise click.UsageError("--since must be before --until.")
    content = _rendering(kind)(sum_up(outputs, span=span, baseline=baseline))
    if file is None:
        sys.stdout.buffer.write(content)
    else:
        _write(content, file)


def _rendering(kind: str) -> "Callable[[Report], bytes]":
    from batchroute.report.pages import page
    from batchroute.report.texts import markdown, text

    return {
        "text": lambda made: text(made).encode(),
        "md": lambda made: markdown(made).encode(),
        "json": lambda made: made.json() + b"\n",
        "html": lambda made: page(made).encode(),
    }[kind]


def _moment(since: Since | None, now: float) -> dt.datetime | None:
    return None if since is None else dt.datetime.fromtimestamp(epoch(since, now), dt.UTC)


def _write(content: bytes, file: Path) -> None:
    """Raise OutputError. The file appears when it is whole."""
    partial = file.with_name(f".{file.name}.partial")
    try:
        partial.write_bytes(content)
        partial.replace(file)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"the report cannot be written to {file}: {error.strerror or error}") from error
