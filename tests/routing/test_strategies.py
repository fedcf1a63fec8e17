"""In which order models are tried, as a table of how they stand."""

from collections import Counter
from random import Random

import pytest

from batchroute.routing.medians import LATEST, Median
from batchroute.routing.strategies import FIRST_TRIES, Groups, Order, Standing, Strategy, groups_of

KNOWN = FIRST_TRIES  # begun with often enough


def ordered(
    strategy: Strategy, *standings: Standing, groups: Groups | None = None, seed: int = 0
) -> tuple[str, ...]:
    """The order of these models, in one group unless told otherwise."""
    by_name = {each.model: each for each in standings}
    order = Order(groups=groups or (tuple(by_name),), strategy=strategy)
    return order.of(tuple(by_name), by_name.__getitem__, Random(seed))


@pytest.mark.parametrize(
    ("listed", "strategy", "groups"),
    [
        (("a", "b"), Strategy.ORDERED, (("a",), ("b",))),
        (("a", "b"), Strategy.CHEAPEST, (("a", "b"),)),
        ((("a", "b"), "c"), Strategy.ORDERED, (("a", "b"), ("c",))),
        ((("a", "b"), "c"), Strategy.FASTEST, (("a", "b"), ("c",))),
        (("c", ("a", "b")), Strategy.WEIGHTED, (("c",), ("a", "b"))),
    ],
)
def test_strategy_is_over_the_whole_list_where_it_has_no_groups(
    listed: tuple[str | tuple[str, ...], ...], strategy: Strategy, groups: Groups
) -> None:
    assert groups_of(listed, strategy) == groups


@pytest.mark.parametrize(
    ("strategy", "standings", "order"),
    [
        (Strategy.CHEAPEST, [Standing(model="a", cost=2), Standing(model="b", cost=1)], ("b", "a")),
        (Strategy.CHEAPEST, [Standing(model="a", cost=1), Standing(model="b", cost=1)], ("a", "b")),
        (Strategy.LEAST_BUSY, [Standing(model="a", load=0.5), Standing(model="b", load=0.2)], ("b", "a")),
        (Strategy.LEAST_BUSY, [Standing(model="a", begun=5), Standing(model="b", begun=4)], ("b", "a")),
        (Strategy.ORDERED, [Standing(model="a", load=0.5), Standing(model="b", load=0.2)], ("b", "a")),
        (
            Strategy.FASTEST,
            [Standing(model="a", p50_s=2, begun=KNOWN), Standing(model="b", p50_s=1, begun=KNOWN)],
            ("b", "a"),
        ),
        (
            Strategy.FASTEST,
            [Standing(model="a", p50_s=2, begun=KNOWN - 1), Standing(model="b", p50_s=1, begun=KNOWN)],
            ("a", "b"),
        ),
        (
            Strategy.FASTEST,
            [Standing(model="a", begun=KNOWN), Standing(model="b", p50_s=1, load=9, begun=KNOWN)],
            ("b", "a"),
        ),
    ],
)
def test_order_follows_how_models_stand(
    strategy: Strategy, standings: list[Standing], order: tuple[str, ...]
) -> None:
    assert ordered(strategy, *standings) == order


def test_groups_stay_in_their_order_and_models_that_are_left_out_are_not_tried() -> None:
    order = Order(groups=(("a", "b"), ("c", "d")), strategy=Strategy.CHEAPEST)
    costs = {"a": 9, "b": 8, "c": 2, "d": 1}

    def standing(model: str) -> Standing:
        return Standing(model=model, cost=costs[model])

    assert order.of(("a", "b", "c", "d"), standing, Random(0)) == ("b", "a", "d", "c")
    assert order.of(("a", "c", "d"), standing, Random(0)) == ("a", "d", "c")


def test_one_record_in_twenty_explores() -> None:
    models = [
        Standing(model=name, p50_s=speed, begun=KNOWN) for name, speed in (("a", 1.0), ("b", 2.0), ("c", 3.0))
    ]
    first = Counter(ordered(Strategy.FASTEST, *models, seed=seed)[0] for seed in range(4000))

    assert first["a"] == pytest.approx(3800, abs=60)
    assert first["b"] == pytest.approx(first["c"], abs=50)


def test_draw_keeps_to_the_weights_among_those_that_are_left() -> None:
    order = Order(
        groups=(("a", "b", "c"),), strategy=Strategy.WEIGHTED, weights={"a": 6.0, "b": 3.0, "c": 1.0}
    )
    random = Random(1)
    drawn = [order.of(("a", "b", "c"), lambda name: Standing(model=name), random) for _ in range(5000)]
    second = Counter(each[1] for each in drawn if each[0] == "a")

    assert sum(each[0] == "a" for each in drawn) == pytest.approx(3000, abs=120)
    assert second["b"] / second.total() == pytest.approx(0.75, abs=0.04)


def test_median_is_of_the_latest_only() -> None:
    median = Median()
    assert median.seconds is None

    for _ in range(LATEST):
        median.note(1.0)
    assert median.seconds == 1.0

    for _ in range(LATEST // 2 + 1):
        median.note(5.0)
    assert median.seconds == 5.0
