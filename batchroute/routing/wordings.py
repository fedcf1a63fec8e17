"""What the wording of a request says of its task: a linear model over words and pairs of words.

For texts that begin with no plain instruction. Each word, and each two that follow one another, weigh something for
each task; the weights are added, and the task that comes to most is it. They stand in `weights.py`, which
`python -m tests.training` makes from phrases written for it and from the half of the sample requests that may be seen.
"""

import functools
import operator
from collections.abc import Sequence
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

_LEAST: Final = 0.3
"""Below this confidence nothing is said."""

_STEM: Final = 5
"""So many letters of a word count: a stemmer for all languages."""

_MARKS: Final = ".,:;!?\"'()[]{}<>=/*#`+-|…«»“”„¿¡。,?!:;、「」『』()\n\t"
"""Each is a word of its own."""

_ALL: Final = (*TASKS, NOTHING)
_A_PACK: Final = 3
_ROOM: Final = 2**20
"""Sums of weights stay within half of it either way: a text is read to some two hundred characters."""

_PACKS: Final = ("pack 0", "pack 1", "pack 2", "pack 3")

_BEYOND: Final = 44
"""Bits of a key beyond its beginning."""

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
        .str.replace_many(
            list(_MARKS), [f" {mark} ".replace("\n", "⏎").replace("\t", "⏎") for mark in _MARKS]
        )
    )
    words = (
        texts.alias("text")
        .to_frame()
        .with_row_index("row")
        .select("row", spaced.str.split(" ").alias("word"))
    )
    return words.explode("word").filter(pl.col("word") != "").with_columns(pl.col("word").str.head(_STEM))


def _apart(text: pl.Expr) -> pl.Expr:
    """Chinese and Japanese have no blanks between words: each character is one."""
    wide = text.str.len_bytes() > text.str.len_chars() * 9 // 8
    return pl.when(wide).then(text.str.replace_all("([\u2e80-\uffff])", " $1 ")).otherwise(text)


def likeliest(texts: pl.Series) -> pl.DataFrame:
    """`task` and `confidence` (0 to 1) of each text; null where the text is null, or nothing says enough."""
    words = tokens(texts)
    rows, one = words["row"], words["word"].hash().alias("key")
    keys = pl.concat([one, one * _FACTOR + one.shift(1)])
    known = _known().gather(keys // 2**_BEYOND)
    found = pl.DataFrame({"row": pl.concat([rows, rows]).filter(known), "key": keys.filter(known)})
    sums = found.join(_weights(), on="key").group_by("row").agg(pl.col(*_PACKS).sum())
    tasks = pl.repeat(None, len(texts), dtype=pl.String, eager=True).alias("task")
    sure = pl.repeat(None, len(texts), dtype=pl.Float64, eager=True).alias("confidence")
    task, confidence = _judged(sums)
    return pl.DataFrame([tasks.scatter(sums["row"], task), sure.scatter(sums["row"], confidence)])


def _judged(sums: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
    """Task and confidence. Of tasks that are as likely the first one is told: the same text has the same task in every
    run. Column by column, as the plan for so many expressions would take longer than they do.
    """
    columns = [_unpacked(sums[_PACKS[number // _A_PACK]], number % _A_PACK) for number in range(len(_ALL))]
    most = functools.reduce(lambda one, other: one.zip_with(one >= other, other), columns)
    shares = functools.reduce(
        operator.add, (((column - most) * (_SHARPNESS / PARTS)).exp() for column in columns)
    )
    confidence = 1 / shares
    task = pl.repeat(None, len(most), dtype=pl.String, eager=True)
    for name, column in zip(reversed(TASKS), reversed(columns[: len(TASKS)]), strict=True):
        task = task.set(column == most, name)
    return task.set(confidence < _LEAST, None), confidence


def _packed(weights: Sequence[int]) -> list[int]:
    """Three weights in one number, so that adding numbers adds weights."""
    return [
        sum(weight * _ROOM**place for place, weight in enumerate(weights[start : start + _A_PACK]))
        for start in range(0, len(_ALL), _A_PACK)
    ]


def _unpacked(packs: pl.Series, place: int) -> pl.Series:
    """The sums of one task. Half the room is added before it is cut off, as sums may be negative."""
    half = sum(_ROOM // 2 * _ROOM**below for below in range(place + 1))
    beneath: int = _ROOM**place
    weights: pl.Series = (packs + half) // beneath % _ROOM - _ROOM // 2
    return weights


@functools.cache
def _known() -> pl.Series:
    """Whether there may be a weight for keys that begin so: most words have none, and this is cheaper than to look."""
    seen = pl.Series([False]).new_from_index(0, 2 ** (64 - _BEYOND))
    known: pl.Series = seen.scatter(_weights()["key"] // 2**_BEYOND, True)
    return known


@functools.cache
def _weights() -> pl.DataFrame:
    """By key: the hash of a word, or of two. Hashes differ between versions of polars, so they are made here."""
    lines = [line.split("\t") for line in WEIGHTS.split("\n")]
    words = pl.Series([line[0] for line in lines])
    two = words.str.split_exact(" ", 1).struct.rename_fields(["first", "second"]).struct.unnest()
    first, second = two["first"].hash(), two["second"].hash()
    key = first.zip_with(two["second"].is_null(), second * _FACTOR + first)
    packed = zip(*(_packed([int(weight) for weight in line[1].split(",")]) for line in lines), strict=True)
    return pl.DataFrame({"key": key, **dict(zip(_PACKS, packed, strict=True))})
