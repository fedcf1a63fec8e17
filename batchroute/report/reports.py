"""The whole report as one value, made from output directories; each rendering reads it."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from batchroute.core.errors import OutputError
from batchroute.core.money import Price
from batchroute.io.manifest import read_manifest, without_manifest
from batchroute.io.prices import resolve_price
from batchroute.report.costs import Baseline, dearest, regrouped, seen_prices, unpriced
from batchroute.report.counts import Counts, count
from batchroute.report.courses import course, peaks
from batchroute.report.flows import flows
from batchroute.report.latencies import percentiles
from batchroute.report.outages import Outage, availability, outages
from batchroute.report.outcomes import ACCEPTED
from batchroute.report.scans import ledger_parts, ledger_stretches, scan_own_results

DEAREST = 10
_UNREADABLE = (OSError, pl.exceptions.PolarsError, pl.exceptions.PanicException)


@dataclass(frozen=True, kw_only=True)
class Report:
    """What output directories tell of money and reliability.

    Tables are frames whose columns name their unit: `_usd`, `_share`, `_s`, `_at` (UTC). `totals` is one row of the columns
    of `routes`; `course` is that of the latest run.
    """

    outputs: tuple[str, ...]
    jobs: tuple[str, ...]
    since: dt.datetime | None
    until: dt.datetime | None
    first_at: dt.datetime | None
    last_at: dt.datetime | None
    baseline: Baseline | None
    notes: tuple[str, ...]
    totals: dict[str, Any]
    routes: pl.DataFrame
    models: pl.DataFrame
    tasks: pl.DataFrame
    days: pl.DataFrame
    runs: pl.DataFrame
    providers: pl.DataFrame
    outages: list[Outage]
    outages_within_s: float
    peaks: pl.DataFrame
    errors: pl.DataFrame
    dearest: pl.DataFrame
    flows: pl.DataFrame
    latencies: pl.DataFrame
    course: pl.DataFrame
    repeated: int
    """Records with the answer of an equal one: no attempts, and no part of the tables."""
    cached: int
    """The same with an answer from the cache."""
    spared_usd: Decimal | None
    """What both would have cost."""

    def json(self) -> bytes:
        """One JSON object: tables as lists of objects, costs as exact numbers, times as ISO 8601."""
        told = {name: _plain(value) for name, value in vars(self).items()}
        return msgspec.json.Encoder(decimal_format="number").encode(told)


@dataclass(frozen=True, kw_only=True)
class Span:
    """From when to when attempts count by their start, and records by their end; None: without an end."""

    since: dt.datetime | None = None
    until: dt.datetime | None = None

    def of(self, frame: pl.LazyFrame, column: str) -> pl.LazyFrame:
        """The rows that are within: `since` included, `until` not."""
        if self.since is not None:
            frame = frame.filter(pl.col(column) >= self.since)
        if self.until is not None:
            frame = frame.filter(pl.col(column) < self.until)
        return frame


def report(directories: Sequence[Path], *, span: Span = Span(), baseline: str | None = None) -> Report:
    """Sum up output directories, each once. `baseline` is a model by name; None: the one that would have been dearest.

    Raises OutputError for a directory that is none, or a damaged part, JobError for a baseline of unknown price.
    """
    directories = list({each.resolve(): each for each in directories}.values())  # nothing is paid for twice
    manifests = [_manifest(directory) for directory in directories]
    try:
        counts = count([span.of(each, "started_at") for each in ledger_stretches(*directories)])
        costly = _dearest_records(directories, span)
        against = _baseline(directories, span, counts, baseline)
    except _UNREADABLE as error:
        raise OutputError(
            f"the ledger cannot be read: {str(error).partition(chr(10))[0]}. `batchroute verify` names the file."
        ) from error
    return _summed_up(directories, tuple(dict.fromkeys(manifests)), span, counts, costly, against)


def _summed_up(
    directories: Sequence[Path],
    jobs: tuple[str, ...],
    span: Span,
    counts: Counts,
    costly: pl.DataFrame,
    baseline: Baseline | None,
) -> Report:
    totals = _by(counts, (), baseline)
    runs = _runs(counts, baseline)
    return Report(
        outputs=tuple(map(str, directories)),
        jobs=jobs,
        since=span.since,
        until=span.until,
        first_at=_edge(counts, "first_at", least=True),
        last_at=_edge(counts, "last_at", least=False),
        baseline=baseline,
        notes=tuple(_notes(counts, baseline)),
        totals={**totals.row(0, named=True), "runs": runs.height} if totals.height else {},
        routes=_by(counts, ("route", "model"), baseline),
        models=_by(counts, ("model", "provider"), baseline),
        tasks=_by(counts, ("task",), baseline),
        days=_by(counts, ("day",), baseline).sort("day"),
        runs=runs,
        providers=availability(counts.sums),
        outages=outages(counts.beats, counts.beat_s),
        outages_within_s=counts.beat_s,
        peaks=peaks(counts.beats, counts.beat_s),
        errors=_errors(counts),
        dearest=costly,
        flows=flows(counts.sums),
        latencies=counts.latencies,
        course=_course(counts, runs),
        repeated=counts.shared.repeated,
        cached=counts.shared.cached,
        spared_usd=counts.shared.spared_usd,
    )


def _by(counts: Counts, keys: tuple[str, ...], baseline: Baseline | None) -> pl.DataFrame:
    """Costs per combination of keys, with the latencies where they are counted by these."""
    table = regrouped(counts.sums.lazy(), keys, baseline).collect()
    if not set(keys) <= set(counts.latencies.columns):
        return table
    spread = percentiles(counts.latencies, keys).drop("answers")
    if keys:
        return table.join(spread, on=keys, how="left", nulls_equal=True, maintain_order="left")
    answered = spread.height > 0
    return table.hstack(spread if answered else spread.clear(table.height))  # a row of nulls


def _runs(counts: Counts, baseline: Baseline | None) -> pl.DataFrame:
    """A row per run, in the order of their beginnings."""
    times = counts.sums.group_by("run_id").agg(pl.col("first_at").min(), pl.col("last_at").max())
    return times.join(regrouped(counts.sums.lazy(), ("run_id",), baseline).collect(), on="run_id").sort(
        "first_at", "run_id"
    )


def _course(counts: Counts, runs: pl.DataFrame) -> pl.DataFrame:
    if runs.is_empty():
        return pl.DataFrame()
    latest = runs.row(-1, named=True)
    return course(counts.beats, counts.beat_s, latest["first_at"], latest["last_at"])


def _errors(counts: Counts) -> pl.DataFrame:
    return (
        counts.sums.filter(pl.col("error_type").is_not_null())
        .group_by("error_type", "provider")
        .agg(pl.col("attempts", "unpriced_attempts").sum(), pl.col("cost_usd").sum(), pl.col("last_at").max())
        .with_columns(pl.when(pl.col("unpriced_attempts") < pl.col("attempts")).then("cost_usd"))
        .select("error_type", "provider", "attempts", "cost_usd", "last_at")
        .sort("attempts", "error_type", "provider", descending=[True, False, False])
    )


def _dearest_records(directories: Sequence[Path], span: Span) -> pl.DataFrame:
    """Those records that cost most over all their attempts: found by their cost, and only then read."""
    results = span.of(scan_own_results(*directories), "finished_at").filter(pl.col("cost_usd") > 0)
    costs = results.select("cost_usd").top_k(DEAREST, by="cost_usd").collect()["cost_usd"]
    least = costs.min() if len(costs) else Decimal(0)
    columns = (
        "record_id",
        "status",
        "task",
        "route",
        "model",
        "attempts",
        "input_tokens",
        "output_tokens",
        "cost_usd",
    )
    dear = results.filter(pl.col("cost_usd") >= least).select(columns)
    return dear.sort("cost_usd", "record_id", descending=[True, False]).head(DEAREST).collect()


def _baseline(directories: Sequence[Path], span: Span, counts: Counts, name: str | None) -> Baseline | None:
    """The model to compare with, at what the ledger says it costs, or else the price list. Raises JobError."""
    priced = pl.col("unpriced_attempts") < pl.col("attempts")
    answering = counts.sums.filter(priced, ACCEPTED)
    models = {*answering["model"], *({name} & {*counts.sums["model"]})} - {None}
    latest_first = (
        span.of(part, "started_at")
        for directory in reversed(directories)
        for part in reversed(ledger_parts(directory))
    )
    prices = seen_prices(latest_first, models)
    name = dearest(counts.sums.lazy(), prices) if name is None else name
    if name is None:
        return None
    if name in prices:
        return Baseline(model=name, price=prices[name], origin="from the ledger")
    listed = _listed(name, counts)
    if listed is None:
        raise unpriced(name, prices)
    return Baseline(model=name, price=listed, origin="from the price list")


def _listed(name: str, counts: Counts) -> Price | None:
    """The list price on the ledger's last day of MODEL, where all who offer it ask the same, or of PROVIDER/MODEL."""
    last = _edge(counts, "last_at", least=False)
    if last is None:
        return None
    provider, slash, model = name.partition("/")
    asked = [("", name), *([(provider, model)] if slash else [])]
    found = (
        resolve_price(None, provider_url=None, provider_name=who, model=what, on=last.date())
        for who, what in asked
    )
    return next((price for price in found if price is not None), None)


def _manifest(directory: Path) -> str:
    """The job whose output it is. Raises OutputError."""
    manifest = read_manifest(directory)
    if manifest is None:
        raise without_manifest(directory)
    return manifest.job


def _notes(counts: Counts, baseline: Baseline | None) -> list[str]:
    """What a reader must know of the figures."""
    notes = [baseline.assumption] if baseline else []
    unknown = int(counts.sums["unpriced_attempts"].sum())
    if unknown:
        models = counts.sums.filter(pl.col("unpriced_attempts") > 0)["model"].unique().sort().to_list()
        notes.append(
            f"{unknown:,} attempts have no known price ({', '.join(models)}): no cost counts them, "
            "and no saving counts answers of a model without a price."
        )
    return notes


def _edge(counts: Counts, name: str, *, least: bool) -> dt.datetime | None:
    column = counts.sums[name]
    edge: Any = column.min() if least else column.max()
    return edge if isinstance(edge, dt.datetime) else None


def _plain(value: object) -> object:
    return value.to_dicts() if isinstance(value, pl.DataFrame) else value
