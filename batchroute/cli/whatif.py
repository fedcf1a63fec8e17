"""`batchroute whatif OUT`: what the answers of a ledger would have cost under other prices, routes or strategies."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from decimal import Decimal

    import polars as pl

    from batchroute.report.replays import Line, Replay, WhatIf
    from batchroute.routing.scenarios import Scenario

from batchroute.cli.imports import quick_imports
from batchroute.cli.options import json_option, output_argument, overrides_option

ASSUMPTIONS = (
    "every model is taken to need the tokens that the accepted answer had, and cached ones to be cached there, too",
    "how good the answers of another model are is unknown, and so is what would fail or be escalated",
    "tasks and complexities are those of the ledger: what another classification would say is unknown",
    "images, JSON schemas and languages are not in a ledger: every model is taken to take every record",
)
OPEN = "~"
"""Stands at a share that is an assumption."""


def _moves(_context: click.Context, _option: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    for text, (route, equals, model) in zip(given, pairs, strict=True):
        if not (route and equals and model):
            raise click.BadParameter(f"{text!r} must be ROUTE=MODEL.")
    return {route: model for route, _, model in pairs}


@click.command(short_help="What a finished run would have cost otherwise.")
@output_argument
@click.option(
    "--job",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    metavar="JOB",
    help="Send its records along the routes of this job file, at its prices.",
)
@overrides_option
@click.option(
    "--routes",
    "moved",
    multiple=True,
    callback=_moves,
    metavar="ROUTE=MODEL",
    help="Send the records of a route to one model that the ledger knows. Repeatable.",
)
@json_option
def whatif(
    output: Path, job: Path | None, overrides: tuple[str, ...], moved: dict[str, str], as_json: bool
) -> None:
    """Reckon what the answers in OUT would have cost under another job, or with routes moved to other models.

    The accepted answers are taken with the tokens that they had, whichever model gives them. What a ledger cannot
    tell is said and not made up: how good another model's answers are, what would have failed or been escalated, and
    how long a model takes that was not asked. Beside it stands each known model alone. Nothing is sent.
    """
    with quick_imports():
        from batchroute.report.offers import alone, offers_of, rerouted
        from batchroute.report.replays import WhatIf as Answer
        from batchroute.report.replays import answers, observed_p50_s, past, replay
        from batchroute.report.scans import scan_ledger

    if job is None and overrides:
        raise click.UsageError("--set overrides keys of a job: name it with --job.")
    if job is not None and moved:
        raise click.UsageError("--job has its own routes: give either --job or --routes.")
    ledger = scan_ledger(output)
    offers, latency_p50_s = offers_of(ledger), observed_p50_s(ledger)
    scenario = None
    if job is not None:
        scenario = _scenario(job, overrides)
        offers |= scenario.offers
    elif moved:
        scenario = rerouted(offers, _routes(ledger), moved)
    given = answers(ledger)
    found = Answer(
        past=past(ledger),
        scenario=None if scenario is None else replay(given, scenario, latency_p50_s),
        alone={model: replay(given, alone(offers, model), latency_p50_s) for model in sorted(offers)},
        assumptions=ASSUMPTIONS,
    )
    if as_json:
        sys.stdout.buffer.write(found.json() + b"\n")
    else:
        click.echo("\n".join(_lines(found)))


def _scenario(job: Path, overrides: tuple[str, ...]) -> "Scenario":
    import datetime as dt

    from batchroute.engine.clock import Clock
    from batchroute.engine.scenarios import scenario_of
    from batchroute.job.loading import load_job

    loaded = load_job(job, overrides=overrides)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    return scenario_of(loaded, dt.datetime.fromtimestamp(Clock().wall(), dt.UTC).date())


def _routes(ledger: "pl.LazyFrame") -> list[str]:
    import polars as pl

    return ledger.select(pl.col("route").drop_nulls().unique().sort()).collect()["route"].to_list()


def _lines(found: "WhatIf") -> list[str]:
    """What a person is told, a line each."""
    from batchroute.report.cells import counted, money

    past = found.past
    told = [f"{counted(past.records, 'answer')} cost {money(past.answers_usd)}, as it was."]
    if past.other_usd:
        told.append(
            f"What failed, was refused or asked beside them cost {money(past.other_usd)}: not reckoned anew."
        )
    if past.unpriced_attempts:
        told.append(f"{past.unpriced_attempts:,} attempts of unknown price are counted nowhere.")
    if found.scenario is not None:
        told += [
            "",
            *_table(found.scenario),
            "",
            _comparison("They would cost", found.scenario, past.answers_usd),
        ]
    told += ["", "On one model alone:"]
    told += [f"  {_comparison(model, replay, past.answers_usd)}" for model, replay in found.alone.items()]
    return [*told, "", *(f"Assumed: {assumption}." for assumption in found.assumptions)]


def _table(replay: "Replay") -> list[str]:
    from batchroute.report.cells import money

    titles = ("route", "model", "records", "moved", "input tokens", "output tokens", "cost", "p50 observed")
    rows = [titles, *(_cells(line, money(line.cost_usd)) for line in replay.lines)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) if number < 2 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def _cells(line: "Line", cost: str) -> tuple[str, ...]:
    latency = "unknown" if line.latency_p50_s is None else f"{line.latency_p50_s * 1000:,.0f} ms"
    return (
        line.route,
        line.model or "none fits",
        f"{OPEN if line.assumed else ''}{line.records:,}",
        f"{line.moved:,}",
        f"{line.input_tokens:,}",
        f"{line.output_tokens:,}",
        cost,
        latency if line.model else "",
    )


def _comparison(who: str, replay: "Replay", before: "Decimal") -> str:
    from batchroute.report.cells import money

    cost = replay.cost_usd
    if cost is None:
        return f"{who}: unknown, as a price is."
    told = f"{who}: {money(cost)}"
    low, high = replay.cost_low_usd, replay.cost_high_usd
    if low is not None and high is not None and low != high:
        told += f" ({money(low)} to {money(high)}, as it is open which model of a group is asked)"
    if before:
        share = cost / before - 1
        told += f", {abs(share):.0%} {'less' if share < 0 else 'more'}" if round(share, 2) else ", as much"
    return told + "."
