import math
from statistics import mean, quantiles

import pytest

from batchroute.providers.simulator.chance import draw, fingerprint, key, log_normal, pick

DRAWS = [draw(fingerprint(key(1, "m"), str(number).encode()), 0) for number in range(20_000)]


def test_the_same_request_draws_the_same_and_anything_else_draws_anew() -> None:
    first = draw(fingerprint(key(1, "m"), b"hello"), 0)
    others = [
        draw(fingerprint(key(1, "m"), b"hello"), 1),
        draw(fingerprint(key(1, "n"), b"hello"), 0),
        draw(fingerprint(key(2, "m"), b"hello"), 0),
        draw(fingerprint(key(1, "m"), b"hello "), 0),
    ]

    assert draw(fingerprint(key(1, "m"), b"hello"), 0) == first
    assert len({first.tag, *(other.tag for other in others)}) == 5
    assert len({first.fault, *(other.fault for other in others)}) == 5


def test_choices_are_uniform_and_independent() -> None:
    assert mean(one.fault for one in DRAWS) == pytest.approx(0.5, abs=0.01)
    assert mean(one.skill for one in DRAWS) == pytest.approx(0.5, abs=0.01)
    assert mean(one.skill for one in DRAWS if one.fault < 0.1) == pytest.approx(0.5, abs=0.03)
    assert mean(one.latency for one in DRAWS) == pytest.approx(0, abs=0.03)


def test_latency_has_the_declared_median_and_95th_percentile() -> None:
    times = [log_normal(0.2, 0.9, one.latency) for one in DRAWS]
    percentiles = quantiles(times, n=20)

    assert percentiles[9] == pytest.approx(0.2, rel=0.05)
    assert percentiles[18] == pytest.approx(0.9, rel=0.06)
    assert log_normal(0, 0, 1.0) == 0
    assert math.isclose(log_normal(0.3, 0.3, 5.0), 0.3)


def test_kinds_are_picked_in_their_shares() -> None:
    shares = {"a": 0.05, "b": 0.2}
    picked = [pick(shares, one.fault) for one in DRAWS]

    assert picked.count("a") / len(DRAWS) == pytest.approx(0.05, abs=0.006)
    assert picked.count("b") / len(DRAWS) == pytest.approx(0.2, abs=0.012)
    assert pick({}, 0.0) is None
    assert pick({"a": 0.0}, 0.0) is None
