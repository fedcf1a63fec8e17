from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.money import Rates
from batchroute.core.responses import Usage
from batchroute.io.parts import write_part
from batchroute.io.tables import ledger_frame
from batchroute.report.routes import routes_of_parts, routes_table, write_routes
from batchroute.report.scans import scan_routes
from tests.builders import attempt

BASELINE = Rates(input=10, output=100, cached=1, cache_write=20)

FAILED = {"outcome": "error", "verdict": "failover", "usage": None, "cost": 0, "cost_basis": CostBasis.NONE}


def usage(input_tokens: int, output_tokens: int, **more: int) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, **more)


ATTEMPTS = [
    attempt("r1", latency_s=0.1, queued_s=0.0, usage=usage(10, 5), cost=7),
    attempt("r2", latency_s=0.3, queued_s=0.2, usage=usage(20, 1, cached_tokens=15), cost=11),
    attempt("r3", latency_s=9.9, queued_s=0.4, **FAILED),
    attempt(
        "r3", attempt=2, model="b", provider="q", latency_s=2.0, queued_s=1.0, usage=usage(1, 1), cost=None
    ),
    attempt(
        "r4", route="hard", verdict="escalate", outcome="error", usage=usage(4, 0), cost=1, latency_s=0.5
    ),
    attempt(
        "r4", attempt=2, route="hard", model="b", provider="q", latency_s=1.0, usage=usage(4, 4), cost=50
    ),
]


def rows(attempts: list[Attempt], baseline: Rates | None = None) -> dict[tuple[str, str], dict[str, object]]:
    table = routes_table(ledger_frame(attempts).lazy(), baseline)
    return {(row["route"], row["model"]): row for row in table.iter_rows(named=True)}


def usd(picodollars: int) -> Decimal:
    return Decimal(picodollars).scaleb(-12)


def test_there_is_a_row_per_route_and_model_in_their_order() -> None:
    assert list(rows(ATTEMPTS)) == [("default", "a"), ("default", "b"), ("hard", "a"), ("hard", "b")]


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param(
            ("default", "a"),
            {
                "provider": "p",
                "records": 2,
                "attempts": 3,
                "success_share": 2 / 3,
                "failovers": 1,
                "escalations": 0,
                "input_tokens": 30,
                "output_tokens": 6,
                "cost_usd": usd(18),
                "unpriced_attempts": 0,
                "latency_mean_s": 0.2,
                "queued_mean_s": 0.2,
                "record_share": 0.5,
            },
            id="two answers and a failover",
        ),
        pytest.param(
            ("default", "b"),
            {"provider": "q", "records": 1, "attempts": 1, "cost_usd": None, "unpriced_attempts": 1},
            id="no price: no cost, never 0",
        ),
        pytest.param(
            ("hard", "a"),
            {"records": 0, "attempts": 1, "escalations": 1, "success_share": 0.0, "cost_usd": usd(1)}
            | {"latency_mean_s": None, "latency_p99_s": None, "record_share": 0.0},
            id="a refused answer costs, and is no record of this model",
        ),
        pytest.param(
            ("hard", "b"),
            {"records": 1, "attempts": 1, "cost_usd": usd(50), "latency_p50_s": 1.0, "record_share": 0.25},
            id="the model that took it",
        ),
    ],
)
def test_sums(key: tuple[str, str], expected: dict[str, object]) -> None:
    row = rows(ATTEMPTS)[key]
    assert {name: row[name] for name in expected} == pytest.approx(expected)


def test_costs_add_up_to_the_ledgers_to_the_picodollar() -> None:
    table = routes_table(ledger_frame(ATTEMPTS).lazy(), None)
    assert table["cost_usd"].sum() == usd(7 + 11 + 0 + 1 + 50)
    assert table["attempts"].sum() == len(ATTEMPTS)


def test_a_model_with_some_unknown_costs_shows_the_known_ones_and_how_many_are_missing() -> None:
    row = rows([attempt("r1", cost=7), attempt("r2", cost=None)])["default", "a"]
    assert (row["cost_usd"], row["unpriced_attempts"]) == (usd(7), 1)


