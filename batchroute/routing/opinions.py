"""What stages of classification say of records, and the stage as such: the protocol of `classify`."""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import polars as pl
from msgspec import Struct

from batchroute.routing.columns import Columns

TASK: Final = "task"
COMPLEXITY: Final = "complexity"


class Opinion(Struct, frozen=True):
    """One kind of label for the records that were asked about, in their order; null where it decides nothing.

    `confidence`, Float64 from 0 to 1, says how sure each is; null and None mean that it was not told.
    """

    labels: pl.Series
    confidence: pl.Series | None = None


class Answer(Struct, frozen=True, gc=False, kw_only=True):
    """What a stage says of one record, where labels do not come as columns. None: it does not say."""

    task: str | None = None
    complexity: str | None = None
    confidence: float | None = None


UNDECIDED: Final = Answer()

Opinions: TypeAlias = dict[str, Opinion]
"""By kind of label, `task` or `complexity`."""

Decide: TypeAlias = Callable[[Columns], Opinions]
"""Pure and synchronous. It is given the records that are undecided when its turn comes."""


class Decider(Struct, frozen=True, kw_only=True):
    """A stage at work. `labels` are the kinds that it may give.

    `decide` is None for a stage that has to ask somebody (a model): a sitting stops there with its question, and
    goes on with the answers. `threshold`: what is less sure, or does not say how sure it is, is left to later stages.
    """

    name: str
    labels: tuple[str, ...]
    decide: Decide | None
    threshold: float | None = None


def opinions(answers: Sequence[Answer]) -> Opinions:
    """Answers as columns."""
    confidence = pl.Series([answer.confidence for answer in answers], dtype=pl.Float64)
    return {
        TASK: Opinion(pl.Series([answer.task for answer in answers], dtype=pl.String), confidence),
        COMPLEXITY: Opinion(
            pl.Series([answer.complexity for answer in answers], dtype=pl.String), confidence
        ),
    }
