"""How many refusals are borne, and whether less helps."""

import pytest

from batchroute.routing.refusals import RECONSIDERED_AFTER, Refusals, Trial


def refused_often(refusals: Refusals, every: int, times: int = 50) -> list[bool]:
    """Whether each of the refusals is borne, when one request in so many is refused."""
    borne = []
    for _ in range(times):
        for _ in range(every - 1):
            refusals.answered()
        borne.append(refusals.refused(at_ceiling=False))
    return borne


@pytest.mark.parametrize(("every", "all_borne"), [(200, True), (100, True), (20, False), (2, False)])
def test_a_refusal_now_and_then_is_borne(every: int, all_borne: bool) -> None:
    assert all(refused_often(Refusals(), every)) is all_borne


def test_the_first_one_is_believed_where_as_many_were_refused_before() -> None:
    assert Refusals().refused(at_ceiling=True) is False


def test_what_less_did_not_help_against_is_borne_until_it_stops() -> None:
    refusals = Refusals()
    refused_often(refusals, every=20)
    refusals.bear()
    assert all(refused_often(refusals, every=20))
    assert not refusals.alarming

    for _ in range(1000):
        refusals.answered()
    assert not all(refused_often(refusals, every=20))


def test_what_is_borne_is_tried_anew_after_a_while() -> None:
    refusals = Refusals()
    refused_often(refusals, every=20)
    refusals.bear()

    assert not all(refused_often(refusals, every=20, times=RECONSIDERED_AFTER // 10))


@pytest.mark.parametrize(("every", "bearable"), [(20, True), (5, True), (3, False), (2, False)])
def test_most_of_them_refused_cannot_be_borne(every: int, bearable: bool) -> None:
    refusals = Refusals()
    refused_often(refusals, every, times=300)

    assert refusals.bearable is bearable
    assert refusals.alarming


def answers(trial: Trial, count: int) -> Trial:
    for _ in range(count):
        trial.answered()
    return trial


@pytest.mark.parametrize(
    ("answered", "in_vain"),
    [
        pytest.param(100, False, id="all that was answered before: it was too much"),
        pytest.param(50, True, id="half of it: the rest was refused for another reason"),
    ],
)
def test_half_of_it_tells(answered: int, in_vain: bool) -> None:
    trial = answers(Trial(0.0), 100)
    assert not trial.in_vain(64, now=1.0)
    assert not answers(trial, answered).in_vain(40, now=2.0)
    assert answers(trial, answered).in_vain(32, now=3.0) is in_vain


def test_a_few_answers_tell_nothing() -> None:
    trial = answers(Trial(0.0), 100)
    assert not trial.in_vain(64, now=1.0)
    assert not answers(trial, 3).in_vain(32, now=2.0)
