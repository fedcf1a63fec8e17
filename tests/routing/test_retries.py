from random import Random

import pytest

from batchroute.routing.retries import BASE_S, CAP_S, backoff


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
