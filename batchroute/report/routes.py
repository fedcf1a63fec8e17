"""The ledger summed up per route and model: routes.parquet, and the closing table of a run."""

from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path

import polars as pl

from batchroute.core.errors import OutputError
from batchroute.core.money import Rates
from batchroute.io.files import ROUTES_NAME
from batchroute.io.parts import write_part
from batchroute.io.tables import COST
from batchroute.report.outcomes import ACCEPTED, REFUSED
from batchroute.report.scans import ledger_parts

_PICODOLLAR = Decimal("0.000000000001")
_TOLERANCE = 1e-9


def routes_table(ledger: pl.LazyFrame, baseline: Rates | None) -> pl.DataFrame:
    """One row per route and model, in their alphabetical order.

    `records` are those that the model answered, the ones included that end with it as it was asked last and the best
    refused answer is kept; `success_share` and `escalation_share` are of its attempts. `refused` are all answers that
    were no use, the last ones of records included, and `escalation_cost_usd` is what these have cost. Latency is that
    of answered attempts, in seconds. A cost is null where no attempt had a known price. `baseline_cost_usd` is
    what the tokens of the accepted answers would have cost at the baseline's rates: the same tokens are
    assumed, though another model may use more or fewer. `saving_usd` is what is left after every attempt,
    failed ones included. Requests that label records are a line of their own: they answer no record, and what they
    cost is a loss.
    """
    return routes_of_parts([ledger], baseline)


def routes_of_parts(ledger: Iterable[pl.LazyFrame], baseline: Rates | None) -> pl.DataFrame:
    """The same over a ledger in parts, read one after the other: memory holds the latencies and little else.

    Raises OutputError for a part that cannot be read.
    """
    latency = pl.col("latencies").list.explode(empty_as_null=False)
    return (
        pl.concat([_sums(part, baseline) for part in ledger])
        .group_by(_KEYS)
        .agg(
            pl.col(_COUNTS).sum(),
            cost_usd=pl.when(pl.col("cost_usd").count() > 0).then(pl.col("cost_usd").sum()),
            escalation_cost_usd=pl.when(pl.col("escalation_cost_usd").count() > 0).then(
                pl.col("escalation_cost_usd").sum()
            ),
            answered=pl.col("answered").sum(),
            queued=pl.col("queued").sum(),
            latency_mean_s=latency.mean(),
            latency_p50_s=latency.quantile(0.5),
            latency_p95_s=latency.quantile(0.95),
            latency_p99_s=latency.quantile(0.99),
            baseline_cost_usd=pl.when(pl.col("baseline_cost_usd").count() > 0).then(
                pl.col("baseline_cost_usd").sum()
            ),
        )
        .select(
            *_KEYS,
            "records",
            "attempts",
            (pl.col("answered") / pl.col("attempts")).fill_nan(1.0).alias("success_share"),
            "failovers",
            "escalations",
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "unpriced_attempts",
            "latency_mean_s",
            "latency_p50_s",
            "latency_p95_s",
            "latency_p99_s",
            (pl.col("queued") / pl.col("attempts")).fill_nan(0.0).alias("queued_mean_s"),
            "baseline_cost_usd",
            (pl.col("records") / pl.col("records").sum()).alias("record_share"),
            (pl.col("baseline_cost_usd") - pl.col("cost_usd")).cast(COST).alias("saving_usd"),
            (pl.col("escalations") / pl.col("attempts")).alias("escalation_share"),
            "escalation_cost_usd",
            "refused",
        )
        .sort(_KEYS)
    )


_OF_THE_BASELINE = ("baseline_cost_usd", "saving_usd")
_UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)
_KEYS = ("route", "model", "provider")
_COUNTS = (
    "records",
    "attempts",
    "failovers",
    "escalations",
    "refused",
    "input_tokens",
    "output_tokens",
    "unpriced_attempts",
)


