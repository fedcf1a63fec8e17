from decimal import Decimal
from typing import Any

import msgspec
import pytest

from batchroute.io.tables import ledger_frame
from batchroute.report.routes import routes_table
from batchroute.report.summary import Records, Summary, route_lines, status_word, total_of
from tests.builders import attempt

LINES = route_lines(
    routes_table(
        ledger_frame(
            [attempt("r1"), attempt("r2", model="b", cost=None), attempt("r3", model="c", cost=1)]
        ).lazy(),
        None,
    )
)


def summary(**fields: Any) -> Summary:
    defaults: dict[str, Any] = dict.fromkeys(Summary.__struct_fields__)
    defaults |= {
        "records": Records(total=3, succeeded=3, failed=0, degraded=0, skipped=0, pending=0),
        "cost_usd": Decimal("0.000020000001"),
        "disabled": {},
        "warnings": (),
        "routes": LINES,
    }
    return Summary(**{**defaults, **fields})


@pytest.mark.parametrize(
    ("exit_code", "word"),
    [
        (0, "succeeded"),
        (3, "finished_with_failures"),
        (4, "stopped"),
        (5, "stopped"),
        (65, "stopped"),
        (130, "interrupted"),
        (143, "interrupted"),
    ],
)
def test_how_a_run_ended_in_a_word(exit_code: int, word: str) -> None:
    assert status_word(exit_code) == word


def test_lines_are_the_rows_of_the_table() -> None:
    assert [(line.model, line.records, line.cost_usd) for line in LINES] == [
        ("a", 1, Decimal("0.00002")),
        ("b", 1, None),
        ("c", 1, Decimal("0.000000000001")),
    ]


def test_a_total_is_of_the_lines_that_know_it() -> None:
    assert total_of(LINES, "attempts") == 3
    assert total_of(LINES, "cost_usd") == Decimal("0.000020000001")
    assert total_of(LINES, "baseline_cost_usd") is None
    assert total_of((), "attempts") is None


def test_costs_are_exact_numbers_in_json() -> None:
    written = summary().json()
    assert b'"cost_usd":0.000020000001,' in written
    told = msgspec.json.decode(written)
    assert told["records"]["total"] == 3
    assert [line["cost_usd"] for line in told["routes"]] == [0.00002, None, 1e-12]


def test_an_unknown_cost_is_null_in_json() -> None:
    assert msgspec.json.decode(summary(cost_usd=None).json())["cost_usd"] is None
