"""What a report is computed from: the ledger counted up once, small enough to be asked again and again."""

import functools
import itertools
import operator
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import polars as pl

from batchroute.core.responses import ErrorType
from batchroute.io.tables import COST
from batchroute.report.shared import SENT, Shared, shared
from batchroute.routing.verdicts import POLICIES, Effect

KEYS = ("run_id", "route", "model", "provider", "task", "purpose", "day")
DECIDING = ("verdict", "error_type")
_NAMES = (*(name for name in KEYS if name != "day"), *DECIDING)
_SERVING = ("route", "model", "provider")
_SERVED = ("provider", "model", "error_type")
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


def count(stretches: Sequence[pl.LazyFrame]) -> Counts:
    """Count up a ledger, given in stretches of which each may be held, in bounded memory.

    What is kept grows with the ledger's variety, hardly with its length.
    """
    ledger = pl.concat(stretches)
    unsent = shared(ledger)
    beat_s = _beat_s(ledger.select(pl.len()).collect().item() - unsent.lines)
    # a filter copies all columns, also where it leaves nothing out
    sent = [each.filter(SENT) if unsent.lines else each for each in stretches]
    counted = [_counted(stretch, beat_s) for stretch in sent]
    summed = _added(pl.concat(of_days for of_days, _ in counted))
    return Counts(
        sums=summed,
        latencies=_spread(pl.concat(sent), summed),
        beats=_by_outcome(pl.concat(of_beats for _, of_beats in counted).lazy()).collect(),
        beat_s=beat_s,
        shared=unsent,
    )


def _counted(stretch: pl.LazyFrame, beat_s: float) -> tuple[pl.DataFrame, pl.DataFrame]:
    """A stretch by day, and by error and beat. It is read once, by both."""
    by_both = _sums(stretch, (*map(_key, _NAMES), _beat(beat_s))).collect(engine="streaming")
    begun = pl.from_epoch(pl.col("beat") * _ticks(beat_s), time_unit="us")
    of_beats = by_both.group_by(*_SERVED, "beat").agg(
        pl.col("attempts", "input_tokens", "output_tokens").sum()
    )
    return _added(by_both.with_columns(begun.dt.date().alias("day"))), of_beats  # no beat is of two days


def _added(summed: pl.DataFrame) -> pl.DataFrame:
    """Sums that are finer than KEYS and DECIDING, or of several stretches, added up."""
    return summed.group_by(*KEYS, *DECIDING).agg(
        pl.col("attempts", "unpriced_attempts").sum(),
        pl.col("cost_usd").sum().cast(COST),
        pl.col("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens", "plain_tokens").sum(),
        pl.col("first_at").min(),
        pl.col("last_at").max(),
    )


def _spread(ledger: pl.LazyFrame, summed: pl.DataFrame) -> pl.DataFrame:
    """Latencies by route, model and provider, counted by a number for the three: words take several times as long."""
    names = summed.select(_SERVING).unique()
    number = _number(names)
    counted = latencies(ledger, (number,)).collect(engine="streaming")
    numbered = names.with_columns(number)
    return counted.join(numbered, on="number").select(*_SERVING, "latency_s", "attempts")


def _number(names: pl.DataFrame) -> pl.Expr:
    """A number for each of these rows, the same wherever it is computed, and none for two of them."""
    for seed in itertools.count():
        hashes = (pl.col(name).hash(seed * names.width + place) for place, name in enumerate(names.columns))
        number = functools.reduce(operator.xor, hashes).alias("number")
        if names.select(number.is_unique().all()).item():
            break
    return number


def sums(ledger: pl.LazyFrame, keys: Iterable[str]) -> pl.LazyFrame:
    """What attempts add up to per combination of keys, `day` (UTC) among them if asked for, and of DECIDING.

    `plain_tokens` is input that was neither cached nor written to a cache.
    """
    return _sums(ledger, (_key(name) for name in dict.fromkeys((*keys, *DECIDING))))


def _sums(ledger: pl.LazyFrame, keys: Iterable[pl.Expr]) -> pl.LazyFrame:
    cached, written = (pl.col(name).fill_null(0) for name in ("cached_tokens", "cache_write_tokens"))
    plain = (pl.col("input_tokens").fill_null(0) - cached - written).clip(lower_bound=0)
    return ledger.group_by(keys).agg(
        pl.len().cast(pl.Int64).alias("attempts"),
        pl.col("cost_usd").null_count().cast(pl.Int64).alias("unpriced_attempts"),
        pl.col("cost_usd").sum().cast(COST),
        pl.col("input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens").sum(),
        plain.sum().alias("plain_tokens"),
        pl.col("started_at").min().alias("first_at"),
        pl.col("started_at").max().alias("last_at"),
    )


def latencies(ledger: pl.LazyFrame, keys: Iterable[str | pl.Expr]) -> pl.LazyFrame:
    """How many answered attempts took how long, seconds of three digits, per combination of keys."""
    answered = pl.col("error_type").is_null()
    took = pl.when(answered).then(pl.col("latency_s").round_sig_figs(DIGITS)).alias("latency_s")
    counted = ledger.group_by(*keys, took).agg(pl.len().cast(pl.Int64).alias("attempts"))
    # after counting: a filter before it would copy the ledger
    return counted.filter(pl.col("latency_s").is_not_null())


def beats(ledger: pl.LazyFrame, beat_s: float) -> pl.LazyFrame:
    """What was started in each beat of so many seconds since the epoch, per provider and model."""
    by_error = ledger.group_by(*_SERVED, _beat(beat_s)).agg(
        pl.len().cast(pl.Int64).alias("attempts"), pl.col("input_tokens", "output_tokens").sum()
    )
    return _by_outcome(by_error)


def _by_outcome(by_error: pl.LazyFrame) -> pl.LazyFrame:
    """The beats of attempts that were counted by error: words are compared once a group, not once an attempt."""
    attempts, error = pl.col("attempts"), pl.col("error_type")
    return by_error.group_by("provider", "model", "beat").agg(
        attempts.sum(),
        attempts.filter(error.is_null()).sum().alias("answered"),
        attempts.filter(error == ErrorType.RATE_LIMITED.value).sum().alias("rate_limited"),
        attempts.filter(error.is_in(LOST)).sum().alias("lost"),
        (pl.col("input_tokens").sum() + pl.col("output_tokens").sum()).alias("tokens"),
    )


def _key(name: str) -> pl.Expr:
    return pl.col("started_at").dt.date().alias("day") if name == "day" else pl.col(name)


def _beat(beat_s: float) -> pl.Expr:
    return (pl.col("started_at").to_physical() // _ticks(beat_s)).alias("beat")


def _ticks(beat_s: float) -> int:
    """A beat in microseconds, as times are stored."""
    return round(beat_s * 1e6)


def _beat_s(attempts: int) -> float:
    """Finer where there is less, so that a job of seconds has a course, too."""
    return next((beat for most, beat in _BEATS if attempts <= most), _COARSEST_S)
