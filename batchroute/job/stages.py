"""The stages of classification, as a job file declares them: a mapping whose key says which stage it is."""

import re
import warnings
from typing import Annotated, Any, Literal, Self, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from batchroute.job.expressions import columns_of, parsed
from batchroute.job.functions import FunctionName
from batchroute.job.questions import LabelQuestion
from batchroute.job.spec import Listed, Positive, Share, Spec, Text, distinct

_KINDS = {
    "sql": "sql",  # these two before the columns: they have keys of the same name
    "python": "python",
    "column": "column",
    "complexity": "column",
    "patterns": "patterns",
    "builtin": "builtin",
    "length": "length",
    "llm": "llm",
}
_ADVICE = "Write one of column, patterns, builtin, length, sql, python or llm, for example `builtin: tasks`"
_BACKTRACKING = re.compile(r"(?<!\\)(?:\\\\)*(\(\?(?:=|!|<=|<!|>|P=)|\\[1-9])")
_ONLY_PYTHON = (
    "bad escape",
    "unknown extension",
    "multiple repeat",
    "missing :",
    "global flags",
    "unknown flag",
)
_REGEX_ADVICE = "Write alternatives as several patterns"


def _regex(pattern: str) -> str:
    """Refuse what is no regular expression anywhere, and what automata cannot match.

    The dialect is Rust's: what only Python refuses, such as a Unicode class, may be right in it and is
    judged where the patterns are compiled.
    """
    if foreign := _BACKTRACKING.search(pattern):
        raise ValueError(
            f"has {foreign[1]}: look-around and backreferences are not supported. {_REGEX_ADVICE}"
        )
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # `[a&&b]` is a set operation in Rust
            re.compile(pattern)
    except re.error as error:
        if not error.msg.startswith(_ONLY_PYTHON):
            raise ValueError(
                f"is not a regular expression: {error}. Mend it, or escape it with \\"
            ) from error
    return pattern


def _some(patterns: tuple[str, ...]) -> tuple[str, ...]:
    if not patterns:
        raise ValueError("lists no pattern. Write one, or remove the task")
    return patterns


Regex: TypeAlias = Annotated[Text, AfterValidator(_regex)]
"""A regular expression in Rust's dialect, searched anywhere in the text; case-insensitive unless it says `(?-i)`."""

Regexes: TypeAlias = Annotated[tuple[Regex, ...], AfterValidator(_some), Listed]


def _expression(sql: str) -> str:
    parsed(sql)
    return sql


def _function(text: str) -> str:
    FunctionName.of(text)
    return text


Expression: TypeAlias = Annotated[Text, AfterValidator(_expression)]
"""An SQL expression over the columns of one record."""

Label: TypeAlias = Literal["task", "complexity"]
"""What a stage that gives one label calls it."""


class ColumnStage(Spec):
    """Labels that the input carries. A value that is null or blank decides nothing.

    `column` names the input column with the task, `complexity` the one with simple, medium or hard, and
    `confidence` the one that says from 0 to 1 how sure they are.
    """

    column: Text | None = None
    complexity: Text | None = None
    confidence: Text | None = None
    threshold: Share | None = None

    def reads(self) -> set[str]:
        """The input columns that it needs."""
        return _named(self.column, self.complexity, self.confidence)

    @model_validator(mode="after")
    def _one_at_least(self) -> Self:
        if self.column is None and self.complexity is None:
            raise ValueError("names no column. Write `column: task`, `complexity: level` or both")
        return self

    @model_validator(mode="after")
    def _compares(self) -> Self:
        _check_comparable(self.threshold, self.confidence)
        return self


class PatternsStage(Spec):
    """The first task, in the order written, one of whose patterns is found in the text.

    `text` is the input column to search; without it, the text that the prompt shows.
    """

    patterns: Annotated[dict[Text, Regexes], Field(min_length=1)]
    text: Text | None = None

    def reads(self) -> set[str]:
        """The input columns that it needs."""
        return _named(self.text)


