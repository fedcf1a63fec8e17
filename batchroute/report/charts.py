"""Charts for a notebook, by Altair (the extra `report`); the HTML report draws its own and needs no extra."""

from typing import TYPE_CHECKING, Literal

import polars as pl

from batchroute.report.costs import Baseline, savings
from batchroute.report.counts import beats, latencies

if TYPE_CHECKING:
    import altair as alt

Kind = Literal["costs", "latencies", "throughput"]
_MINUTE_S = 60.0


def chart(
    ledger: pl.LazyFrame, kind: Kind = "costs", *, baseline: str | Baseline | None = None
) -> "alt.Chart":
    """An Altair chart of a ledger: `costs` by route beside the baseline, `latencies` of answers by model, or
    `throughput` in requests a minute by model.

    What it plots is summed up first, so a ledger of any length will do. Raises ImportError without the extra `report`,
    JobError for a baseline without a known price.
    """
    import altair as alt  # noqa: PLC0415  an extra

    drawn: alt.Chart

    if kind == "costs":
        drawn = (
            alt.Chart(_costs(ledger, baseline), title="Cost by route")
            .mark_bar()
            .encode(
                x=alt.X("usd", title="USD"),
                y=alt.Y("of", title=None),
                color="of",
                row=alt.Row("route", title=None),
            )
        )
    elif kind == "latencies":
        drawn = (
            alt.Chart(_latencies(ledger), title="How long answers took")
            .mark_line()
            .encode(x=alt.X("latency_s", title="seconds").scale(type="log"), y=alt.Y("share", title="answered by then").axis(format="%"), color="model")
        )  # fmt: skip
    elif kind == "throughput":
        drawn = (
            alt.Chart(_throughput(ledger), title="Requests a minute")
            .mark_line()
            .encode(x=alt.X("minute", title="UTC"), y=alt.Y("attempts", title="requests"), color="model")
        )
    else:
        raise ValueError(f"there is no chart {kind!r}. Ask for costs, latencies or throughput")
    return drawn


def _costs(ledger: pl.LazyFrame, baseline: str | Baseline | None) -> pl.DataFrame:
    sums = savings(ledger, baseline, keys=["route"])
    told = sums.select("route", paid="cost_usd", baseline="baseline_cost_usd").collect()
    return told.unpivot(index="route", variable_name="of", value_name="usd").with_columns(
        pl.col("usd").cast(pl.Float64)
    )


def _latencies(ledger: pl.LazyFrame) -> pl.DataFrame:
    """The share of a model's answers that were there by then, at two hundred points at most."""
    counted = (
        latencies(ledger, ["model"]).filter(pl.col("latency_s") > 0).sort("model", "latency_s").collect()
    )
    up_to = (pl.col("attempts").cum_sum() / pl.col("attempts").sum()).over("model")
    shares = counted.with_columns(share=up_to)
    return (
        shares.group_by("model", (pl.col("share") * 200).floor().alias("step"))
        .agg(pl.col("latency_s").max(), pl.col("share").max())
        .sort("model", "share")
    )


def _throughput(ledger: pl.LazyFrame) -> pl.DataFrame:
    """At most a thousand points: longer ledgers in longer steps."""
    counted = beats(ledger, _MINUTE_S).collect()
    first, last = (counted["beat"].min() or 0), (counted["beat"].max() or 0)
    step = max(1, (int(str(last)) - int(str(first))) // 1_000 + 1)
    minute = pl.from_epoch(pl.col("beat") // step * step * 60, time_unit="s").dt.replace_time_zone("UTC")
    return (
        counted.group_by("model", minute.alias("minute"))
        .agg((pl.col("attempts").sum() / step).alias("attempts"))
        .sort("model", "minute")
    )
