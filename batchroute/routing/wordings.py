"""What the wording of a request says of its task: a linear model over words and pairs of words.

For texts that begin with no plain instruction. Each word, and each two that follow one another, weigh something for
each task; the weights (`weights.py`) are added, and the task that comes to most is it.
"""

import functools
from collections.abc import Sequence
from typing import Final

import polars as pl

from batchroute.routing.weights import CLASSES, PARTS, TASKS, shipped, sums

OPENING: Final = 120
"""Characters at the start of a text that are read."""

ENDING: Final = 60
"""Characters at its end that are read."""

_SHARPNESS: Final = 1.0
"""What turns sums into confidence that holds on requests that were not trained on."""

_LEAST: Final = 0.25
"""Below this confidence nothing is said."""

_STEM: Final = 4
"""So many letters of a word count: a stemmer for all languages."""

_MARKS: Final = ".,:;!?\"'()[]{}<>=/*#`+-|…«»“”„¿¡。,?!:;、「」『』()\n\t"
"""Each is a word of its own."""

_APART: Final = {
    mark + blank: f" {'⏎' if mark.isspace() else mark} " for blank in (" ", "") for mark in _MARKS
}
"""What stands for a mark: with a blank after it as without one, so that two blanks are few."""

_WIDE: Final = "[\u2e80-\uffff]|[^\u2e80-\uffff]+"
"""A Chinese or Japanese character, or what stands between two."""


def tokens(texts: pl.Series) -> pl.DataFrame:
    """The words of each text that are read, in order: `row`, its place, and `word`. `^` begins a text, `$` ends it."""
    read = texts.str.strip_chars().to_frame("text").select(_reading())
    wide = read.select(is_wide()).to_series().arg_true()
    pieces = _apart(read.to_series(), wide).to_frame("text").select(_pieces()).with_row_index("row")
    return pieces.explode("word").filter(pl.col("word").str.len_bytes() > 0).with_columns(_stem())


def _apart(texts: pl.Series, wide: pl.Series) -> pl.Series:
    """Chinese and Japanese have no blanks between words: each character is one."""
    if wide.is_empty():
        return texts
    return texts.scatter(wide, texts.gather(wide).str.extract_all(_WIDE).list.join(" "))


# What is said to polars is put together once: in small batches that would take longer than what it says.


@functools.cache
def is_wide() -> pl.Expr:
    """Whether `text` is Chinese or Japanese, by its bytes: letters with accents make a text longer by some per cent
    only.
    """
    text = pl.col("text").str
    return text.len_bytes() > text.len_chars() * 9 // 8


@functools.cache
def _reading() -> pl.Expr:
    """The opening and the ending of `text`, or all of it, in lower case."""
    text = pl.col("text")
    both = pl.concat_str(text.str.head(OPENING), text.str.tail(ENDING), separator=" … ")
    read = pl.when(text.str.len_chars() > OPENING + ENDING).then(both).otherwise(text)
    return read.str.to_lowercase()


@functools.cache
def _pieces() -> pl.Expr:
    """What stands between the blanks of `text`, once there are blanks around every mark and number."""
    apart = pl.col("text").str.replace_all("[0-9]+ ?", " 0 ").str.replace_many(_APART, leftmost=True)
    return pl.concat_str(pl.lit("^ "), apart, pl.lit(" $")).str.split(" ").alias("word")


@functools.cache
def _stem() -> pl.Expr:
    return pl.col("word").str.head(_STEM)


def likeliest(texts: pl.Series) -> pl.DataFrame:
    """`task` and `confidence` (0 to 1) of the texts that say enough, in any order; `row` is the place of the text."""
    told = sums(tokens(texts), shipped())
    shares = told.with_columns(most=pl.max_horizontal(CLASSES)).select(_judgement())
    return shares.filter((pl.col("confidence") >= _LEAST) & pl.col("task").is_not_null())


@functools.cache
def _judgement() -> Sequence[pl.Expr]:
    """Of tasks that are as likely the first one is told: the same text has the same task in every run."""
    first = pl.coalesce(pl.when(pl.col(task) == pl.col("most")).then(pl.lit(task)) for task in TASKS)
    shares = ((pl.col(name) - pl.col("most")) * (_SHARPNESS / PARTS) for name in CLASSES)
    confidence = 1 / pl.sum_horizontal(share.exp() for share in shares)
    return pl.col("row"), first.alias("task"), confidence.alias("confidence")
