"""`python -m tests.benchmarks`: speed and memory, measured side by side in one run. Compare within one run only."""

import argparse
import json
from collections.abc import Callable
from dataclasses import asdict

from tests.benchmarks import estimates, measures, pressure
from tests.benchmarks.measures import Figure
from tests.benchmarks.stand_ins import stand_in

Measure = Callable[[str, argparse.Namespace], list[Figure]]

MEASURES: dict[str, Measure] = {
    "end-to-end": lambda url, asked: measures.end_to_end(
        url, count=asked.records, concurrency=asked.concurrency, requests=asked.requests
    ),
    "memory": lambda url, asked: measures.memory(
        url, counts=asked.memory_records, concurrency=asked.concurrency
    ),
    "durability": lambda url, asked: measures.durability(
        url, count=asked.records, concurrency=asked.concurrency
    ),
    "resume": lambda url, asked: measures.resume(
        url, count=max(asked.memory_records), concurrency=asked.concurrency
    ),
    "hits": lambda url, asked: measures.hits(url, count=asked.records, concurrency=asked.concurrency),
    "classification": lambda _url, _asked: measures.classification(),
    "estimates": lambda _url, _asked: estimates.estimates(),
    "report": lambda _url, asked: measures.reporting(attempts=asked.attempts),
    "start-up": lambda url, _asked: measures.start_up(url),
    "limits": lambda _url, asked: pressure.limits(per_minute=[600, 6_000, 60_000], seconds=asked.seconds),
    "faults": lambda _url, _asked: pressure.faults(count=20_000),
    "depth": lambda _url, asked: pressure.depth(requests=asked.requests, in_flight=5_000),
    "sorted": lambda _url, asked: pressure.sorted_input(seconds=asked.seconds),
}
"""The last four bring providers of their own."""


def main() -> None:
    asked = parser().parse_args()
    with stand_in(url=asked.url, serve=asked.serve) as provider:
        figures = [figure for name in asked.only for figure in MEASURES[name](provider.url, asked)]
    if asked.json:
        print(json.dumps({"provider": provider.kind, "figures": [asdict(one) for one in figures]}))
    else:
        print(f"provider: {provider.kind}; {asked.concurrency} in flight")
        print(table(figures))


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    options.add_argument("--only", nargs="+", choices=MEASURES, default=list(MEASURES), metavar="MEASURE")
    options.add_argument("--records", type=int, default=200_000, help="of the end-to-end run")
    options.add_argument("--memory-records", type=int, nargs="+", default=[100_000, 1_000_000])
    options.add_argument("--requests", type=int, default=100_000, help="of the bare client loop")
    options.add_argument("--attempts", type=int, default=10_000_000, help="of the ledger that is reported on")
    options.add_argument("--seconds", type=float, default=60.0, help="how long limits are used")
    options.add_argument("--concurrency", type=int, default=64)
    options.add_argument("--url", help="base URL of a provider that is already running")
    options.add_argument("--serve", help="script that starts a provider: SCRIPT start [CORE], SCRIPT stop")
    options.add_argument("--json", action="store_true")
    return options


def table(figures: list[Figure]) -> str:
    """Names, values, units and goals in columns."""
    rows = [
        ("what", "value", "unit", "goal"),
        *((one.name, _short(one.value), one.unit, one.goal) for one in figures),
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    return "\n".join(
        f"{name:<{widths[0]}}  {value:>{widths[1]}}  {unit:<{widths[2]}}  {goal}".rstrip()
        for name, value, unit, goal in rows
    )


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1_000 else f"{value:.3g}"


if __name__ == "__main__":
    main()
