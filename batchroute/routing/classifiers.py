"""The classifier: a job's stages, each asked only about what those before it left undecided."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Final, TypeAlias

import msgspec
import polars as pl

from batchroute.core.errors import JobError
from batchroute.core.records import Labels, Record
from batchroute.core.requests import Endpoint
from batchroute.job.stages import (
    BuiltinStage,
    ColumnStage,
    LengthStage,
    LlmStage,
    PatternsStage,
    PythonStage,
    SqlStage,
    Stage,
)
from batchroute.routing import complexity, tasks
from batchroute.routing.columns import Columns, Texts
from batchroute.routing.expressions import Expression
from batchroute.routing.functions import Asked, Function
from batchroute.routing.labellers import Labeller
from batchroute.routing.opinions import COMPLEXITY, TASK, Decide, Decider, Opinion, Opinions
from batchroute.routing.sittings import Sitting

_UNICODE_BOUNDARY: Final = r"\b"

_Judge: TypeAlias = Callable[[pl.Series], pl.Series]
"""Labels of texts, null where it decides nothing."""


class Classifier:
    """Names the task and the complexity of records. Pure and synchronous: the same records, the same labels."""

    def __init__(
        self,
        stages: Sequence[Stage],
        *,
        text: Texts,
        functions: Mapping[str, Function] | None = None,
        known_as: Callable[[str], object] = str,
        endpoint: str = Endpoint.CHAT,
    ) -> None:
        """Raise JobError for a pattern that cannot be compiled. `text` is asked once a batch, if at all.

        `functions` are those that Python stages name, by `module:function`; `known_as` tells what a model is that an
        LLM stage asks, whatever the job calls it, and `endpoint` how it is asked.
        """
        self._text = text
        numbered = _numbered([decider for stage in stages for decider in _deciders(stage, functions or {})])
        estimate = _judged(COMPLEXITY, None, complexity.estimate)
        self.deciders: tuple[Decider, ...] = (
            *numbered,
            Decider(name="builtin:complexity", labels=(COMPLEXITY,), decide=estimate),
        )
        asking = (decider.name for decider in numbered if decider.decide is None)
        labellers = (
            Labeller(
                stage.llm,
                text=stage.text,
                known_as=known_as(stage.llm.model),
                endpoint=Endpoint(endpoint),
            )
            for stage in stages
            if isinstance(stage, LlmStage)
        )
        self.labellers: dict[str, Labeller] = dict(zip(asking, labellers, strict=True))
        """The stages that ask a model, by name."""
        given = [_tasks(stage) for stage in stages]
        self.tasks = None if None in given else frozenset(task for some in given for task in some or ())
        """Those that the stages can give; None where that is not known beforehand."""

    def classify(self, records: Sequence[Record]) -> list[Labels]:
        """One Labels for each record, in order. Fastest for thousands of records at a time.

        A stage that would have to ask somebody is passed over: it leaves its records to those after it.
        """
        if not records:
            return []
        return self.sit(records).labels()

    def sit(self, records: Sequence[Record], now: Callable[[], float] | None = None) -> Sitting:
        """The records before the stages, as far as they can be decided without asking anybody. `now` times them."""
        decided = [decider for decider in self.deciders if decider.decide is not None]
        return Sitting(decided, Columns(records, self._text), now)

    def begin(self, records: Sequence[Record], now: Callable[[], float] | None = None) -> Sitting:
        """The records before all stages, up to the first question. `now` times them."""
        return Sitting(self.deciders, Columns(records, self._text), now)


def _numbered(deciders: Sequence[Decider]) -> list[Decider]:
    """Names that differ: the second `patterns` is `patterns:2`. One name gives its task and complexity alike."""
    seen: dict[tuple[str, tuple[str, ...]], int] = {}
    numbered = []
    for decider in deciders:
        key = decider.name, decider.labels
        number = seen[key] = seen.get(key, 0) + 1
        numbered.append(
            decider if number == 1 else msgspec.structs.replace(decider, name=f"{decider.name}:{number}")
        )
    return numbered


def _deciders(stage: Stage, functions: Mapping[str, Function]) -> list[Decider]:
    match stage:
        case ColumnStage():
            return _column_deciders(stage)
        case PatternsStage():
            judge = _Patterns(stage.patterns).tasks
            return [Decider(name="patterns", labels=(TASK,), decide=_judged(TASK, stage.text, judge))]
        case BuiltinStage():
            name = f"builtin:{stage.builtin}"
            decide = _guessed(stage.text)
            return [Decider(name=name, labels=(TASK,), decide=decide, threshold=stage.threshold)]
        case LengthStage():
            judge = partial(_by_length, medium=stage.length.medium, hard=stage.length.hard)
            decide = _judged(COMPLEXITY, stage.text, judge)
            return [Decider(name="length", labels=(COMPLEXITY,), decide=decide)]
        case SqlStage():
            return [_sql_decider(stage)]
        case PythonStage():
            name = f"python:{stage.python}"
            decide = Asked(stage, functions[stage.python], name=name).decide
            labels = (TASK, COMPLEXITY)
            return [Decider(name=name, labels=labels, decide=decide, threshold=stage.threshold)]
        case LlmStage():
            kinds = (TASK, COMPLEXITY) if stage.llm.complexity else (TASK,)
            name = f"llm:{stage.llm.model}"
            return [Decider(name=name, labels=kinds, decide=None, threshold=stage.threshold)]


def _tasks(stage: Stage) -> Iterable[str] | None:
    """The tasks that a stage can give; None for any."""
    match stage:
        case PatternsStage():
            return stage.patterns
        case BuiltinStage():
            return tasks.NAMES
        case LlmStage():
            return stage.llm.labels
        case LengthStage() | ColumnStage(column=None) | SqlStage(label="complexity"):
            return ()
        case _:
            return None


def _judged(label: str, column: str | None, judge: _Judge) -> Decide:
    """A stage that judges one column of texts and does not say how sure it is."""

    def decide(columns: Columns) -> Opinions:
        return {label: Opinion(judge(columns.texts(column)))}

    return decide


def _guessed(column: str | None) -> Decide:
    """The shipped rules, which say how sure they are."""

    def decide(columns: Columns) -> Opinions:
        return {TASK: tasks.guess(columns.texts(column))}

    return decide


def _column_deciders(stage: ColumnStage) -> list[Decider]:
    """Two stages, as they have two names."""
    said = ((TASK, stage.column, _written), (COMPLEXITY, stage.complexity, _level))
    return [
        Decider(
            name=f"column:{column}",
            labels=(label,),
            decide=_read(label, column, judge, stage.confidence),
            threshold=stage.threshold,
        )
        for label, column, judge in said
        if column is not None
    ]


def _read(label: str, column: str, judge: _Judge, confidence: str | None) -> Decide:
    if confidence is None:
        return _judged(label, column, judge)

    def decide(columns: Columns) -> Opinions:
        sure = columns.texts(confidence).cast(pl.Float64, strict=False)
        return {label: Opinion(judge(columns.texts(column)), _share(sure))}

    return decide


def _sql_decider(stage: SqlStage) -> Decider:
    labels = Expression(stage.sql, stage="classify: sql")
    confidence = Expression(stage.confidence, stage="classify: confidence") if stage.confidence else None
    judge = _level if stage.label == COMPLEXITY else _written

    def decide(columns: Columns) -> Opinions:
        sure = None if confidence is None else _share(confidence.values(columns, pl.Float64()))
        return {stage.label: Opinion(judge(labels.values(columns, pl.String())), sure)}

    return Decider(name="sql", labels=(stage.label,), decide=decide, threshold=stage.threshold)


def _share(confidence: pl.Series) -> pl.Series:
    """What is not from 0 to 1 tells nothing."""
    return confidence.set(~confidence.is_between(0, 1), None)


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
