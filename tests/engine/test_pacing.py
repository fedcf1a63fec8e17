import asyncio
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.engine.pacing import Pacer, TokenBudget
from tests import virtual_clock


def starts_within(rpm: int, seconds: float, stall: Callable[[float], float] = lambda _: 0.0) -> list[float]:
    """When a pacer for this limit lets requests start, the next one waiting so many seconds after a start."""

    async def main() -> list[float]:
        loop, starts = asyncio.get_running_loop(), list[float]()
        pacer = Pacer(rpm, loop.time)
        while loop.time() < seconds:
            await pacer.permit()
            starts.append(loop.time())
            if (pause_s := stall(loop.time())) > 0:
                await asyncio.sleep(pause_s)
        return starts

    return virtual_clock.run(main())


RATES = [1, 6, 59, 60, 100, 599, 600, 659, 660, 6000]


@pytest.mark.parametrize("rpm", RATES)
def test_no_minute_has_more_starts_than_declared(rpm: int) -> None:
    starts = starts_within(rpm, 180.0)
    latest = 0
    for first, start in enumerate(starts):
        while latest < len(starts) and starts[latest] < start + 60.0:
            latest += 1
        assert latest - first <= rpm + 1  # the one that opens the minute


@pytest.mark.parametrize("rpm", RATES)
def test_a_declared_rate_is_used(rpm: int) -> None:
    starts = starts_within(rpm, 300.0)
    assert len(starts) >= 0.99 * rpm * 5 - 1


@pytest.mark.parametrize("rpm", [60, 600, 6000])
def test_a_minutes_quota_is_not_spent_at_once(rpm: int) -> None:
    starts = starts_within(rpm, 10.0)
    bucket = max(1.0, rpm / 60)  # of a strict provider, and half of it for what the network does in between
    assert all(
        number + 1 <= rpm / 60 * start + (1 + bucket) / 2 + 1e-6 for number, start in enumerate(starts)
    )


@pytest.mark.parametrize("rpm", [600, 6000, 60_000])
@pytest.mark.parametrize(("every_s", "pause_s"), [(0.1, 0.015), (3.0, 0.4)])
def test_what_a_busy_machine_delays_is_caught_up(rpm: int, every_s: float, pause_s: float) -> None:
    # A throttler counts from the latest starts, late ones too: stalls of 10 ms a period took a tenth of the rate.
    stalled = set[int]()

    def stall(now: float) -> float:
        fresh = int(now / every_s) not in stalled
        stalled.add(int(now / every_s))
        return pause_s if fresh else 0.0

    starts = starts_within(rpm, 20.0, stall)

    assert len(starts) >= 0.99 * rpm / 60 * 20


def test_catching_up_makes_no_wave() -> None:
    starts = starts_within(6000, 20.0, stall=lambda now: 0.4 * (10.0 < now < 10.2))

    assert all(
        late - early >= 0.095 for early, late in zip(starts, starts[14:], strict=False)
    )  # 10 are declared


def test_a_longer_time_without_demand_saves_up_no_more() -> None:
    starts = starts_within(6000, 20.0, stall=lambda now: 10.0 * (5.0 < now < 6.0))
    after = [at for at in starts if at > 6.0]

    assert len([at for at in after if at < after[0] + 1.0]) <= 151


def test_a_new_budget_opens_at_once_and_after_a_debt_when_it_is_paid() -> None:
    budget = TokenBudget(600, now=100.0)  # ten a second
    assert budget.opens_at(100.0) == 100.0
    budget.reserve(55)
    assert budget.opens_at(100.0) == pytest.approx(105.0)
    assert budget.opens_at(103.0) == pytest.approx(105.0)
    assert budget.opens_at(106.0) == 106.0


def test_a_budget_never_saves_up_more_than_half_a_second() -> None:
    budget = TokenBudget(600, now=0.0)
    assert budget.opens_at(3600.0) == 3600.0
    budget.reserve(20)
    assert budget.opens_at(3600.0) == pytest.approx(3601.5)


def test_settling_gives_back_what_was_reserved_too_much_and_no_more() -> None:
    budget = TokenBudget(600, now=0.0)
    budget.settle(budget.reserve(100), used=25, estimated=100)
    assert budget.opens_at(0.0) == pytest.approx(2.0)
    budget.settle(1000, used=0, estimated=0)
    budget.reserve(60)  # a quarter of the estimate, as the answer before
    assert budget.opens_at(0.0) == pytest.approx(1.0)  # five were in hand, whatever was given back


def test_settling_takes_what_was_missing() -> None:
    budget = TokenBudget(600, now=0.0)
    budget.settle(budget.reserve(5), used=45, estimated=5)
    assert budget.opens_at(0.0) == pytest.approx(4.0)


def test_a_request_that_was_not_sent_gives_back_all_and_teaches_nothing() -> None:
    budget = TokenBudget(600, now=0.0)
    budget.give_back(budget.reserve(100))
    assert budget.opens_at(0.0) == 0.0
    assert budget.reserve(100) == 100


@pytest.mark.parametrize("used", [10, 100, 400])
def test_estimates_are_taken_to_be_as_wrong_as_the_latest_ones(used: int) -> None:
    budget = TokenBudget(600, now=0.0)
    for _ in range(200):
        budget.settle(budget.reserve(100), used=100, estimated=100)
    for _ in range(200):
        budget.settle(budget.reserve(100), used, estimated=100)

    assert budget.reserve(100) == pytest.approx(used, rel=0.2)


REQUESTS = st.lists(
    st.tuples(st.floats(0, 30), st.integers(1, 400), st.integers(0, 400)), min_size=1, max_size=40
)


@given(st.integers(1, 100_000), REQUESTS)
def test_whoever_waits_for_a_budget_never_takes_more_than_its_rate(
    tpm: int, requests: list[tuple[float, int, int]]
) -> None:
    """In any time: a second's worth at most in hand, what came in since, and the last request, which goes into debt."""
    budget = TokenBudget(tpm, now=0.0)
    now, taken = 0.0, 0
    for pause_s, reserved, used in requests:
        now = max(now + pause_s, budget.opens_at(now + pause_s))
        assert taken <= tpm / 60 * (now + 1) + 1e-6 * (taken + 1)
        budget.settle(budget.reserve(reserved), used, reserved)
        taken += used


@given(st.integers(1, 100_000), st.floats(0, 1e6), st.integers(0, 10**7))
def test_a_debt_is_paid_at_the_time_that_was_told(tpm: int, now: float, tokens: int) -> None:
    budget = TokenBudget(tpm, now)
    budget.reserve(tokens)
    opens_at = budget.opens_at(now)
    assert budget.opens_at(opens_at + 1e-3) == opens_at + 1e-3
