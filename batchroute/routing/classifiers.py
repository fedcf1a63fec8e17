"""The classifier: a job's stages, each asked only about what those before it left undecided."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

import polars as pl

from batchroute.core.errors import JobError
from batchroute.core.records import Labels, Record
from batchroute.job.stages import BuiltinStage, ColumnStage, LengthStage, PatternsStage, Stage
from batchroute.routing import complexity, tasks

Texts: TypeAlias = Callable[[Sequence[Record]], list[str | None]]
"""Reads the text that a prompt shows, for each of the records; None where there is none."""

_UNICODE_BOUNDARY: Final = r"\b"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Decider:
    """Decides one label from one column: texts in, labels or nulls out. `column` None is the default text."""

    name: str
    column: str | None
    decide: Callable[[pl.Series], pl.Series]


@dataclass(frozen=True, slots=True)
class _Decided:
    """A label and the name of the decider that gave it, for each record; null where none did."""

    labels: pl.Series
    names: pl.Series


class Classifier:
    """Names the task and the complexity of records. Pure and synchronous: the same records, the same labels."""

    def __init__(self, stages: Sequence[Stage], *, text: Texts) -> None:
        """Raise JobError for a pattern that cannot be compiled. `text` is asked once a batch, if at all."""
        self._text = text
        self._tasks = [decider for stage in stages for decider in _task_deciders(stage)]
        self._complexity = [decider for stage in stages for decider in _complexity_deciders(stage)]
        self._complexity.append(_Decider(name="builtin:complexity", column=None, decide=complexity.estimate))

    def classify(self, records: Sequence[Record]) -> list[Labels]:
        """One Labels for each record, in order. Fastest for thousands of records at a time."""
        if not records:
            return []
        columns = _Columns(records, self._text)
        task = _decide(self._tasks, columns)
        level = _decide(self._complexity, columns)
        return list(map(Labels, task.labels.to_list(), level.labels.to_list(), task.names.to_list()))


class _Columns:
    """The batch as text columns, each read once."""

    def __init__(self, records: Sequence[Record], text: Texts) -> None:
        self._records = records
        self._text = text
        self._read: dict[str | None, pl.Series] = {}

    def __len__(self) -> int:
        return len(self._records)

    def column(self, name: str | None) -> pl.Series:
        if name not in self._read:
            self._read[name] = _series(
                self._text(self._records)
                if name is None
                else [record.fields.get(name) for record in self._records]
            )
        return self._read[name]


def _decide(deciders: Sequence[_Decider], columns: _Columns) -> _Decided:
    """Ask the deciders in order; each sees only the records that are undecided when its turn comes."""
    labels = pl.repeat(None, len(columns), dtype=pl.String, eager=True)
    names = pl.repeat(
        None, len(columns), dtype=pl.String, eager=True
    )  # not the same: scatter writes in place
    rows = pl.int_range(len(columns), eager=True)
    for decider in deciders:
        if rows.is_empty():
            break
        texts = columns.column(decider.column)
        found = decider.decide(texts if len(rows) == len(texts) else texts.gather(rows))
        known = found.is_not_null()
        decided = rows.filter(known)
        labels = labels.scatter(decided, found.filter(known))
        names = names.scatter(decided, pl.repeat(decider.name, len(decided), eager=True))
        rows = rows.filter(~known)
    return _Decided(labels, names)


def _task_deciders(stage: Stage) -> list[_Decider]:
    if isinstance(stage, ColumnStage) and stage.column is not None:
        return [_Decider(name=f"column:{stage.column}", column=stage.column, decide=_written)]
    if isinstance(stage, PatternsStage):
        return [_Decider(name="patterns", column=stage.text, decide=_Patterns(stage.patterns).tasks)]
    if isinstance(stage, BuiltinStage):
        return [_Decider(name=f"builtin:{stage.builtin}", column=stage.text, decide=tasks.guess)]
    return []


def _complexity_deciders(stage: Stage) -> list[_Decider]:
    if isinstance(stage, ColumnStage) and stage.complexity is not None:
        return [_Decider(name=f"column:{stage.complexity}", column=stage.complexity, decide=_level)]
    if isinstance(stage, LengthStage):
        by_length = partial(_by_length, medium=stage.length.medium, hard=stage.length.hard)
        return [_Decider(name="length", column=stage.text, decide=by_length)]
    return []


def _written(labels: pl.Series) -> pl.Series:
    """What the input says, without blanks around it; nothing where it is blank."""
    label = labels.str.strip_chars()
    return label.set(label == "", None)


def _level(labels: pl.Series) -> pl.Series:
    """Only the three known words count, in any case."""
    level = labels.str.strip_chars().str.to_lowercase()
    return level.set(~level.is_in(complexity.LEVELS), None)


def _by_length(texts: pl.Series, *, medium: int, hard: int) -> pl.Series:
    characters = pl.col("characters")
    simple, middle, top = map(pl.lit, complexity.LEVELS)
    level = (
        pl.when(characters < medium)
        .then(simple)
        .when(characters < hard)
        .then(middle)
        .when(characters >= hard)
    ).then(top)
    return texts.str.len_chars().alias("characters").to_frame().select(level).to_series()


class _Patterns:
    """A job's own patterns. The first task in the order written, one of whose patterns is found, is it.

    A word boundary that knows Unicode makes Rust's automaton give up on text that is not ASCII, about
    fifty times slower. So the patterns are searched without their boundaries first, which can only find
    more, and then as written in the few texts where that found something.
    """

    def __init__(self, patterns: dict[str, tuple[str, ...]]) -> None:
        self._tasks = [
            (task, _compiled(f"patterns.{task}", expressions)) for task, expressions in patterns.items()
        ]
        every = [expression for expressions in patterns.values() for expression in expressions]
        self._wide = _without_boundaries(every)

    def tasks(self, texts: pl.Series) -> pl.Series:
        """The task of each text, null where no pattern is found or the text is null."""
        hopeful = texts.str.contains(self._wide).arg_true() if self._wide else texts.is_not_null().arg_true()
        rest = pl.DataFrame({"row": hopeful, "text": texts.gather(hopeful)})
        found = pl.repeat(None, len(texts), dtype=pl.String, eager=True)
        for task, expressions in self._tasks:
            if rest.is_empty():
                break
            hit = rest.select(
                pl.any_horizontal(pl.col("text").str.contains(expression) for expression in expressions)
            ).to_series()
            rows = rest["row"].filter(hit)
            found = found.scatter(rows, pl.repeat(task, len(rows), eager=True))
            rest = rest.filter(~hit)
        return found


def _compiled(key: str, expressions: tuple[str, ...]) -> list[str]:
    """The expressions as one where that is possible, after each has been seen to compile alone."""
    for expression in expressions:
        reason = _refusal(f"(?i){expression}")
        if reason is not None:
            raise JobError(
                f"classify: {key}: {expression!r} is not a regular expression that can be searched: {reason}. "
                "Look-around and backreferences are not supported; write alternatives as several patterns"
            )
    return _joined(expressions)


def _joined(expressions: Sequence[str]) -> list[str]:
    whole = "(?i)" + "|".join(f"(?:{expression})" for expression in expressions)
    return [whole] if _refusal(whole) is None else [f"(?i){expression}" for expression in expressions]


def _without_boundaries(expressions: Sequence[str]) -> str | None:
    """One expression that finds at least what these find, or None where that cannot be had by leaving out."""
    wide = "|".join(f"(?:{expression})" for expression in expressions)
    if _UNICODE_BOUNDARY not in wide or any(special in wide for special in (r"\\b", r"\b{")):
        return None
    wide = "(?i)" + wide.replace(_UNICODE_BOUNDARY, "")
    return wide if _refusal(wide) is None else None


def _refusal(expression: str) -> str | None:
    """Why polars cannot search for this, in a line; None if it can."""
    try:
        pl.Series([""]).str.contains(expression)
    except pl.exceptions.ComputeError as error:
        lines = [
            line.removeprefix("error: ") for line in str(error).splitlines() if line.startswith("error: ")
        ]
        return lines[0] if lines else str(error).splitlines()[0]
    return None


def _series(values: list[Any]) -> pl.Series:
    """A text column; what is neither text nor a plain value counts as missing."""
    try:
        return pl.Series(values, dtype=pl.String)
    except (TypeError, UnicodeEncodeError):
        return pl.Series([_text_of(value) for value in values], dtype=pl.String)


def _text_of(value: Any) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return value.encode(errors="replace").decode()  # a lone surrogate cannot be stored
    return None
