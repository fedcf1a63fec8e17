"""What is left of a provider's limits, as its headers tell."""

import pytest

from batchroute.routing.quotas import LONGEST_BELIEVED_S, TOGETHER_S, Quota

ASKED_AT = 1000.0


@pytest.mark.parametrize(
    ("remaining", "reset_s", "out", "need", "opens_in_s"),
    [
        pytest.param(100, 60.0, 99, 1, 0.0, id="enough is left"),
        pytest.param(0, 60.0, 0, 1, 0.1, id="one comes back in its share of the minute"),
        pytest.param(0, 60.0, 5, 1, 0.6, id="those on their way take theirs first"),
        pytest.param(300, 30.0, 300, 100, 10.0, id="it waits for all that it needs"),
        pytest.param(0, 2.0, 9_999, 1, 2.0, id="never longer than until it is whole again"),
        pytest.param(None, 60.0, 0, 1, 0.0, id="nothing is told"),
        pytest.param(0, None, 0, 1, 0.0, id="no time is told"),
        pytest.param(0, 864_000.0, 100_000, 1, LONGEST_BELIEVED_S, id="days are not believed"),
    ],
)
def test_headers_close_a_quota_until_there_is_room(
    remaining: int | None, reset_s: float | None, out: int, need: int, opens_in_s: float
) -> None:
    quota = Quota()
    quota.hear(600, remaining, reset_s, out=out, need=need, asked_at=ASKED_AT)

    if opens_in_s and remaining is not None and reset_s is not None and opens_in_s < min(reset_s, 900):
        opens_in_s += TOGETHER_S
    assert quota.opens_at(need, ASKED_AT) == pytest.approx(ASKED_AT + opens_in_s if opens_in_s else 0.0)


def told(remaining: int) -> Quota:
    """A quota of 600 a minute."""
    quota = Quota()
    quota.hear(600, remaining, (600 - remaining) / 10, out=0, need=1, asked_at=ASKED_AT)
    return quota


def test_every_start_takes_its_part_until_the_next_response_tells() -> None:
    quota = told(remaining=3)
    starts = []
    for _ in range(5):
        at = max(ASKED_AT, quota.opens_at(1, ASKED_AT))
        starts.append(at - ASKED_AT)
        quota.start(1)

    assert starts == pytest.approx([0, 0, 0, 0.1 + TOGETHER_S, 0.2 + TOGETHER_S])


def test_what_is_used_comes_back_evenly() -> None:
    quota = told(remaining=0)
    assert quota.opens_at(1, ASKED_AT + 0.05) == pytest.approx(ASKED_AT + 0.1 + TOGETHER_S)
    assert quota.opens_at(1, ASKED_AT + 0.11) == 0.0
    assert quota.opens_at(20, ASKED_AT + 1.0) == pytest.approx(ASKED_AT + 2.0 + TOGETHER_S)


def test_a_response_that_tells_nothing_changes_nothing() -> None:
    quota = told(remaining=0)
    quota.hear(None, None, None, out=0, need=1, asked_at=ASKED_AT + 0.01)
    assert quota.opens_at(1, ASKED_AT + 0.05) == pytest.approx(ASKED_AT + 0.1 + TOGETHER_S)


def test_nothing_is_known_any_more_once_all_is_back() -> None:
    quota = told(remaining=0)
    for _ in range(10_000):
        quota.start(1)
    assert quota.opens_at(1, ASKED_AT + 59.0) == ASKED_AT + 60.0
    assert quota.opens_at(1, ASKED_AT + 60.0) == 0.0
