"""A sitting: a batch of records before the stages, in their order, until each has its labels."""

from collections import Counter
from collections.abc import Callable, Sequence

import polars as pl
from msgspec import Struct

from batchroute.core.records import Labels, Record
from batchroute.routing.columns import Columns
from batchroute.routing.opinions import COMPLEXITY, TASK, Answer, Decider, Opinion, opinions


class Question(Struct, frozen=True):
    """What a stage that cannot decide by itself is asked: which records, and which kinds of label may be given.

    `rows` are the places of these records in the batch.
    """

    stage: str
    labels: tuple[str, ...]
    records: Sequence[Record]
    columns: Columns
    rows: tuple[int, ...]


class Decided(Struct, frozen=True):
    """One kind of label for every record of a batch: the label, the stage that gave it, and how sure it was.

    All null where no stage decided, the confidence also where it was not told.
    """

    labels: pl.Series
    stages: pl.Series
    confidence: pl.Series


class Sitting:
    """Asks each stage only about what those before it left undecided. No I/O: whoever holds it does the asking.

    `sitting.question` is what the next asynchronous stage is asked, None once all stages were heard;
    `sitting.answer(answers)` takes one answer for each of its records and goes on to the stages after it.
    An answer that decides nothing leaves the record to them, which is how a failed request is told.
    """

    def __init__(
        self, deciders: Sequence[Decider], columns: Columns, now: Callable[[], float] | None = None
    ) -> None:
        """With `now`, `sitting.seconds` tells how long each stage took that decides by itself."""
        self._now = now
        self.seconds: dict[str, float] = {}
        self.asked: Counter[str] = Counter()
        """How many records each stage was asked about."""
        self._columns = columns
        self._drafts = {TASK: _Draft(len(columns)), COMPLEXITY: _Draft(len(columns))}
        self._left = list(deciders)
        self._asked = pl.Series(dtype=pl.Int64)
        self.question: Question | None = None
        self._go_on()

    def answer(self, answers: Sequence[Answer]) -> None:
        """Take what the question was answered, and hear the stages up to the next question."""
        if self.question is None or len(answers) != len(self.question.records):
            raise ValueError("a sitting takes one answer for each record of its question")
        self.question = None
        self._note(self._left.pop(0), self._asked, opinions(answers))
        self._go_on()

    def decided(self, label: str) -> Decided:
        """What is known of `task` or `complexity` so far."""
        return self._drafts[label].decided()

    def labels(self) -> list[Labels]:
        """One Labels for each record, in order."""
        task, level = self.decided(TASK), self.decided(COMPLEXITY)
        return list(map(Labels, task.labels.to_list(), level.labels.to_list(), task.stages.to_list()))

    def _go_on(self) -> None:
        while self._left:
            decider = self._left[0]
            rows = self._undecided(decider.labels)
            self.asked[decider.name] += len(rows)
            if rows.is_empty():
                self._left.pop(0)
            elif decider.decide is None:
                self._asked = rows
                self.question = self._asking(decider, rows)
                return
            else:
                began = self._now() if self._now is not None else 0.0
                self._note(self._left.pop(0), rows, decider.decide(self._columns.at(rows)))
                if self._now is not None:
                    self.seconds[decider.name] = self.seconds.get(decider.name, 0.0) + self._now() - began

    def _asking(self, decider: Decider, rows: pl.Series) -> Question:
        asked = self._columns.at(rows)
        return Question(decider.name, decider.labels, asked.records(), asked, tuple(rows.to_list()))

    def _undecided(self, labels: tuple[str, ...]) -> pl.Series:
        """The rows that lack any of these labels, in order."""
        if len(labels) == 1:
            return self._drafts[labels[0]].rows
        return pl.concat([self._drafts[label].rows for label in labels]).unique().sort()

    def _note(self, decider: Decider, rows: pl.Series, said: dict[str, Opinion]) -> None:
        for label in decider.labels:
            if label in said:
                self._drafts[label].note(decider, rows, said[label])


class _Draft:
    """One kind of label as far as it is known. `rows` are those that lack it, in order."""

    def __init__(self, count: int) -> None:
        self._labels = _nulls(count)
        self._stages = _nulls(count)  # not the same: scatter writes in place
        self._confidence: pl.Series | None = None
        self._count = count
        self.rows = pl.int_range(count, eager=True)

    def note(self, decider: Decider, asked: pl.Series, opinion: Opinion) -> None:
        """Take what a stage says of the rows asked about, where they still lack the label."""
        known = opinion.labels.is_not_null()
        if decider.threshold is not None:
            sure = _nulls(len(asked)) if opinion.confidence is None else opinion.confidence
            known &= (sure.cast(pl.Float64) >= decider.threshold).fill_null(value=False)
        if len(asked) != len(self.rows):
            known &= asked.is_in(self.rows.implode())
        decided = asked.filter(known)
        self._labels = self._labels.scatter(decided, opinion.labels.filter(known))
        self._stages = self._stages.scatter(decided, pl.repeat(decider.name, len(decided), eager=True))
        if opinion.confidence is not None:
            self._note_confidence(decided, opinion.confidence.filter(known))
        self.rows = (
            asked.filter(~known)
            if len(asked) == len(self.rows)
            else self.rows.filter(~self.rows.is_in(decided.implode()))
        )

    def _note_confidence(self, rows: pl.Series, confidence: pl.Series) -> None:
        if self._confidence is None:
            self._confidence = pl.repeat(None, self._count, dtype=pl.Float64, eager=True)
        self._confidence = self._confidence.scatter(rows, confidence)

    def decided(self) -> Decided:
        nothing = pl.repeat(None, self._count, dtype=pl.Float64, eager=True)
        return Decided(self._labels, self._stages, nothing if self._confidence is None else self._confidence)


def _nulls(count: int) -> pl.Series:
    return pl.repeat(None, count, dtype=pl.String, eager=True)
