"""Answers that were not asked for, as they were there already: how many, and what that saved."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import polars as pl

from batchroute.core.attempts import CostBasis
from batchroute.core.money import Price, Rates, usd
from batchroute.core.responses import Usage

SENT = pl.col("attempt") > 0
"""The lines of a ledger that are attempts; the others stand for an answer that was there already."""
_PRICES = ("price_input", "price_output", "price_cached", "price_cache_write")
_TOKENS = ("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")


@dataclass(frozen=True, kw_only=True)
class Shared:
    """`repeated` records have the answer of an equal one, `cached` one from the cache.

    `spared_usd` is what these answers took when they were asked for, at the prices of their lines; None where neither is known.
    """

    repeated: int
    cached: int
    spared_usd: Decimal | None


def shared(ledger: pl.LazyFrame) -> Shared:
    """Count them, in bounded memory."""
    told = ledger.filter(~SENT, pl.col("cost_basis").is_in([CostBasis.CACHE.value, CostBasis.SHARED.value]))
    rows = told.group_by("cost_basis", *_PRICES).agg(pl.len(), pl.col(*_TOKENS).sum()).collect()
    counts = dict.fromkeys((CostBasis.SHARED.value, CostBasis.CACHE.value), 0)
    spared: Decimal | None = None
    for row in rows.iter_rows(named=True):
        counts[row["cost_basis"]] += row["len"]
        rates, usage = _rates(row), Usage(**{name: row[name] for name in _TOKENS})
        if rates is not None and usage != _NONE:
            spared = (spared or Decimal(0)) + usd(rates.cost(usage))
    repeated, cached = counts.values()
    return Shared(repeated=repeated, cached=cached, spared_usd=spared)


_NONE = Usage(input_tokens=0, output_tokens=0)


def _rates(row: dict[str, Any]) -> Rates | None:
    if row["price_input"] is None or row["price_output"] is None:
        return None
    read, made, cached, written = (
        row[name] for name in ("price_input", "price_output", "price_cached", "price_cache_write")
    )
    return Rates.of(Price(input=read, output=made, cached=cached, cache_write=written))