def test_percentiles_are_those_of_answered_attempts() -> None:
    answered = [attempt(f"r{n}", latency_s=float(n)) for n in range(101)]
    failed = [attempt(f"f{n}", latency_s=1e6, **FAILED) for n in range(50)]
    row = rows([*answered, *failed])["default", "a"]
    assert (row["latency_p50_s"], row["latency_p95_s"], row["latency_p99_s"]) == (50.0, 95.0, 99.0)
    assert row["latency_mean_s"] == 50.0


def test_the_baseline_prices_the_tokens_of_accepted_answers_alone() -> None:
    found = rows(ATTEMPTS, BASELINE)
    first = (10 * 10 + 5 * 100) + (5 * 10 + 15 * 1 + 1 * 100)
    assert found["default", "a"]["baseline_cost_usd"] == usd(first)
    assert found["default", "a"]["saving_usd"] == usd(first - 18)
    assert found["hard", "a"]["baseline_cost_usd"] == 0
    assert found["hard", "a"]["saving_usd"] == usd(-1)
    assert found["default", "b"]["baseline_cost_usd"] == usd(10 + 100)
    assert found["default", "b"]["saving_usd"] is None


def test_tokens_written_to_the_cache_are_part_of_input() -> None:
    written = attempt("r1", usage=usage(10, 0, cache_write_tokens=4), cost=0)
    assert rows([written], BASELINE)["default", "a"]["baseline_cost_usd"] == usd(6 * 10 + 4 * 20)


def test_without_a_baseline_nothing_is_saved_or_lost() -> None:
    assert {(row["baseline_cost_usd"], row["saving_usd"]) for row in rows(ATTEMPTS).values()} == {
        (None, None)
    }


def test_an_empty_ledger_gives_an_empty_table_of_the_same_columns() -> None:
    empty = routes_table(ledger_frame([]).lazy(), BASELINE)
    assert empty.is_empty()
    assert empty.schema == routes_table(ledger_frame(ATTEMPTS).lazy(), BASELINE).schema


@pytest.mark.parametrize("cut", range(len(ATTEMPTS) + 1))
def test_a_ledger_in_parts_gives_the_same_table(cut: int) -> None:
    parts = [ledger_frame(ATTEMPTS[:cut]).lazy(), ledger_frame(ATTEMPTS[cut:]).lazy()]
    whole = routes_table(ledger_frame(ATTEMPTS).lazy(), BASELINE)
    assert routes_of_parts(parts, BASELINE).equals(whole)


def test_the_table_is_written_over_the_whole_directory(tmp_path: Path) -> None:
    for number, part in enumerate((ATTEMPTS[:2], ATTEMPTS[2:]), 1):
        write_part(tmp_path, f"ledger/part-{number:05}.parquet", ledger_frame(part))
    write_routes(tmp_path, BASELINE)
    found = scan_routes(tmp_path).collect()
    assert found.equals(routes_table(ledger_frame(ATTEMPTS).lazy(), BASELINE))
    assert found["cost_usd"].dtype == pl.Decimal(38, 12)


def test_escalations_have_a_share_of_the_attempts_and_refused_answers_a_cost() -> None:
    """The refused answer with which a record ends is one more: no model was left to escalate to, and it was paid for."""
    refused = {"outcome": "error", "error_type": "check_json", "usage": usage(4, 1)}
    attempts = [
        attempt("r1", verdict="escalate", cost=3, **refused),
        attempt("r2", verdict="escalate", cost=4, **refused),
        attempt("r3", cost=9),
        attempt("r4", verdict="kept_best", cost=8, **refused),
        attempt("r5", verdict="dead_letter", cost=5, **refused),
    ]
    row = rows(attempts)["default", "a"]

    assert (row["escalations"], row["escalation_share"]) == (2, 0.4)
    assert (row["refused"], row["escalation_cost_usd"]) == (4, usd(3 + 4 + 8 + 5))
    assert row["records"] == 2, "a kept answer is one"
    assert rows(attempts[2:3])["default", "a"]["escalation_cost_usd"] is None
