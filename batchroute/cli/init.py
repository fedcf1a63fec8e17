"""`batchroute init`: a commented job file to start from."""

from pathlib import Path

import click

from batchroute.core.errors import OutputError

SAMPLE = """\
{"id": "1", "text": "Translate into French: The parcel arrives on Monday."}
{"id": "2", "text": "Write a Python function that reverses a list."}
{"id": "3", "text": "Is this review positive or negative? 'Broke after two days.'"}
"""


@click.command(short_help="Write a commented job file that runs at once.")
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False), default="job.yaml", metavar="[FILE]")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
def init(path: Path, force: bool) -> None:
    """Write a commented job file (job.yaml by default), and requests.jsonl beside it if there is none.

    It runs as it stands, on the simulated provider.
    """
    from batchroute.job.starter import STARTER

    if path.exists() and not force:
        raise click.UsageError(f"{path} exists. Name another file, or replace it with --force.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(STARTER, encoding="utf-8")
        requests = path.parent / "requests.jsonl"
        if not requests.exists():
            requests.write_text(SAMPLE, encoding="utf-8")
    except OSError as error:
        raise OutputError(f"{path}: {error.strerror}. Name a place that can be written.") from error
    click.echo(f"Wrote {path}. Next: batchroute run {path}")
