"""Labelling an input without sending anything: which stage decided what, and how right it was."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from decimal import Decimal
from typing import Final

import msgspec
import polars as pl
from msgspec import Struct

from batchroute.core.errors import InputError
from batchroute.core.records import Batch, Record
from batchroute.engine.clock import Clock
from batchroute.engine.openings import opened
from batchroute.job.jobs import Job
from batchroute.routing.classifiers import Classifier
from batchroute.routing.columns import Columns
from batchroute.routing.opinions import COMPLEXITY, TASK

SCHEMA: Final = {
    "record_id": pl.String(),
    "task": pl.String(),
    "classified_by": pl.String(),
    "task_confidence": pl.Float64(),
    "complexity": pl.String(),
    "complexity_by": pl.String(),
    "complexity_confidence": pl.Float64(),
}
"""The columns of the labels; `truth` is added where the input has it."""


class Confusion(Struct, frozen=True, kw_only=True):
    """Records by their true task and the one that was found; null where none was. Records without a truth are left out."""

    records: int
    right: int
    accuracy: float | None
    """Null where no record had a truth."""
    counts: dict[str, dict[str, int]]
    """By truth, then by task; "" stands for none."""


class StageLabels(Struct, frozen=True, kw_only=True):
    """What one stage decided, in the order of the stages."""

    stage: str
    labels: str
    """`task` or `complexity`."""
    decided: int
    confusion: Confusion | None = None
    """Of the tasks that it gave, where a truth was named."""


class Labelling(Struct, frozen=True, kw_only=True):
    """What classification makes of an input."""

    job: str
    records: int
    unreadable: int
    """Places in the input that gave no record."""
    tasks: dict[str, int]
    complexities: dict[str, int]
    """Records by label; "" stands for none."""
    stages: tuple[StageLabels, ...]
    confusion: Confusion | None
    seconds: float
    """Of classification alone; reading the input took its own time."""
    records_per_s: float | None
    cost_usd: Decimal
    """Stages that send nothing cost nothing."""

    def json(self) -> bytes:
        """The labelling as one JSON object."""
        return msgspec.json.encode(self)


async def label(
    job: Job, *, truth: str | None = None, limit: int | None = None, clock: Clock | None = None
) -> tuple[Labelling, pl.DataFrame]:
    """Classify the first `limit` records of the input, or all, and compare the tasks with the column `truth`.

    A stage that would send requests is passed over. The labels are a row a record, in input order, held in memory.
    Raises BatchrouteError for a job or an input that cannot be used, and for a truth that no record has.
    """
    clock = clock or Clock()
    _, classifier, source = opened(job, also=() if truth is None else (truth,))
    frames, unreadable, seconds = [_frame(classifier, [], truth)], 0, 0.0
    async with aclosing(source.batches()) as batches:
        async for batch in _first(batches, limit):
            unreadable += len(batch.rejects)
            began = clock.now()
            frames.append(_frame(classifier, batch.records, truth))
            seconds += clock.now() - began
    labels = pl.concat(frames)
    if truth is not None and len(labels) and labels["truth"].null_count() == len(labels):
        raise InputError(
            f"no record has {truth!r}, which --truth names. Name the column with the true tasks",
            code="input_no_truth",
        )
    return _labelling(job, classifier, labels, unreadable, seconds), labels


async def _first(batches: AsyncIterator[Batch], limit: int | None) -> AsyncIterator[Batch]:
    """The batches up to so many records."""
    left = limit
    async for batch in batches:
        if left is None:
            yield batch
            continue
        yield batch.first(left)
        left -= len(batch)
        if left <= 0:
            return


def _frame(classifier: Classifier, records: Sequence[Record], truth: str | None) -> pl.DataFrame:
    sitting = classifier.sit(records)
    task, level = sitting.decided(TASK), sitting.decided(COMPLEXITY)
    ids = pl.Series([record.record_id for record in records], dtype=pl.String)
    columns = (ids, task.labels, task.stages, task.confidence, level.labels, level.stages, level.confidence)
    frame = pl.DataFrame(dict(zip(SCHEMA, columns, strict=True)), schema=SCHEMA)
    if truth is None:
        return frame
    true = Columns(records, lambda _: []).texts(truth).str.strip_chars()
    return frame.with_columns(true.set(true == "", None).alias("truth"))


def _labelling(
    job: Job, classifier: Classifier, labels: pl.DataFrame, unreadable: int, seconds: float
) -> Labelling:
    return Labelling(
        job=job.job,
        records=len(labels),
        unreadable=unreadable,
        tasks=_counts(labels["task"]),
        complexities=_counts(labels["complexity"]),
        stages=tuple(
            _stage(decider.name, kind, labels) for decider in classifier.deciders for kind in decider.labels
        ),
        confusion=_confusion(labels),
        seconds=seconds,
        records_per_s=len(labels) / seconds if seconds and len(labels) else None,
        cost_usd=Decimal(0),
    )


def _stage(name: str, kind: str, labels: pl.DataFrame) -> StageLabels:
    by = "classified_by" if kind == TASK else "complexity_by"
    mine = labels.filter(pl.col(by) == name)
    confusion = _confusion(mine) if kind == TASK else None
    return StageLabels(stage=name, labels=kind, decided=len(mine), confusion=confusion)


def _counts(labels: pl.Series) -> dict[str, int]:
    return dict(Counter(labels.fill_null("").to_list()).most_common())


def _confusion(labels: pl.DataFrame) -> Confusion | None:
    if "truth" not in labels.columns:
        return None
    known = labels.filter(pl.col("truth").is_not_null())
    pairs = known.group_by("truth", pl.col("task").fill_null("")).len().sort("truth", "task")
    counts: dict[str, dict[str, int]] = {}
    for true, task, count in pairs.iter_rows():
        counts.setdefault(true, {})[task] = count
    right = sum(tasks.get(true, 0) for true, tasks in counts.items())
    accuracy = right / len(known) if len(known) else None
    return Confusion(records=len(known), right=right, accuracy=accuracy, counts=counts)
