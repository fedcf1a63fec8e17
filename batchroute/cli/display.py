"""What is seen of a run: live tables on a terminal, a plain line every 30 s in a log, or JSON lines."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

from batchroute.cli.interrupts import tidied
from batchroute.cli.logs import Clean, JsonLog, Log, PlainLog, heard
from batchroute.core.money import usd
from batchroute.engine.pools import PoolStatistics
from batchroute.engine.tally import Progress
from batchroute.job.durations import spelled
from batchroute.report.cells import counted, money
from batchroute.report.summary import Summary

LINE_EVERY_S = 30.0
PLAIN_WIDTH = 160
MOST_OF_A_REASON = 80
NAMES = ("route", "model")
FOLDED = 16
"""Characters of a name in a line, where there is not room for all of it."""
DISPENSABLE = ("failovers", "p50", "success", "saved", "p95")
"""The columns that a narrow terminal goes without, the first one first: the lines below the table sum most of them up."""
STYLES = {"closed": "green", "disabled": "red"}


@contextmanager
def display(
    job: str, *, quiet: bool, log_format: str | None = None, clean: Clean = str
) -> Iterator[Callable[[Progress], None] | None]:
    """Something that shows the progress it is told, on stderr; None when quiet.

    What the package logs meanwhile is said too. `clean` takes secrets out of every line.
    """
    log: Log = JsonLog(job, clean) if log_format == "json" else PlainLog(job, clean)
    if quiet:
        with heard(log):
            yield None
    elif log_format == "json":
        with heard(log):
            yield _JsonLines(log)
    elif log_format is None and sys.stderr is not None and sys.stderr.isatty():
        with _live(job, clean) as show:
            yield show
    else:
        with heard(log):
            yield _Lines(log)


@contextmanager
def _live(job: str, clean: Clean) -> Iterator[Callable[[Progress], None]]:
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True, markup=False, highlight=False)
    log = PlainLog("", clean, lambda line: console.print(line, style="bold red", soft_wrap=True))
    with (
        tidied(lambda: console.show_cursor(show=True)),
        Live(console=console, refresh_per_second=4, transient=True) as live,
        heard(log),
    ):
        alarm = Alarm(log)

        def show(progress: Progress) -> None:
            alarm.hear(progress)
            live.update(screen(job, progress))

        yield show


class Alarm:
    """Says once of each model that it is out for the rest of the run, and why."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._told: set[str] = set()

    def hear(self, progress: Progress) -> None:
        for pool in progress.pools:
            if pool.state == "disabled" and pool.model not in self._told:
                self._told.add(pool.model)
                self._log.tell(
                    "warning", "warning", left_out(pool.model, pool.reason or "no reason was given")
                )


def left_out(model: str, why: str) -> str:
    """What is said of a model that no record goes to any more."""
    return f"{model} is left out for the rest of the run: {why}"


