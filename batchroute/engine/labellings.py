"""Labelling an input without answering it: which stage decided what, how right it was, and what it took."""

from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final

import msgspec
import polars as pl
from msgspec import Struct

from batchroute.core.errors import BatchrouteError, InputError
from batchroute.core.money import usd
from batchroute.core.records import Batch, Record
from batchroute.engine.clock import Clock
from batchroute.engine.inquiries import Asker, Bill, Inquiries
from batchroute.engine.openings import opened
from batchroute.engine.runs import Connect
from batchroute.engine.trials import on_trial
from batchroute.job.jobs import Job
from batchroute.providers.connections import connected
from batchroute.routing.classifiers import Classifier
from batchroute.routing.columns import Columns
from batchroute.routing.opinions import COMPLEXITY, TASK
from batchroute.routing.sittings import Sitting

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
    records_per_s: float | None = None
    """Of all records that it was asked about."""
    requests: int = 0
    unanswered: int = 0
    """Texts that it asked a model about in vain."""
    cost_usd: Decimal | None = Decimal(0)
    """Of its requests; None where a price is unknown."""


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
    cost_usd: Decimal | None
    """Stages that send nothing cost nothing; None where a price is unknown."""

    def json(self) -> bytes:
        """The labelling as one JSON object."""
        return msgspec.json.encode(self)


async def label(
    job: Job,
    *,
    truth: str | None = None,
    limit: int | None = None,
    clock: Clock | None = None,
    connect: Connect = connected,
) -> tuple[Labelling, pl.DataFrame]:
    """Classify the first `limit` records of the input, or all, and compare the tasks with the column `truth`.

    Stages that ask a model do so, and nothing else is sent. The labels are a row a record, in input order, held in
    memory. Raises BatchrouteError for a job or an input that cannot be used, for a truth that no record has, and
    where every model is out that could be asked.
    """
    clock = clock or Clock()
    _, classifier, source = opened(job, also=() if truth is None else (truth,))
    took = _Took()
    frames, unreadable = [_frame(classifier.sit([]), [], truth)], 0
    async with on_trial(job, classifier, clock, connect) as inquiries, aclosing(source.batches()) as batches:
        async for batch in _first(batches, limit):
            unreadable += len(batch.rejects)
            sitting = await _heard(classifier, inquiries, batch.records, clock, took)
            frames.append(_frame(sitting, batch.records, truth))
    labels = pl.concat(frames)
    if truth is not None and len(labels) and labels["truth"].null_count() == len(labels):
        raise InputError(
            f"no record has {truth!r}, which --truth names. Name the column with the true tasks",
            code="input_no_truth",
        )
    return _labelling(job, classifier, labels, unreadable, took), labels


@dataclass
class _Took:
    """What classification has taken so far: all in all, by stage, and on the bills of stages that ask a model."""

    seconds: float = 0.0
    stages: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    asked: Counter[str] = field(default_factory=Counter)
    bills: dict[str, Bill] = field(default_factory=dict)

    @property
    def cost_usd(self) -> Decimal | None:
        costs = [bill.cost for bill in self.bills.values()]
        known = [cost for cost in costs if cost is not None]
        return _usd(sum(known)) if len(known) == len(costs) else None


async def _heard(
    classifier: Classifier, inquiries: Inquiries | None, records: list[Record], clock: Clock, took: _Took
) -> Sitting:
    began = clock.now()
    if inquiries is None:
        sitting = classifier.sit(records, clock.now)
    else:
        took.bills = inquiries.bills
        sitting = await inquiries.heard(
            [Asker(record, number) for number, record in enumerate(records)], clock.now
        )
        if isinstance(reason := inquiries.journey.halt.reason, BatchrouteError):
            raise reason
    took.seconds += clock.now() - began
    for stage, seconds in sitting.seconds.items():
        took.stages[stage] += seconds
    took.asked.update(sitting.asked)
    return sitting


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


def _frame(sitting: Sitting, records: Sequence[Record], truth: str | None) -> pl.DataFrame:
    task, level = sitting.decided(TASK), sitting.decided(COMPLEXITY)
    ids = pl.Series([record.record_id for record in records], dtype=pl.String)
    columns = (ids, task.labels, task.stages, task.confidence, level.labels, level.stages, level.confidence)
    frame = pl.DataFrame(dict(zip(SCHEMA, columns, strict=True)), schema=SCHEMA)
    if truth is None:
        return frame
    true = Columns(records, lambda _: []).texts(truth).str.strip_chars()
    return frame.with_columns(true.set(true == "", None).alias("truth"))


def _labelling(
    job: Job, classifier: Classifier, labels: pl.DataFrame, unreadable: int, took: _Took
) -> Labelling:
    return Labelling(
        job=job.job,
        records=len(labels),
        unreadable=unreadable,
        tasks=_counts(labels["task"]),
        complexities=_counts(labels["complexity"]),
        stages=tuple(
            _stage(decider.name, kind, labels, took)
            for decider in classifier.deciders
            for kind in decider.labels
        ),
        confusion=_confusion(labels),
        seconds=took.seconds,
        records_per_s=_rate(len(labels), took.seconds),
        cost_usd=took.cost_usd,
    )


def _usd(cost: int) -> Decimal:
    return usd(cost) if cost else Decimal(0)


def _rate(records: int, seconds: float) -> float | None:
    return records / seconds if records and seconds else None


def _stage(name: str, kind: str, labels: pl.DataFrame, took: _Took) -> StageLabels:
    by = "classified_by" if kind == TASK else "complexity_by"
    mine = labels.filter(pl.col(by) == name)
    confusion = _confusion(mine) if kind == TASK else None
    bill = took.bills.get(name, Bill())
    return StageLabels(
        stage=name,
        labels=kind,
        decided=len(mine),
        confusion=confusion,
        records_per_s=_rate(took.asked[name], took.stages[name] + bill.seconds),
        requests=bill.requests,
        unanswered=bill.unanswered,
        cost_usd=None if bill.cost is None else _usd(bill.cost),
    )


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
