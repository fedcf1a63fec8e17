import io
import sys
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from batchroute.cli.display import _Lines, closing_table, display, headline, routes_table, screen
from batchroute.cli.logs import PlainLog
from batchroute.engine.pools import PoolStatistics
from batchroute.engine.tally import Progress
from batchroute.report.cells import money
from batchroute.report.summary import Records, RouteLine, Summary

USD = 10**12


def progress(**fields: Any) -> Progress:
    """A moment in the middle of a run of a thousand records that costs."""
    return Progress(
        **{
            "elapsed_s": 10.0,
            "read": 600,
            "total": 1000,
            "share_read": 0.6,
            "skipped": 100,
            "succeeded": 380,
            "failed": 0,
            "degraded": 20,
            "in_motion": 50,
            "per_second": 1234.5,
            "cost": 3 * USD // 2,
            "unpriced": 0,
            "left_s": 75.0,
            "pools": (pool(),),
            "stopping": False,
            **fields,
        }
    )


def pool(**fields: Any) -> PoolStatistics:
    """Model a at work."""
    return PoolStatistics(
        **{
            "model": "a",
            "in_flight": 8,
            "limit": 8,
            "waiting": 42,
            "attempts": 2000,
            "errors": 30,
            "state": "closed",
            "paused_s": 0.0,
            "reason": None,
            **fields,
        }
    )


def line(**fields: Any) -> RouteLine:
    """What model a did on the default route."""
    return RouteLine(
        **{
            "route": "default",
            "model": "a",
            "provider": "p",
            "records": 1000,
            "attempts": 1100,
            "success_share": 0.909,
            "failovers": 60,
            "escalations": 0,
            "input_tokens": 10,
            "output_tokens": 5,
            "cost_usd": Decimal("1.5"),
            "latency_p50_s": 0.12,
            "latency_p95_s": 1.25,
            "baseline_cost_usd": Decimal(6),
            "saving_usd": Decimal("4.5"),
            **fields,
        }
    )


def summary(**fields: Any) -> Summary:
    """A run of a thousand records that all succeeded."""
    return Summary(
        **{
            "run_id": "r",
            "job": "test",
            "status": "succeeded",
            "exit_code": 0,
            "reason": None,
            "output": "/data/out",
            "duration_s": 12.34,
            "records": counted(),
            "attempts": 1100,
            "failovers": 60,
            "escalations": 0,
            "input_tokens": 10,
            "output_tokens": 5,
            "cost_usd": Decimal("1.5"),
            "unpriced_attempts": 0,
            "baseline": "large",
            "baseline_cost_usd": Decimal(6),
            "warnings": (),
            "disabled": {},
            "errors": {},
            "routes": (line(),),
            **fields,
        }
    )


def counted(**fields: int) -> Records:
    zero = {"succeeded": 1000, "failed": 0, "degraded": 0, "skipped": 0, "pending": 0}
    counts = {**zero, **fields}
    return Records(total=sum(counts.values()), **counts)


def closed(capsys: pytest.CaptureFixture[str], **fields: Any) -> list[str]:
    """The lines that close a run, spaces folded."""
    closing_table(summary(**fields))
    return [" ".join(row.split()) for row in capsys.readouterr().out.splitlines()]


# Money


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "-"),
        ("0", "$0.00"),
        ("1234567.891", "$1,234,567.89"),
        ("1", "$1.00"),
        ("0.999", "$0.9990"),
        ("0.01", "$0.0100"),
        ("0.0099", "$0.009900"),
        ("0.000001", "$0.000001"),
        ("-4.5", "-$4.50"),
        ("-0.004", "-$0.004000"),
    ],
)
def test_money_shows_as_many_places_as_it_takes(amount: str | None, shown: str) -> None:
    assert money(None if amount is None else Decimal(amount)) == shown


# Progress


def test_the_headline_says_how_far_how_fast_how_dear_how_long() -> None:
    assert headline(progress()) == "500/1,000 records, 1,234/s, $1.50, 1m15s left"


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        pytest.param({"failed": 12}, "512/1,000 records, 12 failed, ", id="failed"),
        pytest.param({"total": None}, "500 (60% read) records, ", id="total unknown"),
        pytest.param({"unpriced": 3}, ", $1.50+, ", id="some of unknown price"),
        pytest.param({"left_s": 8.04}, ", 8.0 s left", id="seconds"),
        pytest.param({"left_s": 7265.0}, ", 2h01m left", id="hours"),
        pytest.param(
            {"stopping": True}, ", stopping (Ctrl-C again cuts off what is in flight)", id="stopping"
        ),
    ],
)
def test_the_headline_tells_what_there_is_to_tell(fields: dict[str, Any], part: str) -> None:
    assert part in headline(progress(**fields))


