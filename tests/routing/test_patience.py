"""How long an attempt is waited for."""

from random import Random

import pytest

from batchroute.routing.patience import ENOUGH, FLOOR_S, Patience


def test_at_first_it_is_the_declared_time() -> None:
    patience = Patience(30.0)
    for _ in range(ENOUGH - 1):
        patience.answered(0.5)

    assert patience.timeout_s == 30.0


@pytest.mark.parametrize(
    ("latency_s", "least", "most"),
    [
        pytest.param(0.010, FLOOR_S, FLOOR_S, id="never below the floor"),
        pytest.param(1.0, 4.0, 4.4, id="four times the usual"),
        pytest.param(20.0, 30.0, 30.0, id="never above what is declared"),
    ],
)
def test_it_follows_what_is_usual(latency_s: float, least: float, most: float) -> None:
    patience = Patience(30.0)
    for _ in range(200):
        patience.answered(latency_s)

    assert least <= patience.timeout_s <= most


def test_it_is_four_times_the_99th_percentile() -> None:
    random = Random(1)
    latencies = [random.lognormvariate(0.0, 0.5) for _ in range(4000)]
    patience = Patience(600.0)
    for latency_s in latencies:
        patience.answered(latency_s)

    exact = 4 * sorted(latencies)[3960]
    assert patience.timeout_s == pytest.approx(exact, rel=0.1)


def test_a_model_that_slows_down_is_given_more_time() -> None:
    patience = Patience(60.0)
    for _ in range(1000):
        patience.answered(0.6)
    hurried = patience.timeout_s
    for _ in range(200):
        patience.expired(patience.timeout_s)

    assert hurried < 3
    assert patience.timeout_s > 4 * hurried


def test_what_is_long_past_does_not_hold_it_back() -> None:
    patience = Patience(60.0)
    for _ in range(20_000):
        patience.answered(10.0)
    for _ in range(60_000):
        patience.answered(0.1)

    assert patience.timeout_s == FLOOR_S
