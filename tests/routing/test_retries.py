from random import Random

import pytest

from batchroute.routing.retries import BASE_S, CAP_S, RetryBudget, backoff, longest_backoff


class Highest(Random):
    """Chance at its limit."""

    def random(self) -> float:
        return 1.0


@pytest.mark.parametrize(
    ("tries", "longest_s"),
    [(1, BASE_S), (2, 1.0), (3, 2.0), (4, 4.0), (7, 32.0), (8, CAP_S), (50, CAP_S), (2000, CAP_S)],
)
def test_the_longest_wait_doubles_up_to_the_cap(tries: int, longest_s: float) -> None:
    assert backoff(tries, Highest()) == longest_s


def test_a_wait_is_any_share_of_the_longest() -> None:
    random = Random(7)
    waits = [backoff(4, random) for _ in range(2000)]
    assert 0.0 <= min(waits) < 0.05
    assert 3.95 < max(waits) <= 4.0
    assert sum(waits) / len(waits) == pytest.approx(2.0, rel=0.05)


def test_the_same_chance_gives_the_same_waits() -> None:
    assert [backoff(3, Random(1)) for _ in range(3)] == [backoff(3, Random(1))] * 3


@pytest.mark.parametrize("wish_s", [0.0, 1.0, 30.0, 3600.0])
def test_it_is_never_shorter_than_the_provider_wishes(wish_s: float) -> None:
    random = Random(3)
    waits = [backoff(2, random, wish_s) for _ in range(200)]
    assert min(waits) >= wish_s
    assert max(waits) <= max(1.0, wish_s)


def test_retries_of_a_failing_model_stay_below_a_tenth_of_its_answers() -> None:
    budget, random = RetryBudget(), Random(1)
    answers = retries = 0
    for _ in range(20_000):
        if random.random() < 0.6:
            answers += 1
            budget.earn()
        elif budget.affordable:
            retries += 1
            budget.spend()

    assert retries <= 0.1 * answers
    assert retries >= 0.05 * answers


def test_a_model_that_answers_can_afford_what_fails_now_and_then() -> None:
    budget = RetryBudget()
    for _ in range(1000):
        for _ in range(20):
            budget.earn()
        assert budget.affordable
        budget.spend()


def test_a_retry_beyond_the_budget_waits_long_and_not_with_the_others() -> None:
    waits = [longest_backoff(Random(seed)) for seed in range(100)]

    assert min(waits) >= CAP_S / 2
    assert max(waits) - min(waits) > CAP_S / 4
