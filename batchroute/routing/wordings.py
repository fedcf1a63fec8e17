"""What the wording of a request says of its task: a linear model over words and pairs of words.

For texts that begin with no plain instruction. Each word, and each two that follow one another, weigh something for
each task; the weights (`weights.py`) are added, and the task that comes to most is it.
"""

import functools
from collections.abc import Sequence
from typing import Final

import polars as pl

from batchroute.routing.weights import CLASSES, PARTS, TASKS, shipped

OPENING: Final = 100
"""Characters at the start of a text that are read."""

ENDING: Final = 40
"""Characters at its end that are read."""

_SHARPNESS: Final = 1.2
"""What turns sums into confidence that holds on requests that were not trained on."""

_LEAST: Final = 0.3
"""Below this confidence nothing is said."""

_STEM: Final = 5
"""So many letters of a word count: a stemmer for all languages."""

_MARKS: Final = ".,:;!?\"'()[]{}<>=/*#`+-|…«»“”„¿¡。,?!:;、「」『』()\n\t"
"""Each is a word of its own."""

_APART: Final = [f" {'⏎' if mark.isspace() else mark} " for mark in _MARKS]

_WIDE: Final = "[\u2e80-\uffff]|[^\u2e80-\uffff]+"
"""A Chinese or Japanese character, or what stands between two."""


def tokens(texts: pl.Series) -> pl.DataFrame:
    """The words of each text that are read, in order: `row`, its place, and `word`. `^` begins a text, `$` ends it."""
    parted = _read(texts).str.replace_all("[0-9]+", " 0 ").str.replace_many(list(_MARKS), _APART)
    bounded = pl.concat_str(pl.lit("^ "), pl.col("text"), pl.lit(" $"))
    pieces = parted.to_frame("text").select(bounded.str.split(" ").alias("word")).with_row_index("row")
    words = pieces.explode("word").filter(pl.col("word").str.len_bytes() > 0)
    return words.with_columns(pl.col("word").str.head(_STEM))


def _read(texts: pl.Series) -> pl.Series:
    """The opening and the ending of each text, or all of it, in lower case and with blanks between its words."""
    text = pl.col("text")
    both = pl.concat_str(text.str.head(OPENING), text.str.tail(ENDING), separator=" … ")
    read = pl.when(text.str.len_chars() > OPENING + ENDING).then(both).otherwise(text)
    return _apart(texts.alias("text").to_frame().select(read.str.to_lowercase()).to_series())


def _apart(texts: pl.Series) -> pl.Series:
    """Chinese and Japanese have no blanks between words: each character is one."""
    wide = (texts.str.len_bytes() > texts.str.len_chars() * 9 // 8).arg_true()
    if wide.is_empty():
        return texts
    return texts.scatter(wide, texts.gather(wide).str.extract_all(_WIDE).list.join(" "))


def likeliest(texts: pl.Series) -> pl.DataFrame:
    """`task` and `confidence` (0 to 1) of the texts that say enough, in any order; `row` is the place of the text."""
    sums = shipped().sums(tokens(texts))
    shares = sums.with_columns(most=pl.max_horizontal(CLASSES)).select(_judgement())
    return shares.filter((pl.col("confidence") >= _LEAST) & pl.col("task").is_not_null())


@functools.cache
def _judgement() -> Sequence[pl.Expr]:
    """Of tasks that are as likely the first one is told: the same text has the same task in every run."""
    first = pl.coalesce(pl.when(pl.col(task) == pl.col("most")).then(pl.lit(task)) for task in TASKS)
    shares = ((pl.col(name) - pl.col("most")) * (_SHARPNESS / PARTS) for name in CLASSES)
    confidence = 1 / pl.sum_horizontal(share.exp() for share in shares)
    return pl.col("row"), first.alias("task"), confidence.alias("confidence")
