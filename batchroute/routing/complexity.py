"""How demanding a text looks: an estimate from its length, its structure and a few words."""

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
    text = pl.col("text")
    read = text.str.head(_READ)
    length = (text.str.len_bytes() // _BYTES_A_POINT).clip(upper_bound=_LENGTH_POINTS)
    marks = read.str.count_matches(_MARKS) + read.str.count_matches(_FULL_STOP, literal=True)
    points = length + marks + read.str.contains(_DEMANDING) * _DEMAND_POINTS
    score = texts.alias("text").to_frame().select(points.alias("score"))  # apart, or it is computed thrice
    simple, medium, hard = map(pl.lit, LEVELS)
    at = pl.col("score")
    level = pl.when(at < _MEDIUM).then(simple).when(at < _HARD).then(medium).when(at >= _HARD).then(hard)
    return score.select(level).to_series()