class BuiltinStage(Spec):
    """The shipped multilingual rules."""

    builtin: Literal["tasks"]
    text: Text | None = None
    threshold: Share | None = None

    def reads(self) -> set[str]:
        """The input columns that it needs."""
        return _named(self.text)


class Lengths(Spec):
    """From how many characters on a text is medium, and from how many hard."""

    medium: Positive
    hard: Positive

    @model_validator(mode="after")
    def _ascending(self) -> Self:
        if self.hard <= self.medium:
            raise ValueError(
                f"has hard ({self.hard}) not above medium ({self.medium}). Write the longer one as hard"
            )
        return self


class LengthStage(Spec):
    """Complexity by the number of characters of the text; says nothing of the task."""

    length: Lengths
    text: Text | None = None

    def reads(self) -> set[str]:
        """The input columns that it needs."""
        return _named(self.text)


class SqlStage(Spec):
    """A label by an SQL expression over the input's columns; null decides nothing, and neither does a blank.

    `confidence` is such an expression, too: from 0 to 1. polars reads both, and they reach no file and no other record.
    """

    sql: Expression
    label: Label = "task"
    confidence: Expression | None = None
    threshold: Share | None = None

    def reads(self) -> set[str]:
        """The input columns that it needs."""
        return columns_of(self.sql, self.confidence)

    @model_validator(mode="after")
    def _compares(self) -> Self:
        _check_comparable(self.threshold, self.confidence)
        return self


class PythonStage(Spec):
    """Labels by a function that stands beside the job file: `module:function`.

    It is given a list of the records' fields, a mapping each, and returns as many answers in the same order: the
    label, (label, confidence), a mapping with any of task, complexity and confidence, or None for no decision.
    """

    python: Annotated[Text, AfterValidator(_function)]
    label: Label = "task"
    columns: Annotated[tuple[Text, ...], Listed, Field(min_length=1), AfterValidator(distinct)]
    threshold: Share | None = None

    def reads(self) -> set[str]:
        """The input columns that it needs."""
        return set(self.columns)


class LlmStage(Spec):
    """Labels by a model that is asked about the records that no stage before has decided. Its requests are paid for.

    `text` is the input column that it is shown; without it, the text that the prompt shows.
    """

    llm: LabelQuestion
    text: Text | None = None
    threshold: Share | None = None

    def reads(self) -> set[str]:
        """The input columns that it needs."""
        return _named(self.text)


def _named(*columns: str | None) -> set[str]:
    return {name for name in columns if name is not None}


def _check_comparable(threshold: float | None, confidence: str | None) -> None:
    if threshold is not None and confidence is None:
        raise ValueError(
            "has a threshold and nothing to compare with it. Add `confidence`, or remove `threshold`"
        )


def _kind(value: Any) -> str | None:
    if isinstance(value, dict):
        return next((f"{kind} stage" for key, kind in _KINDS.items() if key in value), None)
    return next((f"{kind} stage" for key, kind in _KINDS.items() if hasattr(value, key)), None)


def _recognised(value: Any) -> Any:
    if _kind(value) is not None:
        return value
    if not isinstance(value, dict):
        raise PydanticCustomError("stage_shape", "must be a mapping. " + _ADVICE)
    keys = ", ".join(map(repr, value)) or "nothing"
    raise PydanticCustomError("stage_unknown", "is no stage: found {keys}. " + _ADVICE, {"keys": keys})


Stage: TypeAlias = Annotated[
    Annotated[ColumnStage, Tag("column stage")]
    | Annotated[PatternsStage, Tag("patterns stage")]
    | Annotated[BuiltinStage, Tag("builtin stage")]
    | Annotated[LengthStage, Tag("length stage")]
    | Annotated[SqlStage, Tag("sql stage")]
    | Annotated[PythonStage, Tag("python stage")]
    | Annotated[LlmStage, Tag("llm stage")],
    Discriminator(_kind),
    BeforeValidator(_recognised),
]
"""One stage of the list `classify`. In error locations it adds one step that no key can be called: "column stage"."""
