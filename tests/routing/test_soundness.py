import pytest

from batchroute.routing.soundness import ENOUGH, Soundness


def noted(*batches: tuple[int, list[int]], bound: float = 0.5) -> Soundness:
    """Batches of so many lines each, of which those with these numbers are bad."""
    soundness = Soundness(bound=bound)
    for read, bad in batches:
        good = [line for line in range(1, read + 1) if line not in bad]
        soundness.note(
            read, [(line, "json_syntax", f"in.jsonl:{line}: no") for line in bad], min(good, default=None)
        )
    return soundness


@pytest.mark.parametrize(
    ("soundness", "stops"),
    [
        pytest.param(noted(), False, id="nothing read"),
        pytest.param(noted((10, [])), False, id="nothing bad"),
        pytest.param(noted((10, [1, 2, 3, 4, 5])), False, id="half"),
        pytest.param(noted((10, [1, 2, 3, 4, 5, 6])), True, id="more than half"),
        pytest.param(noted((500, [*range(1, 101)])), True, id="the first hundred"),
        pytest.param(noted((500, [*range(1, 100)])), False, id="the first ninety-nine"),
        pytest.param(noted((500, [*range(2, 202)])), False, id="two hundred after a good one"),
        pytest.param(noted((50, [*range(1, 51)]), (450, [*range(1, 51)])), True, id="the first hundred in two batches"),
        pytest.param(noted((50, [*range(2, 51)]), (450, [*range(1, 101)])), False, id="a good one in the first batch"),
        pytest.param(noted((100, [1]), bound=0.0), True, id="none may be"),
        pytest.param(noted((100, [1]), bound=0.01), False, id="as many as may be"),
        pytest.param(noted((100, [*range(1, 101)]), bound=0.99), True, id="the first hundred under a wide bound"),
        pytest.param(noted((100, [*range(1, 101)]), bound=1.0), False, id="all may be"),
    ],
)  # fmt: skip
def test_a_run_stops_when_more_is_bad_than_may_be(soundness: Soundness, stops: bool) -> None:
    assert (soundness.unusable() is not None) is stops


def test_a_hundred_places_are_enough_to_judge() -> None:
    assert not noted((ENOUGH - 1, [])).known
    assert noted((ENOUGH, [])).known


def test_the_reason_counts_kinds_and_shows_the_first_in_order() -> None:
    soundness = Soundness(bound=0.5)
    bad = [
        (3, "field_null", "third"),
        (1, "json_syntax", "first"),
        (4, "json_syntax", "fourth"),
        (2, "field_null", "2nd"),
    ]
    soundness.note(5, [*bad, (5, "field_null", "fifth")], None)
    told = soundness.unusable()
    assert told is not None
    assert told.startswith("5 of the first 5 records cannot be sent: field_null 3, json_syntax 2. ")
    assert told.splitlines()[1:] == ["  first", "  2nd", "  third"]


@pytest.mark.parametrize(
    ("bad", "said"), [(1, None), (2, "2 of 100 records (2.0%) cannot be sent: json_syntax 2")]
)
def test_more_than_one_in_a_hundred_deserves_a_remark(bad: int, said: str | None) -> None:
    assert noted((100, [*range(1, bad + 1)])).remark() == said
