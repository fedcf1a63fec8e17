from random import Random
from typing import Any

from batchroute.routing.health import Breaker, BreakerPolicy, State


def breaker(**policy: Any) -> Breaker:
    return Breaker(BreakerPolicy(cooldown_jitter=0.0, **policy), Random(0))


def open_at(now: float) -> Breaker:
    opened = breaker()
    for _ in range(5):
        opened.fail(now, probe=False)
    opened.condemn(now)
    return opened


def test_five_failures_in_a_row_make_it_suspect_and_open_it_once_nothing_is_out() -> None:
    closed = breaker()
    for _ in range(4):
        closed.fail(0, probe=False)
    assert closed.admits(0)
    assert not closed.condemn(0)

    closed.fail(0, probe=False)
    assert closed.suspect
    assert not closed.admits(0)
    assert closed.state(0) is State.CLOSED

    assert closed.condemn(0)
    assert not closed.admits(0)
    assert closed.state(0) is State.OPEN


def test_an_older_request_that_is_answered_clears_a_suspect() -> None:
    closed = breaker()
    for _ in range(7):
        closed.fail(0, probe=False)
    closed.succeed(1, probe=False)
    assert closed.admits(1)
    assert not closed.condemn(1)


def test_an_answer_in_between_starts_the_count_anew() -> None:
    closed = breaker()
    for _ in range(4):
        closed.fail(0, probe=False)
    closed.succeed(0, probe=False)
    for _ in range(4):
        closed.fail(0, probe=False)
    assert not closed.suspect


def test_half_of_twenty_calls_within_the_window_open_it() -> None:
    closed = breaker()
    opened = []
    for call in range(20):
        if call % 2:
            opened.append(closed.fail(float(call), probe=False))
        else:
            closed.succeed(float(call), probe=False)
    assert opened == [False] * 9 + [True]


def test_calls_outside_the_window_do_not_count() -> None:
    closed = breaker(share_window_s=5.0)
    for call in range(60):
        if call % 2:
            assert not closed.fail(float(call), probe=False)
        else:
            closed.succeed(float(call), probe=False)


def test_after_the_cooldown_one_probe_at_a_time_is_let_through() -> None:
    opened = open_at(0)
    assert not opened.admits(29.9)
    assert opened.admits(30)
    assert opened.state(30) is State.HALF_OPEN

    assert opened.start()
    assert not opened.admits(30)


def test_a_probe_that_is_answered_closes_it() -> None:
    opened = open_at(0)
    opened.start()
    assert opened.succeed(31, probe=True)
    assert opened.state(31) is State.CLOSED
    assert not opened.start()


def test_a_failed_probe_doubles_the_cooldown_up_to_the_cap() -> None:
    opened = open_at(0)
    now, cooldowns = 30.0, []
    for _ in range(12):
        opened.start()
        opened.fail(now, probe=True)
        assert opened.cools_until is not None
        cooldowns.append(opened.cools_until - now)
        now = opened.cools_until
    assert cooldowns[:3] == [60, 90, 120]
    assert cooldowns[-1] == 300


def test_a_late_failure_does_not_prolong_a_cooldown() -> None:
    opened = open_at(0)
    assert not opened.fail(20, probe=False)
    assert opened.cools_until == 30


def test_an_abandoned_probe_makes_room_for_the_next() -> None:
    opened = open_at(0)
    opened.start()
    opened.abandon_probe()
    assert opened.admits(31)


def test_long_health_forgives_earlier_ejections() -> None:
    opened = open_at(0)
    opened.start()
    opened.succeed(30, probe=True)
    for _ in range(5):
        opened.fail(30 + 301, probe=False)
    opened.condemn(30 + 301)
    assert opened.cools_until == 331 + 30


def test_a_disabled_model_is_out_for_good() -> None:
    closed = breaker()
    closed.disable("key refused")
    assert not closed.admits(1e9)
    assert closed.state(0) is State.DISABLED
