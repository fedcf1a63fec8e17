"""The shipped weights: what a word, or two that follow one another, says for each task.

They stand in `wordings.parquet` beside this module, one line a word: `word`, `before` (the word before it, null where
the word is weighed alone), and a column for each class, in twentieths of a natural logarithm. `python -m tests.training`
makes the file, the same one in every run, from phrases that were written for it (tests/training/phrases) and from the
half of the sample requests that may be seen; nothing in it comes from elsewhere. `--check` cross-validates instead.

A weight is found by the hash of its word. Hashes differ between versions of polars, so they are made when the file is
read, once and only when it is needed: the file is a part of the package, as code is, and not an input.
"""

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl
from msgspec import Struct

TASKS: Final = (
    "code", "reason", "classify", "extract", "translate", "summarize", "creative", "moderate", "chat"
)  # fmt: skip

NOTHING: Final = "nothing"
"""Stands among the tasks for texts in which nothing is asked."""

CLASSES: Final = (*TASKS, NOTHING)

PARTS: Final = 20
"""Weights are whole numbers, twentieths of a natural logarithm: sums of floats depend on their order."""

FILE: Final = Path(__file__).with_name("wordings.parquet")

MOST: Final = 56
"""No weight is more, either way."""

ROOM: Final = 2**15
"""A sum stays within half of it either way: that of 290 words and pairs does, whatever they weigh."""

_A_PACK: Final = 4
_STARTS: Final = range(0, len(CLASSES), _A_PACK)
_PACKS: Final = tuple(f"pack {number}" for number, _ in enumerate(_STARTS))

_BEYOND: Final = 46
"""Bits of a key beyond its beginning."""

_FACTOR: Final = 0x9E3779B97F4A7C15
"""Makes one number of two."""


class Weights(Struct, frozen=True):
    """Ready to be added up. `packs` has the weights by key, several in one number, so that adding numbers adds weights.

    `known` says whether there may be a weight for keys that begin so: most have none, and this is cheaper than to look.
    """

    known: pl.Series
    packs: pl.DataFrame

    def sums(self, words: pl.DataFrame) -> pl.DataFrame:
        """What comes together for each `row` of these words, a column a class; none for rows without a weight."""
        rows, sought = words["row"], keys(words["word"])
        known = self.known.gather(sought // 2**_BEYOND)
        found = pl.DataFrame({"row": pl.concat([rows, rows]).filter(known), "key": sought.filter(known)})
        packed = found.join(self.packs, on="key").group_by("row").agg(pl.col(_PACKS).sum())
        return packed.select("row", *_unpacked())


def keys(words: pl.Series) -> pl.Series:
    """Of each word alone, and then of each with the one before it."""
    alone = words.hash()
    return pl.concat([alone, _of_two(alone.shift(1), alone)])


def _of_two(first: pl.Series, second: pl.Series) -> pl.Series:
    return second * _FACTOR + first


def weights(table: pl.DataFrame) -> Weights:
    """Of a table as the file holds it."""
    word = table["word"].hash()
    key = _of_two(table["before"].hash(), word).zip_with(table["before"].is_not_null(), word)
    nowhere = pl.Series([False]).new_from_index(0, 2 ** (64 - _BEYOND))
    known = nowhere.scatter(key // 2**_BEYOND, True)
    return Weights(known, table.select(key.alias("key"), *_packed()))


@functools.cache
def shipped() -> Weights:
    """Those of the package. Read when first asked for."""
    return weights(pl.read_parquet(FILE))


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
    """Half the room is added before a sum is cut off, as sums may be negative."""
    return [
        ((pl.col(pack) + _half(place)) // ROOM**place % ROOM - ROOM // 2).alias(name)
        for pack, start in zip(_PACKS, _STARTS, strict=True)
        for place, name in enumerate(CLASSES[start : start + _A_PACK])
    ]


def _half(place: int) -> int:
    return sum(ROOM // 2 * ROOM**below for below in range(place + 1))