def test_the_headline_does_not_guess_how_long() -> None:
    assert "left" not in headline(progress(left_s=None))


@pytest.mark.parametrize(
    ("state", "paused_s", "words"),
    [
        ("closed", 0.0, "ok"),
        ("open", 12.0, "cooling down 12.0 s"),
        ("half_open", 0.0, "probing"),
        ("disabled", 0.0, "disabled"),
    ],
)
def test_the_screen_has_a_row_for_each_pool(state: str, paused_s: float, words: str) -> None:
    file = io.StringIO()
    pools = (pool(state=state, paused_s=paused_s), pool(model="b", attempts=0, errors=0))
    Console(file=file, width=120).print(screen("test", progress(pools=pools)))
    shown = [" ".join(row.split()) for row in file.getvalue().splitlines()]
    assert shown == [
        "test: 500/1,000 records, 1,234/s, $1.50, 1m15s left",
        "model in flight queued attempts errors state",
        f"a 8 42 2,000 1.5% {words}",
        "b 8 42 0 0.0% ok",
    ]


def test_quiet_shows_nothing() -> None:
    with display("test", quiet=True) as watch:
        assert watch is None


def test_a_log_gets_no_line_before_its_time(capsys: pytest.CaptureFixture[str]) -> None:
    with display("test", quiet=False) as watch:
        assert watch is not None
        watch(progress())
        watch(progress())
    assert capsys.readouterr() == ("", "")


def test_a_log_is_told_once_and_at_once_that_a_run_stops(capsys: pytest.CaptureFixture[str]) -> None:
    pools = (pool(in_flight=3), pool(model="b", in_flight=4))
    with display("test", quiet=False) as watch:
        assert watch is not None
        watch(progress(stopping=True, pools=pools))
        watch(progress(stopping=True, pools=pools))
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "test: stopping; 7 requests in flight may finish, a second signal cuts them off\n"


def test_a_line_that_is_due_is_plain_and_names_models_in_trouble(capsys: pytest.CaptureFixture[str]) -> None:
    pools = (pool(), pool(model="b", state="open", paused_s=7.0), pool(model="c", state="disabled"))
    lines = _Lines(PlainLog("test"))
    lines._next = 0.0  # half a minute has passed
    lines(progress(pools=pools))
    assert capsys.readouterr().err == (
        "test: Warning: c is left out for the rest of the run: no reason was given\n"
        "test: 500/1,000 records, 1,234/s, $1.50, 1m15s left [b cooling down 7.0 s, c disabled]\n"
    )


