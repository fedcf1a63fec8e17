"""The shipped weights: what a word, or two that follow one another, says for each task.

They stand in `wordings.parquet` beside this module, one line a word: `word`, `before` (the word before it, null where
the word is weighed alone), and a column for each class, in fifteenths of a natural logarithm. `python -m tests.training`
makes the file, the same one in every run, from phrases and whole requests that were written for it
(tests/training/phrases, tests/training/requests) and from the half of the sample requests that may be seen; nothing in it comes from elsewhere. `--check` cross-validates instead.

A weight is found by the hash of its word. Hashes differ between versions of polars, so they are made when the file is
read, once and only when it is needed: the file is a part of the package, as code is, and not an input.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

TASKS: Final = (
    "code", "reason", "classify", "extract", "translate", "summarize", "creative", "moderate", "chat"
)  # fmt: skip

NOTHING: Final = "nothing"
"""Stands among the tasks for texts in which nothing is asked."""

CLASSES: Final = (*TASKS, NOTHING)

PARTS: Final = 15
"""Weights are whole numbers, fifteenths of a natural logarithm: sums of floats depend on their order."""

FILE: Final = Path(__file__).with_name("wordings.parquet")

MOST: Final = 42
"""No weight is more, either way."""

ROOM: Final = 2**15
"""A sum stays within half of it either way: that of 389 weights does, whatever they are."""

FIRST: Final = "^"
"""The word that begins every text."""
LAST: Final = "$"
"""The one that ends it."""
NEAR: Final = (2, 3)
"""So far from there a word has another weight beside its own; the next one has that of its pair."""
EARLY: Final = "^+"
LATE: Final = "+$"
"""Stand for the word before one that is near the beginning, or near the end."""

_A_PACK: Final = 4
_STARTS: Final = range(0, len(CLASSES), _A_PACK)
_PACKS: Final = tuple(f"pack {number}" for number, _ in enumerate(_STARTS))

_HALVES: Final = sum(ROOM // 2 * ROOM**place for place in range(_A_PACK))
"""Half the room for each weight of a pack, so that no sum is negative when it is cut out."""

_FACTOR: Final = 0x9E3779B97F4A7C15
"""Makes one number of two."""


def sums(words: pl.DataFrame, weights: pl.DataFrame) -> pl.DataFrame:
    """What comes together for each `row` of these words, a column a class; none for rows without a weight.

    All classes begin at the same number, which is not 0: it is the differences that tell.
    """
    sought = _sought(words["row"], words["word"].hash())
    found = sought.join(weights, on="key")
    return found.group_by("row").agg(pl.col(_PACKS).sum() + _HALVES).select("row", *_unpacked())


def _sought(rows: pl.Series, words: pl.Series) -> pl.DataFrame:
    """The keys of each word alone, of each with the one before it, and of those near a beginning or an end."""
    keys, near = [words, _of_two(words.shift(1), words)], [rows, rows]
    for place, mark, ways in ((FIRST, EARLY, NEAR), (LAST, LATE, [-way for way in NEAR])):
        told, marks = _hashed(mark), (words == _hashed(place)).arg_true().cast(pl.Int64)
        for way in ways:
            there = marks + way
            there = there.filter(there.is_between(0, len(words) - 1))
            there = there.filter(rows.gather(there) == rows.gather(there - way))
            keys.append(_of_two(told, words.gather(there)))
            near.append(rows.gather(there))
    return pl.DataFrame({"row": pl.concat(near), "key": pl.concat(keys)})


@functools.cache
def _hashed(word: str) -> int:
    return int(pl.Series([word]).hash().item())


def _of_two(first: pl.Series | int, second: pl.Series) -> pl.Series:
    return second * _FACTOR + first


def by_key(table: pl.DataFrame) -> pl.DataFrame:
    """A table as the file holds it, ready to be added up: several weights in one number, so that adding numbers adds
    weights.
    """
    word, before = table["word"].hash(), table["before"]
    key = _of_two(before.hash(), word).zip_with(before.is_not_null(), word)
    return table.select(key.alias("key"), *_packed())


@functools.cache
def shipped() -> pl.DataFrame:
    """Those of the package, by key. Read when first asked for."""
    return by_key(pl.read_parquet(FILE))


def _packed() -> Sequence[pl.Expr]:
    return [
        pl.sum_horizontal(
            pl.col(name).cast(pl.Int64) * ROOM**place
            for place, name in enumerate(CLASSES[start : start + _A_PACK])
        ).alias(pack)
        for pack, start in zip(_PACKS, _STARTS, strict=True)
    ]


@functools.cache
def _unpacked() -> Sequence[pl.Expr]:
    return [
        (pl.col(pack) // ROOM**place % ROOM).alias(name)
        for pack, start in zip(_PACKS, _STARTS, strict=True)
        for place, name in enumerate(CLASSES[start : start + _A_PACK])
    ]
