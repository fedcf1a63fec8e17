"""A report as one HTML file that needs nothing else: no script, no font, no network. All that stands in it is escaped."""

from collections.abc import Iterator
from html import escape

from batchroute.core.excerpts import printable
from batchroute.report import drawings
from batchroute.report.cells import cell, counted, money, share
from batchroute.report.reports import Report
from batchroute.report.sankeys import sankey
from batchroute.report.sections import Section, headline, sections
from batchroute.report.styles import STYLE
from batchroute.report.texts import title

# Nothing may be loaded or run, whatever a model's name or a record's id says.
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
LONG = 32


def page(report: Report) -> str:
    """The whole file, UTF-8."""
    named = escape(title(report))
    return (
        "<!DOCTYPE html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{named}</title><style>{STYLE}</style></head>\n<body><main>\n"
        f"<h1>{named}</h1>\n" + "\n".join(_parts(report)) + "\n</main></body></html>\n"
    )


def _parts(report: Report) -> Iterator[str]:
    first, *rest = headline(report)
    yield f'<p class="soft">{escape(first)}</p>'
    if not report.totals:
        return
    yield f'<div class="cards">{"".join(_card(*one) for one in _figures(report))}</div>'
    yield f"<p>{escape(' '.join(rest))}</p>"
    yield f'<div class="charts">{"".join(_charts(report))}</div>'
    yield from map(_table, sections(report))
    for note in report.notes:
        yield f'<p class="soft">{escape(printable(note))}</p>'


def _figures(report: Report) -> Iterator[tuple[str, str, str]]:
    """The numbers to be seen first: name, value, and what it is set against."""
    totals = report.totals
    unknown = totals["unpriced_attempts"]
    yield (
        "cost",
        money(totals["cost_usd"]),
        f"{unknown:,} attempts of unknown price" if unknown else "all attempts",
    )
    if report.baseline is not None and totals["saving_usd"] is not None:
        saved = share(totals["saving_usd"], totals["baseline_cost_usd"])
        yield "saved", saved, f"{money(totals['saving_usd'])} against {printable(report.baseline.model)}"
    yield "records answered", f"{totals['records']:,}", f"{totals['attempts']:,} attempts"
    yield "attempts answered", cell("_share", totals["answered_share"]), f"{totals['failovers']:,} failovers"
    yield "median latency", cell("_s", totals["latency_p50_s"]), f"p95 {cell('_s', totals['latency_p95_s'])}"
    yield "outages", f"{len(report.outages):,}", counted(len(report.providers), "provider")


def _card(name: str, value: str, beside: str) -> str:
    return f'<div class="card"><span>{escape(name)}</span><b>{escape(value)}</b><span>{escape(beside)}</span></div>'


def _charts(report: Report) -> Iterator[str]:
    against = f"the same tokens on {report.baseline.model}" if report.baseline else ""
    paid = drawings.legend([("paid", "paid"), *([(against, "faint")] if against else [])])
    name = report.baseline.model if report.baseline else None
    yield _figure(
        "Cost by route", paid, drawings.costs_by_route(report.routes, name), against and report.notes[0]
    )
    yield _figure(
        "Where the records went", "", sankey(report.flows), "task, the model that had the last word, outcome"
    )
    totals = report.totals
    marks = {quantile: totals[f"latency_{quantile}_s"] for quantile in ("p50", "p95", "p99")}
    spread = drawings.distribution(report.latencies, marks)
    yield _figure("How long answers took", "", spread, "answered attempts, logarithmic scale")
    colours = drawings.legend([(name.replace("_", " "), kind) for name, kind in drawings.STACKED])
    beside = "requests started, by how they ended; rate limited: refused with a 429"
    yield _figure("The latest run over its time", colours, drawings.throughput(report.course), beside)
    yield _figure("Cost of each run", paid, drawings.trend(report.runs), "from the earliest to the latest")


def _figure(name: str, legend: str, chart: str, beside: str) -> str:
    if not chart:
        return ""
    said = f"<figcaption>{escape(printable(beside))}</figcaption>" if beside else ""
    return f"<figure><h2>{escape(name)}</h2>{legend}{chart}{said}</figure>"


def _table(section: Section) -> str:
    note = f' <span class="soft">({escape(section.note)})</span>' if section.note else ""
    head = _row(section.head, "th", section.words)
    body = "".join(_row(row, "td", section.words) for row in section.rows)
    return (
        f'<section><h2>{escape(section.title)}{note}</h2><div class="wide" tabindex="0">'
        f"<table><thead>{head}</thead><tbody>{body}</tbody></table></div></section>"
    )


def _row(cells: tuple[str, ...], tag: str, words: int) -> str:
    drawn = (f"<{tag}{_kind(one, number < words)}>{escape(one)}</{tag}>" for number, one in enumerate(cells))
    return f"<tr>{''.join(drawn)}</tr>"


def _kind(cell: str, word: bool) -> str:
    """A name goes to the left, and one that is too long for a line may be broken anywhere."""
    if not word:
        return ""
    return ' class="word long"' if len(cell) > LONG else ' class="word"'
