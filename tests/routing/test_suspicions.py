from collections import Counter

import pytest

from batchroute.routing.suspicions import Suspicion


class Scene:
    """A record, and the models that it goes to."""

    def __init__(self) -> None:
        self.answered = Counter[str]()
        self.failing = dict[str, float]()
        self.suspicion = Suspicion(self.answered.__getitem__, lambda model: self.failing.get(model, 0.0))

    def fails(self, model: str, sent: int) -> None:
        self.suspicion.failed(model, sent)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def test_a_model_that_answers_nobody_is_down(scene: Scene) -> None:
    for sent in range(1, 10):
        scene.fails("a", sent)

    assert not scene.suspicion.grounded
    assert not scene.suspicion.exhausted("a")
    assert scene.suspicion.witnesses() == []


def test_answers_to_what_was_sent_before_the_failure_prove_nothing(scene: Scene) -> None:
    scene.fails("a", 10)
    scene.answered["a"] = 10
    scene.fails("a", 20)

    assert not scene.suspicion.grounded


def test_a_model_that_fails_again_and_answered_others_meanwhile_tells_of_the_record(scene: Scene) -> None:
    scene.fails("a", 10)
    scene.answered["a"] = 11
    scene.fails("a", 20)

    assert scene.suspicion.grounded
    assert scene.suspicion.witnesses() == ["a"]
    assert not scene.suspicion.exhausted("a")


def test_one_failure_is_bad_luck(scene: Scene) -> None:
    scene.fails("a", 10)
    scene.answered["a"] = 50

    assert not scene.suspicion.grounded
    assert scene.suspicion.witnesses() == ["a"]


def test_a_model_is_exhausted_when_it_answered_others_between_all_of_its_tries(scene: Scene) -> None:
    for sent in (10, 20, 30):
        assert not scene.suspicion.exhausted("a")
        scene.fails("a", sent)
        scene.answered["a"] = sent + 1

    assert scene.suspicion.exhausted("a")
    assert not scene.suspicion.exhausted("b")


def test_later_answers_of_a_model_that_failed_twice_tell_of_the_record(scene: Scene) -> None:
    scene.fails("a", 10)
    scene.fails("a", 20)
    scene.answered["a"] = 21
    scene.fails("b", 5)

    assert scene.suspicion.grounded
    assert scene.suspicion.witnesses() == ["a"]


@pytest.mark.parametrize(
    ("failing", "failures", "named"),
    [(0.02, 1, True), (0.1, 1, False), (0.15, 2, True), (0.3, 2, False), (0.3, 3, True), (0.4, 3, False)],
)
def test_a_model_that_fails_others_too_is_a_witness_as_far_as_that_is_no_chance(
    scene: Scene, failing: float, failures: int, named: bool
) -> None:
    for sent in range(1, 2 * failures, 2):
        scene.fails("a", sent)
        scene.answered["a"] = sent + 1
    scene.failing["a"] = failing

    assert scene.suspicion.witnesses() == (["a"] if named else [])


def test_two_models_that_fail_one_record_are_worth_more_than_each(scene: Scene) -> None:
    for model in ("a", "b"):
        scene.fails(model, 1)
        scene.answered[model] = 2
        scene.failing[model] = 0.15

    assert scene.suspicion.witnesses() == ["a", "b"]
