"""A ledger of known sums under other scenarios."""

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.attempts import CostBasis
from batchroute.core.errors import JobError
from batchroute.core.money import Rates
from batchroute.core.responses import Usage
from batchroute.io.tables import ledger_frame
from batchroute.report.offers import alone, offers_of, rerouted
from batchroute.report.replays import Replay, answers, observed_p50_s, past, picodollars, replay
from batchroute.routing.scenarios import Offer, Path, Scenario
from batchroute.routing.strategies import Strategy
from tests.builders import attempt

CHEAP = Rates(input=100_000, output=400_000, cached=10_000, cache_write=100_000)
DEAR = Rates(input=2_500_000, output=10_000_000, cached=250_000, cache_write=2_500_000)


def answer(name: str, tokens: tuple[int, int] = (1000, 100), **fields: Any) -> Any:
    return attempt(name, usage=Usage(input_tokens=tokens[0], output_tokens=tokens[1]), **fields)


LEDGER = ledger_frame(
    [
        answer(
            "1", task="code", complexity="hard", route="hard", model="dear", cost=3_500_000_000, latency_s=1.0
        ),
        answer("2", (2000, 200), task="chat", model="dear", cost=7_000_000_000, latency_s=3.0),
        attempt(
            "3",
            task="chat",
            model="cheap",
            outcome="error",
            verdict="failover",
            usage=None,
            cost=5,
            latency_s=9.0,
        ),
        answer("3", attempt=2, task="chat", model="dear", cost=3_500_000_000, latency_s=2.0),
        answer("4", task="chat", model="cheap", cost=140_000_000, latency_s=0.5),
        answer("5", task="chat", model="cheap", cost=0, cost_basis=CostBasis.CACHE),
    ]
).lazy()
ANSWERS = answers(LEDGER)
OFFERS = {
    "cheap": Offer(model="cheap", rates=CHEAP, context=2100),
    "dear": Offer(model="dear", rates=DEAR),
    "secret": Offer(model="secret", rates=None),
}


def replayed(*paths: Path) -> Replay:
    return replay(ANSWERS, Scenario(paths=paths, offers=OFFERS), observed_p50_s(LEDGER))


def cells(found: Replay) -> list[tuple[Any, ...]]:
    return [(line.route, line.model, line.records, line.moved, line.cost_usd) for line in found.lines]


def test_the_past_is_the_answers_and_what_was_paid_beside_them() -> None:
    was = past(LEDGER)
    assert (was.records, was.answers_usd, was.other_usd) == (4, Decimal("0.014140000000"), Decimal("5e-12"))


def test_the_first_path_that_matches_takes_a_record_and_the_first_model_that_has_room() -> None:
    found = replayed(
        Path(name="code", tasks=frozenset({"code"}), complexities=frozenset({"hard"}), groups=(("dear",),)),
        Path(name="default", groups=(("cheap",), ("dear",))),
    )
    assert cells(found) == [
        ("code", "dear", 1, 0, Decimal("0.0035")),
        ("default", "cheap", 2, 1, Decimal("0.00028")),
        ("default", "dear", 1, 0, Decimal("0.007")),  # 2,200 tokens: no room in 2,100
    ]
    assert found.cost_usd == found.cost_low_usd == found.cost_high_usd == Decimal("0.01078")
    assert [line.latency_p50_s for line in found.lines] == [2.0, 0.5, 2.0]


def test_the_cheapest_of_a_group_is_chosen_by_the_tokens_of_each_record() -> None:
    found = replayed(Path(name="all", groups=(("dear", "cheap"),), strategy=Strategy.CHEAPEST))
    assert cells(found) == [
        ("all", "cheap", 3, 2, Decimal("0.00042")),
        ("all", "dear", 1, 0, Decimal("0.007")),
    ]


def test_what_is_dearer_than_a_record_may_cost_fits_no_model() -> None:
    found = replayed(Path(name="all", groups=(("dear",),), max_cost=3_500_000_000))
    assert cells(found) == [("all", "dear", 3, 1, Decimal("0.0105")), ("all", None, 1, 1, Decimal(0))]


def test_weights_share_out_records_tokens_and_cost() -> None:
    found = replayed(
        Path(
            name="all",
            groups=(("dear", "secret"),),
            strategy=Strategy.WEIGHTED,
            weights={"dear": 3, "secret": 1},
        )
    )
    assert [
        (line.model, line.records, line.input_tokens, line.cost_usd, line.assumed) for line in found.lines
    ] == [
        ("dear", 3, 3750, Decimal("0.013125"), False),
        ("secret", 1, 1250, None, False),
    ]
    assert found.cost_usd is None


def test_a_balanced_group_is_told_with_the_range_of_its_models() -> None:
    found = replayed(Path(name="all", groups=(("dear", "cheap"),), strategy=Strategy.FASTEST))
    assert [(line.model, line.records, line.assumed) for line in found.lines] == [
        ("dear", 2, True),
        ("cheap", 2, True),
    ]
    assert (found.cost_low_usd, found.cost_high_usd) == (Decimal("0.0007"), Decimal("0.0175"))


def test_what_a_ledger_offers_is_priced_as_it_was_booked_last() -> None:
    early = attempt("1", model="m", price_input=1, price_output=2, started_at=1.0)
    late = attempt(
        "2", model="m", price_input=3, price_output=4, price_cached=1, price_cache_write=None, started_at=2.0
    )
    unknown = attempt("3", model="n", price_input=None, price_output=None)
    offers = offers_of(ledger_frame([late, early, unknown]).lazy())
    assert offers["m"].rates == Rates(input=3, output=4, cached=1, cache_write=3)
    assert offers["n"].rates is None


def test_a_moved_route_goes_to_its_model_and_the_others_stay_as_they_were() -> None:
    found = replay(ANSWERS, rerouted(OFFERS, ["default", "hard"], {"default": "cheap"}), {})
    assert cells(found) == [
        ("default", "cheap", 2, 1, Decimal("0.00028")),
        ("default", None, 1, 1, Decimal(0)),  # no room for it
        ("hard", "dear", 1, 0, Decimal("0.0035")),
    ]


@pytest.mark.parametrize("moved", [{"nowhere": "cheap"}, {"default": "nobody"}])
def test_a_route_or_model_that_nobody_knows_is_refused(moved: dict[str, str]) -> None:
    with pytest.raises(JobError, match=r"\[whatif_(route|model)\]"):
        rerouted(OFFERS, ["default", "hard"], moved)


def test_one_model_alone_takes_every_record() -> None:
    assert cells(replay(ANSWERS, alone(OFFERS, "dear"), {})) == [("all", "dear", 4, 1, Decimal("0.0175"))]


@given(
    usage=st.builds(
        lambda cached, written, more, output: Usage(
            input_tokens=cached + written + more,
            cached_tokens=cached,
            cache_write_tokens=written,
            output_tokens=output,
        ),
        *(st.integers(0, 10**6) for _ in range(4)),
    )
)
def test_a_row_costs_what_its_usage_costs(usage: Usage) -> None:
    rates = Rates(input=7, output=11, cached=3, cache_write=13, above=((500_000, DEAR), (1_000_000, CHEAP)))
    row = ledger_frame([attempt("1", usage=usage)])
    assert row.select(picodollars(rates)).item() == rates.cost(usage)


def test_a_ledger_without_answers_replays_to_nothing() -> None:
    found = replay(ANSWERS.clear(), alone(OFFERS, "dear"), {})
    assert (found.lines, found.records, found.cost_usd) == ((), 0, Decimal(0))