def _sums(part: pl.LazyFrame, baseline: Rates | None) -> pl.DataFrame:
    """What one part of the ledger adds to each row, its latencies as they are."""
    answered = pl.col("outcome") == "ok"
    sent = pl.col("attempt") > 0  # what was answered already has the number 0
    of_refused = pl.col("cost_usd").filter(REFUSED)
    sums = part.group_by(_KEYS).agg(
        records=ACCEPTED.sum(),
        attempts=sent.sum(),
        answered=(answered & sent).sum(),
        failovers=(pl.col("verdict") == "failover").sum(),
        escalations=(pl.col("verdict") == "escalate").sum(),
        refused=REFUSED.sum(),
        input_tokens=pl.col("input_tokens").sum(),
        output_tokens=pl.col("output_tokens").sum(),
        cost_usd=pl.when(pl.col("cost_usd").count() > 0).then(pl.col("cost_usd").sum()),
        escalation_cost_usd=pl.when(of_refused.count() > 0).then(of_refused.sum()),
        unpriced_attempts=pl.col("cost_usd").null_count(),
        queued=pl.col("queued_s").sum(),
        latencies=pl.col("latency_s").filter(answered & sent),
        baseline_cost_usd=_baseline_cost(baseline, ACCEPTED & sent),
    )
    try:
        return sums.collect()
    except _UNREADABLE as error:
        said = str(error).partition("\n")[0]
        raise OutputError(
            f"a part of the ledger cannot be read: {said}. "
            "Put back a copy of the output directory, or start over with --fresh."
        ) from error


def write_routes(directory: Path, baseline: Rates | None) -> None:
    """Write routes.parquet over the whole ledger of a directory. Raises OutputError."""
    write_part(directory, ROUTES_NAME, routes_of_parts(ledger_parts(directory), baseline))


def routes_agree(directory: Path) -> bool:
    """Whether routes.parquet is what the ledger adds up to, its columns of the baseline aside.

    Raises OutputError where the ledger cannot be read.
    """
    summed = routes_of_parts(ledger_parts(directory), None).drop(_OF_THE_BASELINE)
    try:
        told = pl.read_parquet(directory / ROUTES_NAME, glob=False).drop(_OF_THE_BASELINE, strict=False)
    except _UNREADABLE:
        return False
    if told.schema != summed.schema:
        return False
    return all(_alike(told[name], summed[name]) for name in summed.columns)


def _alike(told: pl.Series, summed: pl.Series) -> bool:
    """Floats, which are sums in another order, may differ in their last digits."""
    if not summed.dtype.is_float():
        return told.equals(summed)
    same_known = told.is_null().equals(summed.is_null())
    return same_known and not ((told - summed).abs() > _TOLERANCE * summed.abs()).any()


def refresh_routes(directory: Path) -> None:
    """Write routes.parquet anew, without the job that knows the baseline: its columns come back with the next run."""
    write_routes(directory, None)


def spent(directory: Path) -> Decimal | None:
    """What the ledger adds up to, USD; None where a part of it cannot be read, and where no cost is known."""
    costs = pl.col("cost_usd")
    known = costs.count() > 0
    total = None
    for part in ledger_parts(directory):
        try:
            cost = part.select(pl.when(known).then(costs.sum())).collect().item()
        except _UNREADABLE:
            return None
        if cost is not None:
            total = cost if total is None else total + cost
    return total


def _baseline_cost(baseline: Rates | None, accepted: pl.Expr) -> pl.Expr:
    """The price of the accepted answers' tokens at other rates, as in `Rates.cost` but without its thresholds."""
    if baseline is None:
        return pl.lit(None, dtype=COST)
    cached, written = (pl.col(name).fill_null(0) for name in ("cached_tokens", "cache_write_tokens"))
    plain = (pl.col("input_tokens").fill_null(0) - cached - written).clip(lower_bound=0)
    picodollars = (
        plain * baseline.input
        + cached * baseline.cached
        + written * baseline.cache_write
        + pl.col("output_tokens").fill_null(0) * baseline.output
    )
    total = picodollars.filter(accepted).sum()
    return (total.cast(pl.Decimal(38, 0)) * pl.lit(_PICODOLLAR, dtype=COST)).cast(COST)
