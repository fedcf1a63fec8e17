"""`batchroute plan JOB`: tokens, cost and time of a run before a cent is spent."""

import sys
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from batchroute.engine.plans import Plan
    from batchroute.routing.forecasts import Duration, Forecast

from batchroute.cli.imports import quick_imports
from batchroute.cli.options import (
    job_argument,
    json_option,
    overrides_option,
    profile_option,
    with_profile,
)
from batchroute.report.cells import counted

UNKNOWN: Final = "?"
_READ: Final = {
    "all": "all of them looked at",
    "systematic": "{looked_at:,} of them looked at, spread over the whole input",
    "first": "the first {looked_at:,} looked at, and their number told by the bytes",
}


@click.command(short_help="Tokens, cost and duration before a cent is spent.")
@job_argument
@overrides_option
@click.option(
    "--sample",
    type=click.IntRange(min=1),
    metavar="N",
    help="Look at about N records, spread over the input (of object storage, the first N). Default: all. "
    "Equal records, which are sent once, are counted so only without it.",
)
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Plan the first N records only.")
@click.option(
    "--only",
    multiple=True,
    metavar="KEY=VALUE",
    help="Plan these only: route=code, task=NAME, complexity=NAME. Repeatable.",
)
@profile_option
@json_option
def plan(
    job: Path,
    overrides: tuple[str, ...],
    sample: int | None,
    limit: int | None,
    only: tuple[str, ...],
    profile: str | None,
    as_json: bool,
) -> None:
    """Read, classify and route the input of JOB, and tell what a run would cost and how long it would take.

    No request is sent. Costs are those of a run in which every request succeeds at once: with no output, with the
    expected one (as observed in this output, else half of max_tokens), and with all that max_tokens allows.
    """
    with quick_imports():
        from batchroute.job.loading import load_job
        from batchroute.planning import plan as plan_job

    loaded = load_job(job, overrides=with_profile(overrides, profile))
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    planned = plan_job(loaded, sample=sample, limit=limit, only=only)
    for warning in planned.warnings:
        click.echo(f"Warning: {warning}", err=True)
    for name in planned.unpriced:
        click.echo(f"Warning: no price is known for {name}: declare models.{name}.price.", err=True)
    if as_json:
        sys.stdout.buffer.write(planned.json() + b"\n")
    else:
        click.echo("\n".join(_lines(planned)))


def _lines(planned: "Plan") -> Iterator[str]:
    counts = planned.records
    yield f"{counted(counts.total, 'record')}, {_READ[planned.read].format(looked_at=planned.looked_at)}."
    told = {
        "to be sent": counts.planned,
        "answered by an equal one": counts.repeated,
        "answered already": counts.done,
        "left out": counts.left_out,
        "cannot be sent": counts.unsendable,
    }
    yield (
        ", ".join(f"{count:,} {what}" for what, count in told.items() if count or what == "to be sent") + "."
    )
    for fault in planned.faults:
        yield f"  {fault.records:,} {fault.error_type}: {fault.example}"
    if counts.stale:
        yield f"{counts.stale:,} of those answered are stale: --refresh changed would ask them again."
    yield ""
    head = ["route", "model", "records", "input", "output", "low", "expected", "high", "duration"]
    rows = [[line.route, line.model, *_numbers(line.forecast)] for line in planned.routes]
    yield from _table([head, *rows, ["total", "", *_numbers(planned.total)]], words=2)
    if planned.total.batch_usd is not None:
        yield f"As batches, where nobody waits for an answer: {_usd(planned.total.batch_usd)} expected."
    if planned.total.output_tokens:  # vectors have none
        yield f"Expected output: {_basis(planned)}."
    if planned.beside:
        yield ""
        yield "Asked beside the answers, and in no sum above:"
        head = ["purpose", "model", "requests", "input", "output", "low", "expected", "high", "duration"]
        beside = [[each.purpose, each.model, *_numbers(each.forecast)] for each in planned.beside]
        yield from _table([head, *beside], words=2)
    yield ""
    yield "The same records on one model alone:"
    head = ["model", "low", "expected", "high", "as batches", "duration"]
    alone = [
        [each.model, *_money(each.forecast), _usd(each.forecast.batch_usd), _time(each.forecast.duration)]
        for each in planned.alternatives
    ]
    yield from _table([head, *alone], words=1)


def _basis(planned: "Plan") -> str:
    ways = {line.forecast.output_by for line in planned.routes}
    if ways == {"observed"}:
        return "as observed in this output"
    return "as observed in this output, else " * ("observed" in ways) + "half of what max_tokens allows"


def _numbers(forecast: "Forecast") -> list[str]:
    tokens = [f"{count:,}" for count in (forecast.records, forecast.input_tokens, forecast.output_tokens)]
    return [*tokens, *_money(forecast), _time(forecast.duration)]


def _money(forecast: "Forecast") -> list[str]:
    cost = forecast.cost_usd
    return [_usd(amount) for amount in (cost.low, cost.expected, cost.high)]


def _usd(amount: Decimal | None) -> str:
    if amount is None:
        return UNKNOWN
    return f"${amount:,.2f}" if amount >= 1 or not amount else f"${amount:,.4f}"


def _time(duration: "Duration") -> str:
    if duration.seconds is None:
        return UNKNOWN
    minutes, seconds = divmod(round(duration.seconds), 60)
    hours, minutes = divmod(minutes, 60)
    told = f"{hours} h {minutes:02} min" if hours else f"{minutes} min {seconds:02} s" if minutes else ""
    by = f" ({duration.limited_by})" if duration.limited_by else ""
    return (told or f"{duration.seconds:.1f} s") + by


def _table(rows: Sequence[Sequence[str]], *, words: int) -> Iterator[str]:
    """Aligned columns: the first so many to the left, the numbers to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [
            cell.ljust(width) if place < words else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
