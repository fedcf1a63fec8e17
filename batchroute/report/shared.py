"""Answers that were not asked for, as they were there already: how many, and what that saved."""

from dataclasses import dataclass
from decimal import Decimal

import polars as pl

from batchroute.core.attempts import CostBasis
from batchroute.io.tables import COST

SENT = pl.col("attempt") > 0
"""The lines of a ledger that are attempts; the others stand for an answer that was there already."""
OF_OTHERS = pl.col("cost_basis").is_in([CostBasis.CACHE.value, CostBasis.SHARED.value])
"""The same the other way round, by what the cost was computed from."""
_SPARED = "spared_usd"


@dataclass(frozen=True, kw_only=True)
class Shared:
    """`lines` are theirs: `repeated` records have the answer of an equal one, `cached` one from the cache.

    `spared_usd` is what these answers took when they were asked for; None where that is known of none.
    """

    lines: int
    repeated: int
    cached: int
    spared_usd: Decimal | None


def shared(ledger: pl.LazyFrame) -> Shared:
    """Count them, in bounded memory. Ledgers of earlier versions have none."""
    basis = pl.col("cost_basis")
    known = _SPARED in ledger.collect_schema()
    spared = pl.col(_SPARED) if known else pl.lit(None, COST)
    row = (
        ledger.filter(~SENT)
        .select(
            lines=pl.len(),
            repeated=(basis == CostBasis.SHARED.value).sum(),
            cached=(basis == CostBasis.CACHE.value).sum(),
            spared_usd=pl.when(spared.count() > 0).then(spared.sum()),
        )
        .collect()
        .row(0, named=True)
    )
    return Shared(**row)
