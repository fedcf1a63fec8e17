# ruff: noqa: RUF001 - full-width punctuation is what Chinese and Japanese are written with
"""What the wording of a request says of its task: a linear model over words and pairs of words.

For texts that begin with no plain instruction. Each word, and each two that follow one another, weigh something for
each task; the weights are added, and the task that comes to most is it. They stand in `weights.py`, which
`python -m tests.training` makes from phrases written for it and from the half of the sample requests that may be seen.
"""

import functools
from typing import Final

import polars as pl

from batchroute.routing.weights import WEIGHTS

TASKS: Final = (
    "code", "reason", "classify", "extract", "translate", "summarize", "creative", "moderate", "chat"
)  # fmt: skip

NOTHING: Final = "nothing"
"""Stands among the tasks for texts in which nothing is asked."""

OPENING: Final = 120
"""Characters at the start of a text that are read."""

ENDING: Final = 80
"""Characters at its end that are read."""

PARTS: Final = 20
"""Weights are whole numbers, twentieths of a natural logarithm: sums of floats depend on their order."""

_SHARPNESS: Final = 1.4
"""What turns sums into confidence that holds on requests that were not trained on."""

_LEAST: Final = 0.25
"""Below this confidence nothing is said."""

_STEM: Final = 5
"""So many letters of a word count: a stemmer for all languages."""

_MARKS: Final = ".,:;!?\"'()[]{}<>=/*#`+-|…«»“”„¿¡。,?!:;、「」『』()\n\t"
"""Each is a word of its own."""

_FACTOR: Final = 0x9E3779B97F4A7C15
"""Makes one number of two."""


def tokens(texts: pl.Series) -> pl.DataFrame:
    """The words of each text that are read, in order: `row`, its place, and `word`. `^` begins a text, `$` ends it."""
    text = pl.col("text")
    both = pl.concat_str(text.str.head(OPENING), text.str.tail(ENDING), separator=" … ")
    read = pl.when(text.str.len_chars() > OPENING + ENDING).then(both).otherwise(text).str.to_lowercase()
    spaced = (
        pl.concat_str(pl.lit("^ "), _apart(read), pl.lit(" $"))
        .str.replace_all("[0-9]+", " 0 ")
        .str.replace_many(list(_MARKS), [f" {mark} ".replace("\n", "⏎").replace("\t", "⏎") for mark in _MARKS])
    )
    words = texts.alias("text").to_frame().with_row_index("row").select("row", spaced.str.split(" ").alias("word"))
    return words.explode("word").filter(pl.col("word") != "").with_columns(pl.col("word").str.head(_STEM))


def _apart(text: pl.Expr) -> pl.Expr:
    """Chinese and Japanese have no blanks between words: each character is one."""
    wide = text.str.len_bytes() > text.str.len_chars() * 9 // 8
    return pl.when(wide).then(text.str.replace_all("([\u2e80-\uffff])", " $1 ")).otherwise(text)


def likeliest(texts: pl.Series) -> pl.DataFrame:
    """`task` and `confidence` (0 to 1) of each text; null where the text is null, or nothing says enough."""
    words = tokens(texts).select("row", here=pl.col("word").hash())
    pairs = words.select("row", key=pl.col("here") * _FACTOR + pl.col("here").shift(1))
    found = pl.concat([words.rename({"here": "key"}), pairs])
    weights = _weights()
    sums = found.join(weights, on="key").group_by("row").agg(pl.col(*TASKS, NOTHING).sum())
    rows = pl.DataFrame({"row": pl.int_range(len(texts), dtype=pl.UInt32, eager=True)})
    return rows.join(_judged(sums), on="row", how="left", maintain_order="left").select("task", "confidence")


def _judged(sums: pl.DataFrame) -> pl.DataFrame:
    """Of tasks that are as likely the first one is told: the same text has the same task in every run."""
    most = pl.max_horizontal(*TASKS, NOTHING).alias("most")
    shares = [((pl.col(task) - pl.col("most")) * (_SHARPNESS / PARTS)).exp() for task in (*TASKS, NOTHING)]
    told = pl.coalesce(pl.when(pl.col(task) == pl.col("most")).then(pl.lit(task)) for task in TASKS)
    sure = (1 / pl.sum_horizontal(shares)).alias("confidence")
    judged = sums.with_columns(most).select("row", told.alias("task"), sure)
    return judged.filter(pl.col("task").is_not_null() & (pl.col("confidence") >= _LEAST))


@functools.cache
def _weights() -> pl.DataFrame:
    """By key: the hash of a word, or of two. Hashes differ between versions of polars, so they are made here."""
    lines = [line.split("\t") for line in WEIGHTS.split("\n")]
    words = pl.Series([line[0] for line in lines])
    two = words.str.split_exact(" ", 1).struct.rename_fields(["first", "second"]).struct.unnest()
    first, second = two["first"].hash(), two["second"].hash()
    key = first.zip_with(two["second"].is_null(), second * _FACTOR + first)
    columns = zip(*([int(weight) for weight in line[1].split(",")] for line in lines), strict=True)
    named = dict(zip((*TASKS, NOTHING), columns, strict=True))
    return pl.DataFrame({"key": key, **named}, schema_overrides=dict.fromkeys(named, pl.Int32))
