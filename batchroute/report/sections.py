"""The tables of a report with their headings, alike for every format."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from batchroute.core.excerpts import printable
from batchroute.report.cells import cell, clipped, counted, lasting, money, share
from batchroute.report.reports import Report

_COSTS = {
    "records": "records",
    "attempts": "attempts",
    "answered_share": "answered",
    "failover_share": "failed over",
    "refused_share": "refused",
    "cost_usd": "cost",
    "baseline_cost_usd": "baseline",
    "saving_usd": "saved",
}
_LATENCIES = {"latency_p50_s": "p50", "latency_p95_s": "p95", "latency_p99_s": "p99"}
_TOKENS = {"input_tokens": "tokens in", "output_tokens": "tokens out"}
MOST_ROWS = 60
MOST_OF_A_NAME = 80
"""Characters: an id may have a thousand. JSON has them whole."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """A table as text: the first `words` columns are words, the rest are numbers."""

    title: str
    note: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    words: int


def headline(report: Report) -> list[str]:
    """The report in a few sentences."""
    totals = report.totals
    if not totals:
        return [
            "No attempt stands in this ledger"
            + (", within this time." if report.since or report.until else "."),
            *_unsent(report),
        ]
    lines = [
        (
            f"{counted(totals['records'], 'record')} answered in {counted(totals['attempts'], 'attempt')} and {counted(totals['runs'], 'run')}, "
            f"{cell('', report.first_at)} to {cell('', report.last_at)} UTC."
        ),
        f"Cost {money(totals['cost_usd'])}; {totals['input_tokens']:,} tokens in, {totals['output_tokens']:,} out.",
    ]
    if report.baseline is not None and totals["saving_usd"] is not None:
        saved = share(totals["saving_usd"], totals["baseline_cost_usd"])
        lines.append(
            f"The same tokens on {printable(report.baseline.model)} cost {money(totals['baseline_cost_usd'])}: "
            f"{money(totals['saving_usd'])} saved ({saved})."
        )
    lines += _unsent(report)
    lines.append(
        f"Answered {cell('_share', totals['answered_share'])} of attempts, failed over {cell('_share', totals['failover_share'])}, "
        f"refused {cell('_share', totals['refused_share'])}; latency p50 {cell('_s', totals['latency_p50_s'])}, "
        f"p95 {cell('_s', totals['latency_p95_s'])}, p99 {cell('_s', totals['latency_p99_s'])}."
    )
    return lines


def _unsent(report: Report) -> Iterator[str]:
    """What was answered without being asked for."""
    told = [
        f"{count:,} {what}"
        for count, what in (
            (report.repeated, "with the answer of an equal one"),
            (report.cached, "from the cache"),
        )
        if count
    ]
    if told:
        spared = "" if report.spared_usd is None else f": {money(report.spared_usd)} not spent"
        yield f"Beside these, {counted(report.repeated + report.cached, 'record')} needed no attempt, {', '.join(told)}{spared}."


def sections(report: Report) -> Iterator[Section]:
    """Every table that has rows, the most asked for first."""
    within = lasting(report.outages_within_s)
    outages = pl.DataFrame([
        {"provider": each.provider, "first_at": each.first_at, "duration_s": each.duration_s, "lost": each.lost}
        for each in report.outages
    ])  # fmt: skip
    tables: Sequence[tuple[str, str, pl.DataFrame, int, dict[str, str]]] = (
        ("By route and model", "", report.routes, 2, {"route": "route", "model": "model", **_COSTS, **_LATENCIES}),
        ("By model", "", report.models, 2, {"model": "model", "provider": "provider", **_COSTS, **_TOKENS, **_LATENCIES}),
        ("By task", "", report.tasks, 1, {"task": "task", **_COSTS, **_TOKENS}),
        ("By day", "UTC", report.days, 1, {"day": "day", **_COSTS}),
        ("Runs", "the latest last", report.runs.tail(MOST_ROWS), 2, {"run_id": "run", "first_at": "from", **_COSTS}),
        ("Providers", "available: of the attempts whose end was up to the provider", report.providers, 1, {
            "provider": "provider", "attempts": "attempts", "answered_share": "answered", "rate_limited": "rate limited",
            "lost": "lost", "available_share": "available"}),
        ("Outages", f"nothing was answered; to within {within}", outages, 2, {
            "provider": "provider", "first_at": "from (UTC)", "duration_s": "for", "lost": "attempts lost"}),
        ("Use of rate limits", "the fullest minute, to be held against what the provider allows", report.peaks, 2, {
            "model": "model", "provider": "provider", "mean_requests_per_minute": "requests/min, mean",
            "peak_requests_per_minute": "requests/min, most", "peak_tokens_per_minute": "tokens/min, most",
            "rate_limited": "rate limited", "rate_limited_share": "share"}),
        ("Errors", "", report.errors, 2, {
            "error_type": "error", "provider": "provider", "attempts": "attempts", "cost_usd": "cost", "last_at": "last (UTC)"}),
        ("The dearest records", "over all their attempts", report.dearest, 5, {
            "record_id": "record", "status": "status", "task": "task", "route": "route", "model": "model",
            "attempts": "attempts", "input_tokens": "tokens in", "output_tokens": "tokens out", "cost_usd": "cost"}),
    )  # fmt: skip
    for title, note, frame, words, headings in tables:
        if not frame.is_empty():
            yield _section(title, note, frame, words, _worth_telling(frame, headings, words))


def _worth_telling(frame: pl.DataFrame, headings: dict[str, str], words: int) -> dict[str, str]:
    """Without numbers of which nothing is known, nor refused answers where there are none."""
    silent = {name for name in [*headings][words:] if frame[name].null_count() == frame.height}
    if "refused_share" in headings and not frame["refused_share"].sum():
        silent.add("refused_share")
    return {name: heading for name, heading in headings.items() if name not in silent}


def _section(title: str, note: str, frame: pl.DataFrame, words: int, headings: dict[str, str]) -> Section:
    shown = frame.head(MOST_ROWS).select(*headings)
    rows = tuple(
        tuple(
            clipped(printable(cell(name, value)), MOST_OF_A_NAME)
            for name, value in zip(headings, row, strict=True)
        )
        for row in shown.iter_rows()
    )
    if frame.height > MOST_ROWS:
        note = ", ".join(filter(None, (note, f"the first {MOST_ROWS} of {frame.height:,}")))
    return Section(title=title, note=note, head=tuple(headings.values()), rows=rows, words=words)
