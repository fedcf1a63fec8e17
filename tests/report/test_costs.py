from decimal import Decimal
from typing import Any

import polars as pl
import pytest

from batchroute.core.attempts import Attempt
from batchroute.core.errors import JobError
from batchroute.core.money import Price
from batchroute.io.tables import ledger_frame
from batchroute.report.costs import Baseline, by, dearest, savings, seen_prices
from batchroute.report.counts import sums
from tests.builders import attempt
from tests.report.books import ATTEMPTS, CHEAP, DEAR, UNPRICED, usage

LARGE = Baseline(
    model="large",
    price=Price(input=Decimal(10), output=Decimal(40), cached=Decimal(1), cache_write=Decimal("12.5")),
    origin="from the ledger",
)


def ledger(*attempts: Attempt) -> pl.LazyFrame:
    return ledger_frame(attempts or ATTEMPTS).lazy()


def rows(frame: pl.LazyFrame, key: str) -> dict[Any, dict[str, Any]]:
    return {row[key]: row for row in frame.collect().iter_rows(named=True)}


@pytest.mark.parametrize(
    ("key", "costs"),
    [
        ("route", {"hard": "0.007000", "default": "0.002325"}),
        ("model", {"large": "0.007000", "small": "0.002325", "local": None}),
        ("task", {"code": "0.007525", "chat": "0.001800"}),
        ("provider", {"q": "0.007000", "p": "0.002325", "here": None}),
        ("run_id", {"later": "0.007000", "run": "0.002325"}),
    ],
)
def test_costs_are_those_computed_by_hand(key: str, costs: dict[str, str | None]) -> None:
    found = {name: row["cost_usd"] for name, row in rows(by(ledger(), key), key).items()}

    assert found == {name: None if cost is None else Decimal(cost) for name, cost in costs.items()}
    assert list(found) == list(costs), "the dearest first, the unknown last"


def test_a_day_ends_at_midnight_utc() -> None:
    found = rows(by(ledger(), "day"), "day")

    assert {str(day): row["cost_usd"] for day, row in found.items()} == {
        "2027-01-16": Decimal("0.002325"),
        "2027-01-17": Decimal("0.007000"),
    }


def test_what_is_counted_is_counted_rightly() -> None:
    small = rows(by(ledger(), "model"), "model")["small"]

    assert small == {
        "model": "small",
        "records": 2,
        "attempts": 4,
        "answered_share": 0.5,
        "failovers": 1,
        "failover_share": 0.25,
        "escalations": 0,
        "escalation_share": 0.0,
        "refused": 0,
        "refused_share": 0.0,
        "input_tokens": 2_000,
        "output_tokens": 210,
        "cost_usd": Decimal("0.002325"),
        "unpriced_attempts": 0,
        "baseline_cost_usd": None,
        "saving_usd": None,
    }


def test_savings_are_those_computed_by_hand() -> None:
    """The tokens of r1 and r2 at ten times their price; r4 has no cost to compare with, r5 no answer."""
    found = rows(savings(ledger(), LARGE, keys=["model"]), "model")

    assert {name: (row["baseline_cost_usd"], row["saving_usd"]) for name, row in found.items()} == {
        "small": (Decimal("0.023250"), Decimal("0.020925")),
        "large": (Decimal("0.007000"), Decimal("0.000000")),
        "local": (None, None),
    }


def test_failed_attempts_lessen_a_saving() -> None:
    paid_for_nothing = attempt(
        "r6",
        verdict="escalate",
        outcome="error",
        error_type="empty_answer",
        usage=usage(9, 0),
        cost=9_000_000,
        **CHEAP,
    )
    found = savings(
        ledger(attempt("r6", usage=usage(9, 0), cost=9_000_000, **CHEAP), paid_for_nothing), LARGE
    ).collect()

    assert found.row(0, named=True)["cost_usd"] == Decimal("0.000018")
    assert found.row(0, named=True)["saving_usd"] == Decimal("0.000090") - Decimal("0.000018")


@pytest.mark.parametrize(
    ("baseline", "saved"), [("small", "-0.0063"), (None, "0.020925"), ("large", "0.020925")]
)
def test_baseline_is_a_model_of_the_ledger_or_the_dearest_there(baseline: str | None, saved: str) -> None:
    """r3 on small: 500 x 1 + 50 x 4 = 700 instead of 7,000 microdollars."""
    found = savings(ledger(), baseline, keys=[]).collect()

    assert found["saving_usd"].to_list() == [Decimal(saved)]


def test_baseline_without_a_price_is_refused_with_those_that_have_one() -> None:
    with pytest.raises(JobError, match=r"'local'.*prices of large, small"):
        savings(ledger(), "local")
    with pytest.raises(JobError, match="no model of this ledger has a known price"):
        savings(ledger(attempt("r", **UNPRICED)))


def test_many_tokens_at_a_high_price_do_not_overflow() -> None:
    """10^13 tokens at 10^8 picodollars pass 2^63 a hundred times over."""
    dear = Baseline(
        model="x", price=Price(input=Decimal(100), output=Decimal(0)), origin="from the price list"
    )
    found = savings(ledger(attempt("r", usage=usage(10**13, 0), cost=0, **CHEAP)), dear).collect()

    assert found["baseline_cost_usd"].to_list() == [Decimal(10**9)]


def test_unknown_costs_are_counted_and_not_nought() -> None:
    whole = by(ledger()).collect().row(0, named=True)

    assert (whole["cost_usd"], whole["unpriced_attempts"]) == (Decimal("0.009325"), 1)


def test_sums_of_nothing_are_no_rows() -> None:
    assert by(ledger().filter(False), "model").collect().is_empty()


def test_seen_price_is_the_lowest_of_the_latest_part_that_has_the_model() -> None:
    long_request = {name: 2 * (price or 0) for name, price in DEAR.items()}
    earlier = ledger(attempt("a", model="large", **CHEAP), attempt("b", model="old", **CHEAP))
    latest = ledger(attempt("c", model="large", **long_request), attempt("d", model="large", **DEAR))
    prices = seen_prices([latest, earlier], {"large", "old"})

    assert {model: price.input for model, price in prices.items()} == {"large": 10, "old": 1}


def test_parts_are_read_no_further_than_models_are_sought() -> None:
    def parts() -> Any:
        yield ledger(attempt("a", model="large", **DEAR))
        raise AssertionError("read too far")

    assert list(seen_prices(parts(), {"large"})) == ["large"]


def test_dearest_model_is_the_one_these_tokens_cost_most_on() -> None:
    """One model asks more for input, the other for output."""
    reads = Price(input=Decimal(10), output=Decimal(10))
    writes = Price(input=Decimal(1), output=Decimal(40))
    prices = {"reads": reads, "writes": writes}

    for tokens, model in ((usage(100, 1), "reads"), (usage(1, 100), "writes")):
        assert dearest(sums(ledger(attempt("r", usage=tokens)), ["model", "purpose"]), prices) == model
    assert dearest(sums(ledger(), ["model", "purpose"]), {}) is None
