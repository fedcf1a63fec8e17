"""How a run went over its time: what was started, and what of it was answered or refused."""

import datetime as dt

import polars as pl

BARS = 60


def course(beats: pl.DataFrame, beat_s: float, first: dt.datetime, last: dt.datetime) -> pl.DataFrame:
    """Attempts started between two moments in at most BARS intervals of equal length, those without any included.

    `start_s` is seconds since the first interval began; `answered`, `rate_limited` and `failed` add up to all;
    `interval_s` is how long an interval is.
    """
    begin, end = (int(moment.timestamp() / beat_s) for moment in (first, last))
    width = max(1, -(-(end - begin + 1) // BARS))
    counted = (
        beats.filter(pl.col("beat").is_between(begin, end))
        .group_by(((pl.col("beat") - begin) // width).alias("interval"))
        .agg(pl.col("attempts", "answered", "rate_limited", "tokens").sum())
    )
    every = pl.DataFrame({"interval": pl.int_range((end - begin) // width + 1, eager=True, dtype=pl.Int64)})
    return (
        every.join(counted, on="interval", how="left")
        .sort("interval")
        .select(
            (pl.col("interval") * width * beat_s).round(1).alias("start_s"),
            pl.col("answered", "rate_limited").fill_null(0),
            (pl.col("attempts") - pl.col("answered") - pl.col("rate_limited")).fill_null(0).alias("failed"),
            pl.col("tokens").fill_null(0),
            pl.lit(width * beat_s).alias("interval_s"),
        )
    )


def peaks(beats: pl.DataFrame, beat_s: float) -> pl.DataFrame:
    """Per model, what the fullest minute (UTC) had: requests and tokens, to be held against the provider's limits.

    Tokens are those that were reported, in the minute in which their request started. `rate_limited_share` is of all attempts.
    """
    minute = (pl.col("beat") * beat_s / 60).floor().cast(pl.Int64).alias("minute")
    return (
        beats.group_by("model", "provider", minute)
        .agg(pl.col("attempts", "rate_limited", "tokens").sum())
        .group_by("model", "provider")
        .agg(
            pl.col("attempts").max().alias("peak_requests_per_minute"),
            pl.col("tokens").max().alias("peak_tokens_per_minute"),
            (pl.col("attempts").sum() / pl.len()).round(1).alias("mean_requests_per_minute"),
            pl.col("rate_limited").sum(),
            (pl.col("rate_limited").sum() / pl.col("attempts").sum()).alias("rate_limited_share"),
        )
        .sort("model", "provider")
    )