def test_a_terminal_is_drawn_on_and_left_clean(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    with display("test", quiet=False) as watch:
        assert watch is not None
        watch(progress())
    assert "500/1,000 records" in terminal.getvalue()
    assert terminal.getvalue().endswith("\x1b[2K")  # the last line is erased


# The end


def test_a_run_is_closed_with_a_table_and_its_bill(capsys: pytest.CaptureFixture[str]) -> None:
    assert closed(capsys) == [
        "route model records attempts success failovers cost p50 p95 saved",
        "default a 1,000 1,100 90.9% 60 $1.50 120 ms 1.2 s $4.50",
        "1,000 records: 1,000 succeeded in 12.3 s.",
        "1,100 attempts cost $1.50; the same tokens on large $6.00 (75% saved).",
        "Results, ledger and routes are in /data/out",
    ]


def test_what_is_unknown_is_a_dash_and_never_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    unknown = line(
        cost_usd=None, saving_usd=None, baseline_cost_usd=None, latency_p50_s=None, latency_p95_s=None
    )
    rows = closed(
        capsys,
        routes=(unknown,),
        cost_usd=None,
        unpriced_attempts=1100,
        baseline=None,
        baseline_cost_usd=None,
    )
    assert rows[1] == "default a 1,000 1,100 90.9% 60 - - - -"
    assert rows[3] == "1,100 attempts cost - (1,100 of unknown price not counted)."
    assert not any("$0" in row for row in rows)


@pytest.mark.parametrize(
    ("records", "told"),
    [
        (counted(failed=3), "1,003 records: 1,000 succeeded, 3 failed in 12.3 s."),
        (counted(degraded=2, skipped=5), "1,007 records: 1,000 succeeded, 2 degraded, 5 finished before in 12.3 s."),
        (counted(succeeded=0, pending=9), "9 records: 0 succeeded, 9 pending in 12.3 s."),
    ],
)  # fmt: skip
def test_only_counts_that_are_there_are_told(
    capsys: pytest.CaptureFixture[str], records: Records, told: str
) -> None:
    assert told in closed(capsys, records=records)


def test_a_run_that_sent_nothing_has_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    nothing = closed(capsys, routes=(), attempts=0, cost_usd=None, baseline_cost_usd=None)
    assert nothing[0] == "1,000 records: 1,000 succeeded in 12.3 s."


def test_models_that_were_left_out_are_named_with_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    assert "a[b] was left out: no [key]" in closed(capsys, disabled={"a[b]": "no [key]"})


def test_a_dearer_run_than_the_baseline_saved_less_than_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    rows = closed(capsys, baseline_cost_usd=Decimal(1), routes=(line(saving_usd=Decimal("-0.5")),))
    assert rows[1].endswith("-$0.5000")
    assert rows[3].endswith("the same tokens on large $1.00 (-50% saved).")


def test_failed_attempts_are_told_by_type(capsys: pytest.CaptureFixture[str]) -> None:
    told = closed(capsys, errors={"server_error": 1200, "unclassified": 1})

    assert "Failed attempts: 1,200 server_error, 1 unclassified." in told


def test_a_model_that_is_out_is_told_once_and_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    out = pool(model="b", state="disabled", reason="key refused (401)")
    with display("nightly", quiet=False) as show:
        assert show is not None
        show(progress())
        for _ in range(3):
            show(progress(pools=(pool(), out)))

    told = "nightly: Warning: b is left out for the rest of the run: key refused (401)\n"
    assert capsys.readouterr().err == told


def drawn(width: int, **fields: Any) -> list[str]:
    """The lines of the table on a terminal of this width."""
    seen = io.StringIO()
    Console(width=width, file=seen).print(routes_table(summary(**fields), width))
    return [row.rstrip() for row in seen.getvalue().splitlines()]


LONG = "a-route-with-a-name-of-more-than-forty-letters"


@pytest.mark.parametrize("width", range(50, 161, 10))
@pytest.mark.parametrize("names", [("skilled", "medium"), (LONG, "x" * 70)], ids=["short", "long"])
def test_a_narrow_terminal_shows_fewer_columns_and_all_of_each_figure(
    width: int, names: tuple[str, str]
) -> None:
    """At 80 columns, names and costs ended in dots."""
    lines = (line(route=names[0], model=names[1], cost_usd=Decimal("0.123456")), line(refused=9))
    rows = drawn(width, routes=lines, refused=9)

    assert "…" not in "".join(rows)
    assert max(map(len, rows)) <= width
    assert {"route", "model", "records", "attempts", "refused", "cost"} <= set(rows[0].split())
    assert any("$0.1235" in row for row in rows)
    assert "".join(rows[1:]).count("x") == names[1].count("x")


def test_a_wide_terminal_shows_all_columns_with_air() -> None:
    assert drawn(160) == drawn(110)
    assert drawn(110)[0].split() == [
        "route", "model", "records", "attempts", "success", "failovers", "cost", "p50", "p95", "saved",
    ]  # fmt: skip
    assert drawn(80)[0] == "route    model  records  attempts  success   cost     p50    p95  saved"


def test_refused_answers_have_a_column_and_a_line_where_there_are_any(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also those after which no model was left to escalate to."""
    refusing = line(refused=220, escalation_cost_usd=Decimal("0.3"))
    lines = closed(
        capsys, refused=220, escalation_cost_usd=Decimal("0.3"), routes=(refusing, line(model="b"))
    )

    assert "refused" in lines[0]
    assert " 60 20.0% " in lines[1]
    assert "220 of them (20.0%) were answers that were refused: these cost $0.3000." in lines
    assert not any("refused" in row for row in closed(capsys))
