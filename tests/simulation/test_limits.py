"""Requirements D5 and D6: what a provider takes is found, and what it asks for is obeyed."""

from collections import Counter
from pathlib import Path

import pytest

from batchroute.core.responses import ErrorType, Outcome
from tests.builders import model
from tests.fakes import Script, Sent, failure
from tests.laws.worlds import Meter, Quota
from tests.simulation.scenes import Scene, crowded, during, fine, limited, play


@pytest.mark.parametrize("wish_s", [7.0, 42.0, 600.0])
def test_d5_nothing_is_sent_before_the_provider_wants_it(tmp_path: Path, wish_s: float) -> None:
    told = during(5.0, 5.2, limited(wish_s), fine())
    scene = play(tmp_path, {"a": told}, count=400)

    scene.assert_all_answered()
    [first, *_] = [sent.at for sent in scene.ran.provider.log if sent.at >= 5.0]
    heard = first + 0.05
    later = next(at for at in scene.times["a"] if at > heard + 1e-6)
    assert heard + wish_s <= later <= heard + 1.2 * wish_s + 1.0


@pytest.mark.parametrize("rpm", [None, 1200])
def test_d5_a_thousand_parked_records_make_no_wave(tmp_path: Path, rpm: int | None) -> None:
    """Without a declared rate slow start is what keeps them apart, and the slots."""
    slots = {"concurrency": 40, **({"rpm": rpm} if rpm else {})}
    told = during(0.0, 20.0, limited(20.0), fine(1.0, 0.5))
    scene = play(tmp_path, {"a": told}, count=1000, window=1100, models={"a": model("a", limits=slots)})

    scene.assert_all_answered()
    after = [at for at in scene.times["a"] if at >= 20.0]
    buckets = Counter(int((at - after[0]) / 0.1) for at in after)
    mean = len(after) / max(buckets)
    assert max(buckets.values()) <= (2 * mean if rpm else 40)
    assert buckets[0] <= 4


def assert_found(scene: Scene, per_s: float, share: float = 0.95) -> None:
    """After the first minute hardly any request is refused, and so much of what there is, is used."""
    end = scene.ran.ended.duration_s - 10.0
    assert end >= 180.0
    ended = scene.ran.ledger.filter(model="a").select("error_type", at="started_at").sort("at")
    since = [row[0] for row in ended.iter_rows() if 60.0 <= (row[1].timestamp() - 1_800_000_000.0) < end]
    refused = sum(error_type is not None for error_type in since)
    assert refused < 0.01 * len(since)
    assert len(since) - refused >= share * per_s * (end - 60.0)


def test_d6_a_provider_that_takes_half_of_the_slots(tmp_path: Path) -> None:
    scene = play(tmp_path, {"a": crowded(10, fine(1.0))}, count=2400, slots=20)

    scene.assert_all_answered()
    assert_found(scene, 10.0)


@pytest.mark.parametrize(
    ("tells", "share"),
    [
        pytest.param("", 0.95, id="and says nothing"),
        pytest.param("wish", 0.94, id="and says when to come back"),
        pytest.param("headers", 0.95, id="and says what is left"),
    ],
)
def test_d6_a_provider_that_takes_half_of_the_requests(tmp_path: Path, tells: str, share: float) -> None:
    """A bucket of one second, refilled at half the rate that the slots could use."""
    scene = play(tmp_path, {"a": metered(Quota(10, 10.0, tells), fine(1.0))}, count=2400, slots=20)

    scene.assert_all_answered()
    assert_found(scene, 10.0, share)


def metered(quota: Quota, otherwise: Script) -> Script:
    """Takes as many requests a second as the quota says."""
    meter = Meter(quota)

    def script(sent: Sent) -> tuple[float, Outcome]:
        admitted = meter.admit(sent.at)
        latency_s, outcome = otherwise(sent) if admitted else (0.02, failure(ErrorType.RATE_LIMITED))
        return latency_s, meter.told(outcome)

    return script
