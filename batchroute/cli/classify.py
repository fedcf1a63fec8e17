"""`batchroute classify JOB`: what classification makes of the input, without answering it."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator
    from decimal import Decimal

    import polars as pl

    from batchroute.engine.labellings import Confusion, Labelling

from batchroute.cli.imports import quick_imports
from batchroute.cli.interrupts import interruptible
from batchroute.cli.options import job_argument, json_option, overrides_option
from batchroute.core.errors import OutputError
from batchroute.report.cells import counted

NONE = "-"


@click.command(short_help="Label the input without answering it.")
@job_argument
@overrides_option
@click.option("--truth", metavar="COLUMN", help="The input column with the true tasks, to compare with.")
@click.option("--limit", type=click.IntRange(min=1), metavar="N", help="Read the first N records only.")
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the labels to this Parquet file, a row a record.",
)
@json_option
def classify(
    job: Path,
    overrides: tuple[str, ...],
    truth: str | None,
    limit: int | None,
    output: Path | None,
    as_json: bool,
) -> None:
    """Classify the input of JOB and answer nothing: which stage decided how many records, and how fast.

    Stages of kind llm ask their models, within the job's limits and budget, and what that costs is told. Nothing else
    is sent, and nothing is kept.

    With --truth it tells how right the tasks are: a table of the true tasks by those that were found, over all
    records and for each stage.
    """
    import asyncio

    with quick_imports():
        from batchroute.engine.labellings import label
        from batchroute.job.loading import load_job

    loaded = load_job(job, overrides=overrides)
    for warning in loaded.warnings:
        click.echo(f"Warning: {warning}", err=True)
    with interruptible():
        labelling, labels = asyncio.run(label(loaded, truth=truth, limit=limit))
    if output is not None:
        _write(labels, output)
    if as_json:
        sys.stdout.buffer.write(labelling.json() + b"\n")
    else:
        click.echo("\n".join(_lines(labelling)))


def _write(labels: "pl.DataFrame", output: Path) -> None:
    """Raise OutputError. The file appears when it is whole."""
    partial = output.with_name(f".{output.name}.partial")
    try:
        labels.write_parquet(partial)
        partial.replace(output)
    except OSError as error:
        partial.unlink(missing_ok=True)
        raise OutputError(f"the labels cannot be written to {output}: {error.strerror or error}") from error


def _lines(labelling: "Labelling") -> "Iterator[str]":
    yield f"{counted(labelling.records, 'record')}, {counted(labelling.unreadable, 'place')} unreadable"
    speed = labelling.records_per_s
    if speed is not None:
        cost = _usd(labelling.cost_usd)
        yield f"classified in {labelling.seconds:.3f} s: {speed:,.0f} records/s, {cost}"
    yield from _table(
        ["stage", "label", "decided", "right", "records/s", "requests", "cost"],
        [
            [
                stage.stage,
                stage.labels,
                f"{stage.decided:,}",
                _share(stage.confusion),
                "" if stage.records_per_s is None else f"{stage.records_per_s:,.0f}",
                f"{stage.requests:,}" if stage.requests else "",
                _usd(stage.cost_usd) if stage.requests else "",
            ]
            for stage in labelling.stages
        ],
        words=2,
    )
    for name, texts in {stage.stage: stage.unanswered for stage in labelling.stages}.items():
        if texts:
            yield f"{name}: {texts:,} texts were left to later stages, as no answer came or the budget is used up"
    for name, counts in (("task", labelling.tasks), ("complexity", labelling.complexities)):
        yield f"{name}: " + ", ".join(f"{label or NONE} {count:,}" for label, count in counts.items())
    for title, confusion in _confusions(labelling):
        yield ""
        yield f"{title}: {confusion.right:,} of {confusion.records:,} right ({_share(confusion)})"
        yield from _matrix(confusion)


def _confusions(labelling: "Labelling") -> "Iterator[tuple[str, Confusion]]":
    if labelling.confusion is not None:
        yield "all stages", labelling.confusion
    for stage in labelling.stages:
        if stage.confusion is not None and stage.decided < labelling.records and stage.confusion.records:
            yield stage.stage, stage.confusion


def _matrix(confusion: "Confusion") -> "Iterator[str]":
    """A row for each true task, a column for each that was found; none comes last."""
    found = sorted(
        {task for tasks in confusion.counts.values() for task in tasks}, key=lambda task: (not task, task)
    )
    rows = [
        [true, *(f"{tasks[task]:,}" if task in tasks else "." for task in found)]
        for true, tasks in confusion.counts.items()
    ]
    return _table(["truth \\ task", *(task or NONE for task in found)], rows, words=1)


def _usd(cost: "Decimal | None") -> str:
    return "cost unknown" if cost is None else f"${cost.normalize():f}"


def _share(confusion: "Confusion | None") -> str:
    if confusion is None or confusion.accuracy is None:
        return ""
    return f"{confusion.accuracy:.1%}"


def _table(head: list[str], rows: list[list[str]], *, words: int) -> "Iterator[str]":
    """Columns as wide as they need; the first `words` of them to the left, numbers to the right."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    for row in (head, *rows):
        cells = [
            cell.ljust(width) if number < words else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  " + "  ".join(cells).rstrip()
