"""How long answers take: percentiles, and the shape of all of them."""

from collections.abc import Sequence

import polars as pl

QUANTILES = {"latency_p50_s": 0.5, "latency_p95_s": 0.95, "latency_p99_s": 0.99}


def percentiles(spread: pl.DataFrame, keys: Sequence[str]) -> pl.DataFrame:
    """p50, p95 and p99 per combination of keys over counted latencies, seconds: those of rank (n - 1) q, rounded.

    As polars and routes.parquet have them, to three digits.
    """
    names = [*keys] or ["_"]
    counted = (
        spread.with_columns(pl.lit(0).alias("_"))
        .group_by(*names, "latency_s")
        .agg(pl.col("attempts").sum())
        .sort(*names, "latency_s")
        .with_columns(
            pl.col("attempts").cum_sum().over(names).alias("up_to"),
            pl.col("attempts").sum().over(names).alias("answers"),
        )
    )
    found = counted.group_by(names, maintain_order=True).agg(
        pl.col("attempts").sum().alias("answers"),
        *(_at(share).alias(name) for name, share in QUANTILES.items()),
    )
    return found.select(*keys, "answers", *QUANTILES)


def _at(share: float) -> pl.Expr:
    rank = ((pl.col("answers") - 1) * share).round(mode="half_away_from_zero")
    return pl.col("latency_s").filter(pl.col("up_to") > rank).first()