class _Lines:
    """One plain line every 30 s."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._next = monotonic() + LINE_EVERY_S
        self._stopping = False
        self._alarm = Alarm(log)

    def __call__(self, progress: Progress) -> None:
        self._alarm.hear(progress)
        if progress.stopping and not self._stopping:
            self._stopping = True
            self._log.tell("info", "stopping", stopping(progress))
        if monotonic() >= self._next:
            self._next = monotonic() + LINE_EVERY_S
            self._log.tell("info", "progress", f"{headline(progress)}{_troubles(progress)}")


class _JsonLines:
    """Progress every 30 s, and at once when a model changes its state or the run begins to stop."""

    def __init__(self, log: Log) -> None:
        self._log = log
        self._next = monotonic() + LINE_EVERY_S
        self._stopping = False
        self._states: dict[str, str] = {}

    def __call__(self, progress: Progress) -> None:
        for pool in progress.pools:
            if self._states.get(pool.model, "closed") != pool.state:
                self._tell_state(pool)
            self._states[pool.model] = pool.state
        if progress.stopping and not self._stopping:
            self._stopping = True
            self._log.tell("info", "stopping", stopping(progress), in_flight=_in_flight(progress))
        if monotonic() >= self._next:
            self._next = monotonic() + LINE_EVERY_S
            self._log.tell("info", "progress", headline(progress), **progress_fields(progress))

    def _tell_state(self, pool: PoolStatistics) -> None:
        level = "warning" if pool.state == "disabled" else "info"
        reason = None if pool.state == "closed" else pool.reason
        fields = {"model": pool.model, "state": pool.state, "paused_s": pool.paused_s, "reason": reason}
        self._log.tell(level, "model", f"{pool.model} {_state(pool.state, pool.paused_s)}", **fields)


def progress_fields(progress: Progress) -> dict[str, object]:
    """What a JSON line says of the progress: counts of records, USD, and each model."""
    names = (
        "elapsed_s",
        "total",
        "succeeded",
        "failed",
        "degraded",
        "skipped",
        "in_motion",
        "per_second",
        "left_s",
    )
    models = {
        pool.model: {
            name: getattr(pool, name) for name in ("state", "in_flight", "waiting", "attempts", "errors")
        }
        for pool in progress.pools
    }
    counts = {name: getattr(progress, name) for name in names}
    shared = {"repeated": progress.repeated, "cached": progress.cached}
    return {
        **counts,
        **shared,
        "failed_over": progress.failed_over,
        "cost_usd": usd(progress.cost),
        "models": models,
    }


def stopping(progress: Progress) -> str:
    """What is said when a run begins to stop."""
    return f"stopping; {_in_flight(progress)} requests in flight may finish, a second signal cuts them off"


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

    class Unread(Console):
        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704  what rich has caught: it would end the process with exit code 1

    width = None if sys.stdout.isatty() else PLAIN_WIDTH
    console = Unread(file=sys.stdout, width=width, markup=False, highlight=False)
    if summary.routes:
        console.print(routes_table(summary, console.width))
    records = summary.records
    parts = [f"{records.succeeded:,} succeeded"]
    parts += [
        f"{count:,} {word}"
        for word, count in (
            ("degraded", records.degraded),
            ("failed", records.failed),
            ("finished before", records.skipped),
            ("failed before and not tried again", records.failed_before),
            ("pending", records.pending),
            ("stale", records.stale),
            ("asked the same as another", records.repeated),
            ("from the cache", records.cached),
        )
        if count
    ]
    console.print(f"{counted(records.total, 'record')}: {', '.join(parts)} in {spelled(summary.duration_s)}.")
    console.print(_spent(summary))
    if summary.refused:
        console.print(_refused(summary))
    if summary.errors:
        console.print(
            f"Failed attempts: {', '.join(f'{count:,} {kind}' for kind, count in summary.errors.items())}."
        )
    for model, why in summary.disabled.items():
        console.print(Text(f"{model} was left out: {why}", style="yellow"))
    console.print(f"Results, ledger and routes are in {summary.output}", soft_wrap=True)


def _spent(summary: Summary) -> str:
    spent = f"{counted(summary.attempts, 'attempt')} cost {money(summary.cost_usd)}"
    if summary.unpriced_attempts:
        spent += f" ({summary.unpriced_attempts:,} of unknown price not counted)"
    if summary.baseline_cost_usd and summary.cost_usd is not None:
        saved = 1 - summary.cost_usd / summary.baseline_cost_usd
        spent += (
            f"; the same tokens on {summary.baseline} {money(summary.baseline_cost_usd)} ({saved:.0%} saved)"
        )
    if summary.spared_usd:
        spent += f"; answers that were there already, {money(summary.spared_usd)}, were not paid for again"
    return spent + "."


def _refused(summary: Summary) -> str:
    share = summary.refused / summary.attempts
    cost = money(summary.escalation_cost_usd)
    return f"{summary.refused:,} of them ({share:.1%}) were answers that were refused: these cost {cost}."


def routes_table(summary: Summary, width: int) -> "Table":
    """What each model did on each route, with as many columns as there is room for. Names are folded, and no figure cut."""
    from rich.table import Table

    columns = _columns(summary)
    for air, dispensable in ((2, None), (1, None), *((1, title) for title in DISPENSABLE)):
        columns.pop(dispensable or "", None)
        if _taken(columns, air) <= width:
            break
    table = Table(box=None, padding=(0, air), pad_edge=air > 1, header_style="bold")
    for title in columns:
        if title in NAMES:
            table.add_column(title, overflow="fold")
        else:
            table.add_column(title, justify="right", no_wrap=True)
    for row in zip(*columns.values(), strict=True):
        table.add_row(*row)
    return table


def _columns(summary: Summary) -> dict[str, list[str]]:
    lines = summary.routes
    refused = {"refused": [_share(line.refused, line.attempts) for line in lines]} if summary.refused else {}
    return {
        "route": [line.route for line in lines],
        "model": [line.model for line in lines],
        "records": [f"{line.records:,}" for line in lines],
        "attempts": [f"{line.attempts:,}" for line in lines],
        "success": [f"{line.success_share:.1%}" for line in lines],
        "failovers": [f"{line.failovers:,}" for line in lines],
        **refused,
        "cost": [money(line.cost_usd) for line in lines],
        "p50": [_seconds(line.latency_p50_s) for line in lines],
        "p95": [_seconds(line.latency_p95_s) for line in lines],
        "saved": [money(line.saving_usd if line.records else None) for line in lines],
    }


def _taken(columns: dict[str, list[str]], air: int) -> int:
    """The width of these columns with so many blanks on both sides of each; of a long name, that of a folded one."""
    widths = {title: max(map(len, (title, *cells))) for title, cells in columns.items()}
    widths |= {title: min(widths[title], FOLDED) for title in NAMES}
    edges = 0 if air > 1 else 2 * air
    return sum(widths.values()) + 2 * air * len(columns) - edges


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"


def _seconds(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value * 1000:.0f} ms" if value < 1 else f"{value:.1f} s"
