"""How demanding a text looks: an estimate from its length, its structure and a few words."""

import functools
from typing import Final

import polars as pl

LEVELS: Final = ("simple", "medium", "hard")

_READ: Final = 500
"""Characters whose structure is looked at; a longer text has shown by then what it is."""

_BYTES_A_POINT: Final = 200
"""Length is taken in UTF-8, so that a Chinese character weighs three; it gives at most `_LENGTH_POINTS`."""

_LENGTH_POINTS: Final = 5

_DEMAND_POINTS: Final = 5
"""What a wording that asks for thought is worth."""

_MEDIUM: Final = 5
_HARD: Final = 12

_MARKS: Final = r"[.!?:;\n]\s|[0-9]+"
"""One point each for sentences, clauses, list lines and steps, and numbers."""

_FULL_STOP: Final = "。"
"""Counted apart: in one expression with the others it would double the cost of all texts."""

_DEMANDING: Final = (
    "rove that|roof of|erive|ptimi[sz]|esign a|rchitect|rade-off|tep by step|nalyse|nalyze|ompare|valuate the|"
    "xplain why|hread-safe|oncurren|istributed|efactor|onstraint|heorem|n detail|ustify|easoning|robabilit|mplement|"
    "emuestra|naliza|iseña|aso a paso|ustifica|émontre|ustifie|tape par|eweis|ergleich|ntwirf|chritt für|egründe|"
    "证明|分析|比较|设计|优化|推导|详细|实现|逐步"
)
"""Without first letters rather than without regard to case: a search for a few literals is several times faster."""


def estimate(texts: pl.Series) -> pl.Series:
    """Simple, medium or hard for each text, as a String Series; null only where the text is null."""
    read = texts.alias("text").to_frame()
    score = read.select(_points())  # apart, or it is computed thrice
    # only a text that is not ASCII can have one, and most are
    foreign = read.select(_foreign()).to_series().arg_true()
    if not foreign.is_empty():
        score = _added(
            score, foreign, texts.gather(foreign).str.head(_READ).str.count_matches(_FULL_STOP, literal=True)
        )
    return score.select(_level()).to_series()


def _added(score: pl.DataFrame, rows: pl.Series, points: pl.Series) -> pl.DataFrame:
    scores = score["score"]
    return scores.scatter(rows, scores.gather(rows) + points).to_frame()


# What is said to polars is put together once: in small batches that would take longer than what it says.


@functools.cache
def _foreign() -> pl.Expr:
    text = pl.col("text").str
    return text.len_bytes() > text.len_chars()


@functools.cache
def _points() -> pl.Expr:
    text = pl.col("text")
    read = text.str.head(_READ)
    length = (text.str.len_bytes() // _BYTES_A_POINT).clip(upper_bound=_LENGTH_POINTS)
    points = length + read.str.count_matches(_MARKS) + read.str.contains(_DEMANDING) * _DEMAND_POINTS
    return points.alias("score")


@functools.cache
def _level() -> pl.Expr:
    simple, medium, hard = map(pl.lit, LEVELS)
    at = pl.col("score")
    return pl.when(at < _MEDIUM).then(simple).when(at < _HARD).then(medium).when(at >= _HARD).then(hard)
