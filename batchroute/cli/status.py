"""`batchroute status OUT`: how a dataset stands, also while a run goes on."""

import json
import sys
from pathlib import Path

import click

from batchroute.cli.options import json_option, output_argument


@click.command(short_help="Tell how an output directory stands.")
@output_argument
@json_option
def status(output: Path, as_json: bool) -> None:
    """Tell how the output directory OUT stands: its last run, its records by status, its parts.

    It reads the manifest only, so it disturbs no run; the counts are those of the run's latest export.
    """
    from batchroute.core.errors import OutputError
    from batchroute.io.locks import is_locked
    from batchroute.io.manifest import read_manifest

    manifest = read_manifest(output)
    if manifest is None:
        raise OutputError(
            f"{output} holds no manifest: no run has begun there. Start one with batchroute run."
        )
    running = is_locked(output)
    last = manifest.last_run
    state = (
        "running"
        if running
        else "interrupted"
        if last and last.state == "running"
        else (last.state if last else "new")
    )
    if as_json:
        told = {
            "job": manifest.job,
            "state": state,
            "run_id": last.run_id if last else None,
            "updated_at": last.updated_at if last else None,
            "exit_code": last.exit_code if last and not running else None,
            "records": manifest.counts,
            "parts": {"results": len(manifest.results), "ledger": len(manifest.ledger)},
        }
        sys.stdout.write(json.dumps(told) + "\n")
        return
    click.echo(f"job {manifest.job}: {state}")
    if last:
        click.echo(f"last run {last.run_id}, started {last.started_at}, updated {last.updated_at}")
    click.echo("records: " + ", ".join(f"{count:,} {word}" for word, count in manifest.counts.items()))
    for folder, parts in (("results", manifest.results), ("ledger", manifest.ledger)):
        click.echo(f"{folder}: {sum(part.rows for part in parts):,} rows in {len(parts)} parts")
