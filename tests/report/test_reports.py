import datetime as dt
import json
from decimal import Decimal
from pathlib import Path

import pytest

from batchroute.core.errors import JobError, OutputError
from batchroute.core.results import Totals
from batchroute.report.latencies import QUANTILES
from batchroute.report.pages import page
from batchroute.report.reports import Report, Span, report
from batchroute.report.texts import markdown, text
from tests.builders import attempt, result
from tests.report.books import ATTEMPTS, CHEAP, MIDNIGHT, RESULTS, failed, write_output


def made(folder: Path, **asked: object) -> Report:
    return report([write_output(folder / "out")], **asked)  # type: ignore[arg-type]


def moment(seconds: float) -> dt.datetime:
    return dt.datetime.fromtimestamp(MIDNIGHT + seconds, dt.UTC)


def test_totals_are_those_computed_by_hand(tmp_path: Path) -> None:
    totals = made(tmp_path).totals

    assert (totals["records"], totals["attempts"], totals["runs"]) == (4, 6, 2)
    assert totals["cost_usd"] == Decimal("0.009325")
    assert totals["baseline_cost_usd"] == Decimal("0.030250")
    assert totals["saving_usd"] == Decimal("0.020925")


def test_every_table_adds_up_to_the_totals(tmp_path: Path) -> None:
    found = made(tmp_path)

    for table in (found.routes, found.models, found.tasks, found.days, found.runs):
        assert table["cost_usd"].sum() == Decimal("0.009325")
        assert table["baseline_cost_usd"].sum() == Decimal("0.030250")
        assert (table["attempts"].sum(), table["records"].sum()) == (6, 4)


def test_many_directories_are_one_report(tmp_path: Path) -> None:
    outputs = [write_output(tmp_path / name, job=name) for name in ("a", "b")]
    found = report(outputs)

    assert found.jobs == ("a", "b")
    assert found.totals["cost_usd"] == 2 * Decimal("0.009325")
    assert found.runs.height == 2


def test_a_directory_that_is_named_twice_counts_once(tmp_path: Path) -> None:
    output = write_output(tmp_path / "out")

    assert report([output, tmp_path / "out" / ".." / "out"]).totals["attempts"] == 6


@pytest.mark.parametrize(
    ("span", "cost"),
    [
        (Span(since=moment(86_400)), "0.007000"),
        (Span(until=moment(86_400)), "0.002325"),
        (Span(since=moment(1), until=moment(2)), "0.000525"),
    ],
    ids=["since is included", "until is not", "both"],
)
def test_a_span_is_of_the_attempts_that_started_in_it(tmp_path: Path, span: Span, cost: str) -> None:
    assert made(tmp_path, span=span).totals["cost_usd"] == Decimal(cost)


def test_a_span_without_attempts_is_told_so(tmp_path: Path) -> None:
    found = made(tmp_path, span=Span(since=moment(10**6)))

    assert found.totals == {}
    assert text(found) == "batchroute report: test\n\nNo attempt stands in this ledger, within this time.\n"
    assert json.loads(found.json())["routes"] == []


def test_latencies_are_dashes_where_no_attempt_was_answered(tmp_path: Path) -> None:
    """The totals had no such columns then, and every rendering but JSON ended in a KeyError."""
    found = report([write_output(tmp_path, attempts=[failed("r", "connect_refused")], results=[])])

    assert {name: found.totals[name] for name in QUANTILES} == dict.fromkeys(QUANTILES)
    for told in (text(found), markdown(found), page(found)):
        assert "latency p50 -, p95 -, p99 -" in told


def test_unknown_prices_are_said(tmp_path: Path) -> None:
    told = text(made(tmp_path))

    assert "1 attempts have no known price (local): no cost counts them" in told
    assert next(line for line in told.splitlines() if line.split()[:2] == ["default", "local"]).split()[
        6:9
    ] == ["-", "-", "-"]


def test_assumption_is_said_with_the_price(tmp_path: Path) -> None:
    assert (
        "same tokens of the accepted answers on large ($10.00 in, $40.00 out per million, from the ledger)"
        in text(made(tmp_path))
    )


