"""`batchroute status OUT`: how a dataset stands, also while a run goes on."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from batchroute.report.standing import Standing

from batchroute.cli.options import json_option, output_argument
from batchroute.report.cells import counted


@click.command(short_help="Tell how an output directory stands.")
@output_argument
@json_option
def status(output: Path, as_json: bool) -> None:
    """Tell how the output directory OUT stands: its last run, its records by status, its parts.

    Up to date are records with an answer to what they asked when a run last compared them, stale those that ask for
    something else: run --refresh changed answers them anew.

    It reads the manifest only, so it disturbs no run. While a run goes on, it tells how far that had come at
    its latest part: every 20,000 records, and every five minutes.
    """
    from batchroute.report.standing import read_standing

    standing = read_standing(output)
    if as_json:
        sys.stdout.buffer.write(standing.json() + b"\n")
    else:
        click.echo("\n".join(_lines(standing)))


def _lines(standing: "Standing") -> list[str]:
    """What a person is told, a line each."""
    lines = [f"job {standing.job}: {standing.state}"]
    if standing.run_id is not None:
        ended = "" if standing.exit_code is None else f", exit code {standing.exit_code}"
        lines.append(
            f"last run {standing.run_id}, started {standing.started_at}, updated {standing.updated_at}{ended}"
        )
    if standing.records:
        counts = ", ".join(f"{count:,} {word}" for word, count in standing.records.items())
        lines.append(f"records: {counts}")
        failed, pending = (standing.records.get(word, 0) for word in ("failed", "pending"))
        lines.append(
            f"standing: {standing.up_to_date:,} up to date, {standing.stale:,} stale, {failed:,} failed, {pending:,} pending"
        )
    if standing.repeated or standing.cached:
        spared = "" if standing.spared_usd is None else f"; ${standing.spared_usd:,.6f} not spent"
        lines.append(
            f"not asked for: {standing.repeated:,} had the answer of an equal record, "
            f"{standing.cached:,} came from the cache{spared}"
        )
    ailing = [f"{model} {state}" for model, state in standing.models.items() if state != "closed"]
    if ailing:
        lines.append(f"models: {', '.join(ailing)}")
    rows, parts = standing.rows, standing.parts
    lines.append(f"results: {counted(rows.results, 'row')} in {counted(parts.results, 'part')}")
    lines.append(f"ledger: {counted(rows.ledger, 'row')} in {counted(parts.ledger, 'part')}")
    return lines
