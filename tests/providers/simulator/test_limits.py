import pytest

from batchroute.providers.simulator.limits import Bucket, Gate, duration
from batchroute.providers.simulator.settings import Limits


def admitted(gate: Gate, tokens: int, now: float) -> bool:
    if gate.refusal(tokens, now) is not None:
        return False
    gate.enter(tokens)
    return True


def test_a_minute_of_trying_admits_what_the_limit_says() -> None:
    gate = Gate(Limits(rpm=600), now=0.0)

    count = sum(admitted(gate, 1, tick / 1000) for tick in range(60_000))

    assert 600 <= count <= 610  # the limit, and the second's worth that a full bucket holds


def test_tokens_are_counted_as_requests_are() -> None:
    gate = Gate(Limits(tpm=60_000), now=0.0)

    count = sum(admitted(gate, 250, tick / 1000) for tick in range(60_000))

    assert 240 <= count <= 245


def test_a_request_above_one_second_s_worth_is_admitted_on_credit() -> None:
    gate = Gate(Limits(tpm=6_000), now=0.0)

    assert admitted(gate, 1_000, 0.0)
    refusal = gate.refusal(1, 0.0)
    assert refusal is not None
    assert refusal.wait_s is not None
    assert refusal.wait_s == pytest.approx(9.01)
    assert admitted(gate, 1, refusal.wait_s)


def test_a_request_above_the_whole_quota_is_told_that_it_never_fits() -> None:
    refusal = Gate(Limits(tpm=500), now=0.0).refusal(501, 0.0)

    assert refusal is not None
    assert refusal.wait_s is None
    assert "too large" in refusal.message


def test_who_waits_as_told_is_admitted() -> None:
    gate = Gate(Limits(rpm=7, tpm=130), now=0.0)
    now = 1234.567
    for _ in range(200):
        while (refusal := gate.refusal(11, now)) is not None:
            assert refusal.wait_s is not None
            now += refusal.wait_s
            assert refusal.limit == "requests" or gate.refusal(11, now) is None
        gate.enter(11)

    assert now - 1234.567 == pytest.approx(199 * max(60 / 7, 11 * 60 / 130), rel=0.01)


def test_concurrency_counts_what_has_entered_and_not_left() -> None:
    gate = Gate(Limits(concurrency=2), now=0.0)

    assert admitted(gate, 1, 0.0)
    assert admitted(gate, 1, 0.0)
    assert not admitted(gate, 1, 9.0)
    gate.leave()
    assert admitted(gate, 1, 9.0)
    assert gate.peak == 2


def test_headers_tell_limit_what_remains_and_time_to_full() -> None:
    bucket = Bucket(600, now=0.0)
    bucket.take(4)

    assert bucket.announced("requests", 0.1) == (
        b"x-ratelimit-limit-requests: 600\r\n"
        b"x-ratelimit-remaining-requests: 7\r\n"
        b"x-ratelimit-reset-requests: 300ms\r\n"
    )
    assert Gate(Limits(), now=0.0).headers(0.0) == b""


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0ms"), (0.0121, "13ms"), (1, "1s"), (1.5, "1.5s"), (60, "1m0s"), (359.2, "6m0s"), (3600, "60m0s")],
)
def test_durations_read_as_the_headers_of_openai(seconds: float, text: str) -> None:
    assert duration(seconds) == text