def test_baseline_that_the_ledger_does_not_know_is_at_its_list_price(tmp_path: Path) -> None:
    """4.1 has cost the same since April 2025: 2 USD in, 8 out, 0.5 cached (genai-prices, 2026-11)."""
    found = made(tmp_path, baseline="openai/gpt-4.1")

    assert found.baseline is not None
    assert [int(found.baseline.price.input), int(found.baseline.price.output)] == [2, 8]
    assert "from the price list" in found.notes[0]


def test_baseline_that_nobody_knows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"'no-such-model'.*The ledger has prices of large, small"):
        made(tmp_path, baseline="no-such-model")


def test_dearest_records_are_those_of_the_results_with_all_their_attempts(tmp_path: Path) -> None:
    totals = {f"r{n}": Totals(attempts=n, cost=n * 10**9) for n in range(20)}
    output = write_output(tmp_path, results=[result(name, totals=each) for name, each in totals.items()])
    found = report([output]).dearest

    assert found["record_id"].to_list() == [f"r{n}" for n in range(19, 9, -1)]
    assert found["cost_usd"].to_list()[0] == Decimal("0.019")


def test_errors_are_by_type_and_provider(tmp_path: Path) -> None:
    found = made(tmp_path).errors

    assert found.select("error_type", "provider", "attempts").rows() == [
        ("bad_request", "p", 1),
        ("server_error", "p", 1),
    ]


def test_flow_is_of_the_attempts_that_ended_a_record(tmp_path: Path) -> None:
    assert set(made(tmp_path).flows.rows()) == {
        ("chat", "small", "answered", 1),
        ("code", "small", "answered", 1),
        ("code", "large", "answered", 1),
        ("chat", "local", "answered", 1),
        ("chat", "small", "failed", 1),
    }


def test_what_is_judged_or_classified_costs_and_is_no_record(tmp_path: Path) -> None:
    """Such attempts are paid for like any other."""
    judged = attempt("r1", purpose="judge", cost=10**9, **CHEAP)
    found = report([write_output(tmp_path, attempts=[*ATTEMPTS, judged])])

    assert found.totals["cost_usd"] == Decimal("0.010325")
    assert (found.totals["records"], found.flows["records"].sum()) == (4, 5)


def test_course_is_of_the_latest_run_and_peaks_are_of_minutes(tmp_path: Path) -> None:
    found = made(tmp_path)

    assert found.course.select("answered", "rate_limited", "failed").sum().row(0) == (2, 0, 1)
    assert found.course["start_s"][0] == 0
    peak = found.peaks.filter(model="small").row(0, named=True)
    assert (peak["peak_requests_per_minute"], peak["peak_tokens_per_minute"]) == (3, 2_210)


def test_a_directory_that_is_no_output_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no run has begun there"):
        report([tmp_path])


def test_a_broken_part_is_refused(tmp_path: Path) -> None:
    output = write_output(tmp_path)
    (output / "ledger/part-00001.parquet").write_bytes(b"PAR1 no more")

    with pytest.raises(OutputError, match=r"cannot be read.*batchroute verify"):
        report([output])


def test_json_has_exact_costs(tmp_path: Path) -> None:
    told = json.loads(made(tmp_path).json(), parse_float=Decimal)

    assert told["totals"]["cost_usd"] == Decimal("0.009325")
    assert told["routes"][0]["route"] == "hard"
    assert told["baseline"]["model"] == "large"


HOSTILE = "<b>|`*_\x1b[31m\n"


def test_names_break_neither_a_terminal_nor_markdown(tmp_path: Path) -> None:
    output = write_output(
        tmp_path, attempts=[attempt("r", route=HOSTILE, model=HOSTILE)], results=RESULTS, job=HOSTILE
    )
    found = report([output])

    assert "\x1b" not in text(found)
    marked = markdown(found)
    assert "\x1b" not in marked
    assert "<b>" not in marked.replace("\\<b", "")
    tables = [line for line in marked.splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in tables[:3]}) == 1
