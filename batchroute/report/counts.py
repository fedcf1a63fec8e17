"""What a report is computed from: the ledger counted up once, small enough to be asked again and again."""

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl

from batchroute.core.responses import ErrorType
from batchroute.io.tables import COST
from batchroute.report.shared import SENT, Shared, shared
from batchroute.routing.verdicts import POLICIES, Effect

KEYS = ("run_id", "route", "model", "provider", "task", "purpose", "day")
DECIDING = ("verdict", "error_type")
DIGITS = 3
"""Significant digits of a latency. Rounding keeps the order, so a percentile of these is the exact one, rounded."""

_BEATS = ((100_000, 0.1), (1_000_000, 1.0))
_COARSEST_S = 10.0
_LOST = frozenset({Effect.FAILED, Effect.DISABLE_PROVIDER})
_NOT_TOLD = frozenset({ErrorType.UNKNOWN_OUTCOME, ErrorType.CANCELLED_BY_RUN})
LOST = sorted(
    kind.value for kind, policy in POLICIES.items() if policy.effect in _LOST and kind not in _NOT_TOLD
)
"""Error types that say that a provider did not serve: neither the record, nor our line, nor our limit is at fault."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """A ledger counted up.

    `sums` has a row per combination of KEYS and DECIDING, `latencies` one per route, model, provider and latency
    (answered attempts, seconds of DIGITS digits), `beats` one per provider, model and beat of `beat_s` seconds.
    """

    sums: pl.DataFrame
    latencies: pl.DataFrame
    beats: pl.DataFrame
    beat_s: float
    shared: Shared
    """What stands in the ledger without having been sent; the rest counts attempts only."""


def count(ledger: pl.LazyFrame) -> Counts:
    """Count a ledger up, in bounded memory: what is kept grows with its variety, hardly with its length."""
    unsent, ledger = shared(ledger), ledger.filter(SENT)
    beat_s = _beat_s(ledger.select(pl.len()).collect().item())
    frames = [
        sums(ledger, KEYS),
        latencies(ledger, ("route", "model", "provider")),
        beats(ledger, beat_s),
    ]
    # one after the other: together they are no faster, and hold more at once
    summed, spread, beaten = (frame.collect(engine="streaming") for frame in frames)
    return Counts(sums=summed, latencies=spread, beats=beaten, beat_s=beat_s, shared=unsent)


def sums(ledger: pl.LazyFrame, keys: Iterable[str]) -> pl.LazyFrame:
    """What attempts add up to per combination of keys, `day` (UTC) among them if asked for, and of DECIDING.

    `plain_tokens` is input that was neither cached nor written to a cache.
    """
    cached, written = (pl.col(name).fill_null(0) for name in ("cached_tokens", "cache_write_tokens"))
    plain = (pl.col("input_tokens").fill_null(0) - cached - written).clip(lower_bound=0)
    return ledger.group_by(*(_key(name) for name in dict.fromkeys((*keys, *DECIDING)))).agg(
        pl.len().cast(pl.Int64).alias("attempts"),
        pl.col("cost_usd").null_count().cast(pl.Int64).alias("unpriced_attempts"),
        pl.col("cost_usd").sum().cast(COST),
        pl.col("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens").sum(),
        plain.sum().alias("plain_tokens"),
        pl.col("started_at").min().alias("first_at"),
        pl.col("started_at").max().alias("last_at"),
    )


def latencies(ledger: pl.LazyFrame, keys: Iterable[str]) -> pl.LazyFrame:
    """How many answered attempts took how long, seconds of three digits, per combination of keys."""
    answered = ledger.filter(pl.col("error_type").is_null(), pl.col("latency_s").is_not_null())
    took = pl.col("latency_s").round_sig_figs(DIGITS)
    return answered.group_by(*(_key(name) for name in keys), took).agg(
        pl.len().cast(pl.Int64).alias("attempts")
    )


def beats(ledger: pl.LazyFrame, beat_s: float) -> pl.LazyFrame:
    """What was started in each beat of so many seconds since the epoch, per provider and model."""
    beat = pl.col("started_at").to_physical() // round(beat_s * 1e6)
    # by error first: words are compared once a group, not once an attempt
    by_error = ledger.group_by("provider", "model", "error_type", beat.alias("beat")).agg(
        pl.len().cast(pl.Int64).alias("attempts"),
        (pl.col("input_tokens").sum() + pl.col("output_tokens").sum()).alias("tokens"),
    )
    attempts, error = pl.col("attempts"), pl.col("error_type")
    return by_error.group_by("provider", "model", "beat").agg(
        attempts.sum(),
        attempts.filter(error.is_null()).sum().alias("answered"),
        attempts.filter(error == ErrorType.RATE_LIMITED.value).sum().alias("rate_limited"),
        attempts.filter(error.is_in(LOST)).sum().alias("lost"),
        pl.col("tokens").sum(),
    )


def _key(name: str) -> pl.Expr:
    return pl.col("started_at").dt.date().alias("day") if name == "day" else pl.col(name)


def _beat_s(attempts: int) -> float:
    """Finer where there is less, so that a job of seconds has a course, too."""
    return next((beat for most, beat in _BEATS if attempts <= most), _COARSEST_S)
