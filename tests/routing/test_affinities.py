"""Which of several equal models gets the requests that begin alike."""

from collections import Counter
from random import Random

import pytest

from batchroute.routing.affinities import AHEAD, AHEAD_SHARE, BUSIER, preferred, within_load, within_share
from batchroute.routing.strategies import Order, Standing, Strategy

NAMES = ("a", "b", "c")
EVEN = dict.fromkeys(NAMES, 1)


def first(prefix: int, names: tuple[str, ...] = NAMES, shares: dict[str, float] | None = None) -> str:
    return preferred(names, prefix, shares or EVEN, lambda _: True)[0]


class TestPreferred:
    def test_prefix_has_its_model_whatever_the_order_they_are_told_in(self) -> None:
        for prefix in range(50):
            assert first(prefix) == first(prefix, ("c", "a", "b"))

    def test_prefixes_are_shared_out_by_the_shares(self) -> None:
        shares = {"a": 6.0, "b": 3.0, "c": 1.0}
        found = Counter(first(prefix, shares=shares) for prefix in range(4000))

        assert found["a"] == pytest.approx(2400, abs=120)
        assert found["b"] == pytest.approx(1200, abs=120)

    def test_lost_model_moves_its_own_prefixes_only(self) -> None:
        for prefix in range(200):
            if first(prefix) != "b":
                assert first(prefix, ("a", "c")) == first(prefix)
        moved = Counter(first(prefix, ("a", "c")) for prefix in range(3000) if first(prefix) == "b")
        assert moved["a"] == pytest.approx(moved["c"], rel=0.2)

    def test_unfair_choice_comes_last(self) -> None:
        prefix = next(prefix for prefix in range(50) if first(prefix) == "a")

        assert preferred(NAMES, prefix, EVEN, lambda name: name != "a")[-1] == "a"


class TestBounds:
    def test_model_may_be_ahead_of_its_share_by_a_little(self) -> None:
        at_most = int(500 + AHEAD + AHEAD_SHARE * 1000)
        shares = {"a": 2, "b": 2}

        assert within_share({"a": at_most, "b": 1000 - at_most}, shares)("a")
        assert not within_share({"a": at_most + 1, "b": 999 - at_most}, shares)("a")

    def test_shares_count_among_the_models_at_hand(self) -> None:
        assert within_share({"a": 500, "b": 500}, {"a": 1, "b": 1, "c": 8})("a")

    def test_model_may_be_a_little_busier_than_the_least_busy_one(self) -> None:
        fair = within_load({"a": BUSIER, "b": 0.0})

        assert fair("a")
        assert not within_load({"a": BUSIER + 0.01, "b": 0.0})("a")

    def test_model_that_is_down_does_not_count_as_idle(self) -> None:
        fair = within_load({"a": 0.9, "b": 1.0})

        assert fair("a")
        assert fair("gone")
        assert within_load({})("gone")


def shares_of(order: Order, prefixes: list[int | None], loads: dict[str, float]) -> Counter[str]:
    """How many records begin with each model."""
    begun, random = Counter[str](), Random(1)
    for prefix in prefixes:

        def standing(model: str) -> Standing:
            return Standing(model=model, load=loads[model], begun=begun[model])

        begun[order.of(("a", "b"), standing, random, prefix)[0]] += 1
    return begun


IDLE = {"a": 0.0, "b": 0.0}
WEIGHTED = Order(groups=(("a", "b"),), strategy=Strategy.WEIGHTED, weights={"a": 3, "b": 1})
BALANCED = Order(groups=(("a", "b"),), strategy=Strategy.ORDERED)


class TestStrategies:
    def test_weights_hold_where_all_records_begin_alike(self) -> None:
        for prefix in range(20):
            shares = shares_of(WEIGHTED, [prefix] * 4000, IDLE)
            assert shares["a"] == pytest.approx(3000, abs=AHEAD + AHEAD_SHARE * 4000 + 1)

    def test_weights_hold_where_a_few_records_each_begin_alike(self) -> None:
        shares = shares_of(WEIGHTED, [number // 5 for number in range(4000)], IDLE)

        assert shares["a"] == pytest.approx(3000, abs=AHEAD + AHEAD_SHARE * 4000 + 1)

    @pytest.mark.parametrize("order", [WEIGHTED, BALANCED])
    def test_prefix_stays_with_one_model(self, order: Order) -> None:
        for prefix in range(100):
            assert len(shares_of(order, [prefix] * 10, IDLE)) == 1

    def test_busy_model_is_passed_over(self) -> None:
        assert shares_of(BALANCED, list(range(100)), {"a": 0.5, "b": 0.2}) == {"b": 100}

    @pytest.mark.parametrize("strategy", [Strategy.CHEAPEST, Strategy.FASTEST])
    def test_strategy_that_holds_no_models_equal_decides_alone(self, strategy: Strategy) -> None:
        order = Order(groups=(("a", "b"),), strategy=strategy)
        standings = {
            "a": Standing(model="a", cost=1, p50_s=0.1, begun=99),
            "b": Standing(model="b", cost=2, p50_s=0.2, begun=99),
        }

        for prefix in range(20):
            assert order.of(("a", "b"), standings.__getitem__, Random(1), prefix)[0] == "a"
