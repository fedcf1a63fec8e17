"""How far providers could be relied on: the share of attempts that they served, and when they served none."""

import datetime as dt

import polars as pl
from msgspec import Struct

from batchroute.report.counts import LOST

FEWEST = 5
"""Lost attempts in a row that make an outage: as many open a model's breaker."""

UNASKED_S = 1800.0
"""Whoever asks nothing for longer than that cannot tell an outage that goes on from a new one."""


class Outage(Struct, frozen=True, kw_only=True):
    """A stretch of time in which a provider answered nothing, to within a beat of the counts."""

    provider: str
    first_at: dt.datetime
    last_at: dt.datetime
    duration_s: float
    lost: int


def availability(summed: pl.DataFrame) -> pl.DataFrame:
    """Per provider: attempts, the share answered, how many were rate limited, and how many it lost.

    `available_share` is of the attempts whose end was up to the provider: answered or lost. What a record, our own line
    or a rate limit stopped, and what the run cancelled, says nothing of it.
    """
    error, attempts = pl.col("error_type"), pl.col("attempts")
    counted = summed.group_by("provider").agg(
        attempts.sum(),
        answered=attempts.filter(error.is_null()).sum(),
        rate_limited=attempts.filter(error == "rate_limited").sum(),
        lost=attempts.filter(error.is_in(LOST)).sum(),
    )
    told = pl.col("answered") + pl.col("lost")
    return counted.select(
        "provider",
        "attempts",
        "answered",
        (pl.col("answered") / pl.col("attempts")).alias("answered_share"),
        "rate_limited",
        "lost",
        pl.when(told > 0).then(pl.col("answered") / told).alias("available_share"),
    ).sort("provider")


def outages(beats: pl.DataFrame, beat_s: float) -> list[Outage]:
    """Every stretch in which a provider lost FEWEST attempts or more and answered none, the longest first."""
    asked = (
        beats.group_by("provider", "beat")
        .agg(pl.col("answered", "lost").sum())
        .filter((pl.col("answered") > 0) | (pl.col("lost") > 0))
        .sort("provider", "beat")
    )
    broken = (pl.col("answered") > 0) | (pl.col("beat").diff() > UNASKED_S / beat_s)
    stretches = (
        asked.with_columns(broken.fill_null(True).cum_sum().over("provider").alias("stretch"))
        .filter(pl.col("answered") == 0)
        .group_by("provider", "stretch")
        .agg(first=pl.col("beat").min(), last=pl.col("beat").max(), lost=pl.col("lost").sum())
        .filter(pl.col("lost") >= FEWEST)
        .sort(pl.col("first") - pl.col("last"), "provider", "first")
    )
    return [
        Outage(
            provider=row["provider"],
            first_at=_moment(row["first"] * beat_s),
            last_at=_moment((row["last"] + 1) * beat_s),
            duration_s=round((row["last"] + 1 - row["first"]) * beat_s, 1),
            lost=row["lost"],
        )
        for row in stretches.iter_rows(named=True)
    ]


def _moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(seconds, dt.UTC)
