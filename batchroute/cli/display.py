"""What a person sees of a run: live tables on a terminal, a plain line every 30 s in a log."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from decimal import Decimal
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

from batchroute.core.money import usd
from batchroute.engine.tally import Progress
from batchroute.job.durations import spelled
from batchroute.report.summary import Summary

LINE_EVERY_S = 30.0
PLAIN_WIDTH = 160
MOST_OF_A_REASON = 80
STYLES = {"closed": "green", "disabled": "red"}


@contextmanager
def display(job: str, *, quiet: bool) -> Iterator[Callable[[Progress], None] | None]:
    """Something that shows the progress it is told, on stderr; None when quiet."""
    if quiet:
        yield None
    elif sys.stderr is not None and sys.stderr.isatty():
        from rich.console import Console
        from rich.live import Live

        console = Console(stderr=True, markup=False, highlight=False)
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            alarm = Alarm(lambda line: console.print(line, style="bold red"))

            def show(progress: Progress) -> None:
                alarm.hear(progress)
                live.update(screen(job, progress))

            yield show
    else:
        yield _Lines(job)


class Alarm:
    """Says once of each model that it is out for the rest of the run, and why."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._told: set[str] = set()

    def hear(self, progress: Progress) -> None:
        for pool in progress.pools:
            if pool.state == "disabled" and pool.model not in self._told:
                self._told.add(pool.model)
                self._say(left_out(pool.model, pool.reason or "no reason was given"))


def left_out(model: str, why: str) -> str:
    """What is said of a model that no record goes to any more."""
    return f"Warning: {model} is left out for the rest of the run: {why}"


class _Lines:
    """One plain line every 30 s."""

    def __init__(self, job: str) -> None:
        self._job = job
        self._next = monotonic() + LINE_EVERY_S
        self._stopping = False
        self._alarm = Alarm(self._say)

    def __call__(self, progress: Progress) -> None:
        self._alarm.hear(progress)
        if progress.stopping and not self._stopping:
            self._stopping = True
            self._say(
                f"stopping; {_in_flight(progress)} requests in flight may finish, a second signal cuts them off"
            )
        if monotonic() >= self._next:
            self._next = monotonic() + LINE_EVERY_S
            self._say(f"{headline(progress)}{_troubles(progress)}")

    def _say(self, line: str) -> None:
        with suppress(OSError):  # a log that cannot be written is no reason to stop
            sys.stderr.write(f"{self._job}: {line}\n")
            sys.stderr.flush()


def _in_flight(progress: Progress) -> int:
    return sum(pool.in_flight for pool in progress.pools)


def headline(progress: Progress) -> str:
    """One line: how far, how fast, how dear, how long."""
    done = progress.skipped + progress.succeeded + progress.failed + progress.degraded
    of = f"/{progress.total:,}" if progress.total is not None else f" ({progress.share_read:.0%} read)"
    failed = f", {progress.failed:,} failed" if progress.failed else ""
    left = f", {spelled(progress.left_s)} left" if progress.left_s is not None else ""
    waiting = (
        f", no model takes requests now: gives up in {spelled(progress.gives_up_s)} unless one answers"
        if progress.gives_up_s is not None
        else ""
    )
    stopping = ", stopping (Ctrl-C again cuts off what is in flight)" if progress.stopping else ""
    cost = money(usd(progress.cost)) + ("+" if progress.unpriced else "")
    return f"{done:,}{of} records{failed}, {progress.per_second:,.0f}/s, {cost}{left}{waiting}{stopping}"


def _troubles(progress: Progress) -> str:
    """What is wrong with which model, in a few words each."""
    troubled = [
        f"{pool.model} {_state(pool.state, pool.paused_s)}"
        + (f": {pool.reason[:MOST_OF_A_REASON]}" if pool.reason else "")
        for pool in progress.pools
        if pool.state != "closed"
    ]
    return f" [{', '.join(troubled)}]" if troubled else ""


def screen(job: str, progress: Progress) -> "Group":
    """The live display: the headline, and a row for each pool."""
    from rich.console import Group
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, padding=(0, 2), header_style="dim")
    table.add_column("model")
    for title in ("in flight", "queued", "attempts", "errors"):
        table.add_column(title, justify="right")
    table.add_column("state")
    for pool in progress.pools:
        error_share = pool.errors / pool.attempts if pool.attempts else 0.0
        table.add_row(
            pool.model,
            f"{pool.in_flight:,}",
            f"{pool.waiting:,}",
            f"{pool.attempts:,}",
            f"{error_share:.1%}",
            Text(_state(pool.state, pool.paused_s), style=STYLES.get(pool.state, "yellow")),
        )
    return Group(Text(f"{job}: {headline(progress)}", style="bold"), table)


def _state(state: str, paused_s: float) -> str:
    words = {"closed": "ok", "open": "cooling down", "half_open": "probing"}.get(state, state)
    return f"{words} {spelled(paused_s)}" if paused_s else words


def closing_table(summary: Summary) -> None:
    """Print what a run did, per route and model, on stdout."""
    from rich.console import Console
    from rich.text import Text

    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Console(file=sys.stdout, width=width, markup=False, highlight=False)
    if summary.routes:
        console.print(_routes_table(summary))
    records = summary.records
    parts = [f"{records.succeeded:,} succeeded"]
    parts += [
        f"{count:,} {word}"
        for word, count in (
            ("degraded", records.degraded),
            ("failed", records.failed),
            ("finished before", records.skipped),
            ("pending", records.pending),
        )
        if count
    ]
    console.print(f"{records.total:,} records: {', '.join(parts)} in {spelled(summary.duration_s)}.")
    console.print(_spent(summary))
    if summary.errors:
        console.print(
            f"Failed attempts: {', '.join(f'{count:,} {kind}' for kind, count in summary.errors.items())}."
        )
    for model, why in summary.disabled.items():
        console.print(Text(f"{model} was left out: {why}", style="yellow"))
    console.print(f"Results, ledger and routes are in {summary.output}", soft_wrap=True)


def _spent(summary: Summary) -> str:
    spent = f"{summary.attempts:,} attempts cost {money(summary.cost_usd)}"
    if summary.unpriced_attempts:
        spent += f" ({summary.unpriced_attempts:,} of unknown price not counted)"
    if summary.baseline_cost_usd and summary.cost_usd is not None:
        saved = 1 - summary.cost_usd / summary.baseline_cost_usd
        spent += (
            f"; the same tokens on {summary.baseline} {money(summary.baseline_cost_usd)} ({saved:.0%} saved)"
        )
    return spent + "."


def _routes_table(summary: Summary) -> "Table":
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), header_style="bold")
    table.add_column("route")
    table.add_column("model")
    for title in ("records", "attempts", "success", "failovers", "cost", "p50", "p95", "saved"):
        table.add_column(title, justify="right")
    for line in summary.routes:
        table.add_row(
            line.route,
            line.model,
            f"{line.records:,}",
            f"{line.attempts:,}",
            f"{line.success_share:.1%}",
            f"{line.failovers:,}",
            money(line.cost_usd),
            _seconds(line.latency_p50_s),
            _seconds(line.latency_p95_s),
            money(line.saving_usd),
        )
    return table


def money(amount: Decimal | None) -> str:
    """USD with as many places as it takes to see something; a dash for unknown."""
    if amount is None:
        return "-"
    places = 2 if abs(amount) >= 1 or not amount else 4 if abs(amount) >= Decimal("0.01") else 6
    return f"{'-' if amount < 0 else ''}${abs(amount):,.{places}f}"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
