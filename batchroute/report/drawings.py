"""Charts as inline SVG. They need no script and no network; colours and fonts come from the page's style."""

import math
from collections.abc import Iterable, Sequence
from decimal import Decimal
from html import escape

import polars as pl

from batchroute.report.cells import cell, clipped, lasting, money
from batchroute.report.shapes import WIDTH, mark, rect, svg, text

MOST_BARS = 12
_BINS = 32
_AXIS = 22


def costs_by_route(routes: pl.DataFrame, baseline: str | None) -> str:
    """Two bars a route: what was paid, and what the same tokens cost on the baseline. Empty where no cost is known."""
    summed = (
        routes.group_by("route", maintain_order=True)
        .agg(pl.col("cost_usd", "baseline_cost_usd").filter(pl.col("cost_usd").is_not_null()).sum())
        .sort("baseline_cost_usd", "cost_usd", "route", descending=[True, True, False])
        .head(MOST_BARS)
    )
    most = max((max(row[1:]) for row in summed.iter_rows()), default=Decimal(0))
    if not most:
        return ""
    drawn = [
        _pair(44 * place, name, paid, other, most)
        for place, (name, paid, other) in enumerate(summed.iter_rows())
    ]
    told = f"Cost by route, beside the same tokens on {baseline}" if baseline else "Cost by route"
    return svg(44 * summed.height, told, drawn)


def _pair(top: float, name: str, paid: Decimal, other: Decimal, most: Decimal) -> str:
    said = money(paid)
    if other and paid != other:
        said += f" instead of {money(other)} ({paid / other - 1:+.0%})"
    return "".join((
        text(0, top + 13, clipped(name, 20), "name", title=name),
        text(WIDTH, top + 13, said, "soft", anchor="end"),
        rect(0, top + 18, WIDTH * float(other / most), 16, "faint"),
        rect(0, top + 18, max(1.0, WIDTH * float(paid / most)), 16, "paid"),
    ))  # fmt: skip


def distribution(latencies: pl.DataFrame, marks: dict[str, float | None]) -> str:
    """How many answers took how long, on a logarithmic scale, with some percentiles marked."""
    spread = latencies.filter(pl.col("latency_s") > 0).select("latency_s", "attempts")
    if spread.is_empty():
        return ""
    low, high = (math.log10(edge) for edge in (_edge(spread, "min") * 0.98, _edge(spread, "max") * 1.02))
    span = high - low
    bin_of = ((pl.col("latency_s").log10() - low) / span * _BINS).floor().clip(0, _BINS - 1).cast(pl.Int64)
    bins = dict(spread.group_by(bin_of.alias("bin")).agg(pl.col("attempts").sum()).iter_rows())
    most, height, wide = max(bins.values()), 150, WIDTH / _BINS
    bars = [
        rect(place * wide + 0.5, 20 + height * (1 - count / most), wide - 1, height * count / most, "paid",
              title=f"{count:,} answers in about {lasting(10 ** (low + span * (place + 0.5) / _BINS))}")
        for place, count in sorted(bins.items())
    ]  # fmt: skip
    lines = [
        mark((math.log10(value) - low) / span * WIDTH, 20 + height, name)
        for name, value in marks.items()
        if value
    ]
    axis = [
        text(WIDTH * part, 20 + height + 16, lasting(10 ** (low + span * part)), "soft", anchor=anchor)
        for part, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end"))
    ]
    return svg(20 + height + _AXIS, "How long answers took", [*bars, *lines, *axis])


def _edge(spread: pl.DataFrame, which: str) -> float:
    return float(getattr(spread["latency_s"], which)())


STACKED = (("answered", "good"), ("rate_limited", "warn"), ("failed", "bad"))


def throughput(course: pl.DataFrame) -> str:
    """What was started over a run's time, stacked by how it ended; requests a second."""
    if course.is_empty():
        return ""
    height, wide, beat = 150, WIDTH / course.height, float(course["interval_s"][0])
    most = max(map(sum, course.select(name for name, _ in STACKED).iter_rows()))
    if not most:
        return ""
    bars = [
        bar
        for place, row in enumerate(course.iter_rows(named=True))
        for bar in _stack(place * wide, wide, 20, height, [(row[name], kind) for name, kind in STACKED], most)
    ]
    lasted = float(course["start_s"][-1]) + beat
    labels = [
        text(0, 13, f"most: {_rate(most / beat)}", "soft"),
        text(0, 20 + height + 16, "start", "soft"),
        text(WIDTH, 20 + height + 16, lasting(lasted), "soft", anchor="end"),
    ]
    return svg(20 + height + _AXIS, "Requests started over the time of the latest run", [*bars, *labels])


def _stack(
    x: float, wide: float, top: float, height: float, counts: Sequence[tuple[int, str]], most: int
) -> Iterable[str]:
    bottom = top + height
    for count, kind in counts:
        if count:
            tall = height * count / most
            bottom -= tall
            yield rect(x + 0.3, bottom, max(0.5, wide - 0.6), tall, kind)


def _rate(per_second: float) -> str:
    return f"{per_second:,.0f}/s" if per_second >= 10 else f"{per_second * 60:,.0f}/min"


def trend(runs: pl.DataFrame) -> str:
    """A bar per run, what it has cost, before what the baseline would have; empty for a single run."""
    latest = runs.tail(60)
    costs = [
        (float(row["cost_usd"] or 0), float(row["baseline_cost_usd"] or 0), row)
        for row in latest.iter_rows(named=True)
    ]
    most = max((max(paid, other) for paid, other, _ in costs), default=0.0)
    if len(costs) < 2 or not most:
        return ""
    height, wide = 130, WIDTH / len(costs)
    bars = [
        drawn
        for place, (paid, other, row) in enumerate(costs)
        for drawn in (
            rect(place * wide + 1, 20 + height * (1 - other / most), wide - 2, height * other / most, "faint"),
            rect(place * wide + 1, 20 + height * (1 - paid / most), wide - 2, height * paid / most, "paid",
                  title=f"{row['run_id']}: {money(row['cost_usd'])}"),
        )
    ]  # fmt: skip
    labels = [
        text(0, 13, f"most: {money(Decimal(str(most)))}", "soft"),
        text(0, 20 + height + 16, cell("", costs[0][2]["first_at"])[:10], "soft"),
        text(WIDTH, 20 + height + 16, cell("", costs[-1][2]["first_at"])[:10], "soft", anchor="end"),
    ]
    return svg(20 + height + _AXIS, "Cost of each run", [*bars, *labels])


def legend(names: Iterable[tuple[str, str]]) -> str:
    """What the colours mean, as HTML above a chart."""
    return "".join(f'<span class="key"><i class="{kind}"></i>{escape(name)}</span>' for name, kind in names)
