"""Runs in which models label records and judge answers: nothing that is paid for is lost, or paid for twice."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.laws import asking as asked
from tests.laws import books
from tests.laws.asking import AskingWorld, asking
from tests.laws.laws import MEMORY, SCALE, examples
from tests.laws.legs import Camera, travel
from tests.laws.worlds import settled_worlds, worlds

pytestmark = pytest.mark.timeout(180 * SCALE)


@examples(14)
@given(asking(worlds(), steady=False))
def test_a_run_that_asks_for_labels_and_judgements_obeys_every_law(world: AskingWorld) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        world.write(folder)
        leg = travel(world, folder, world.scripts())

        asked.assert_lawful(world, leg)


@examples(9)
@given(asking(settled_worlds(), steady=True), st.integers(1, 80))
def test_a_killed_run_asks_for_no_label_and_no_judgement_again(world: AskingWorld, moment: int) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder, image = Path(name) / "run", Path(name) / "image"
        world.write(folder)
        world.write(image)
        camera = Camera(folder / "out", image / "out", moment)
        scripts = world.scripts()
        killed = travel(world, folder, scripts, camera=camera)
        if camera.taken_at is None:
            return
        resumed = travel(world, image, scripts, leg=1)

        assert resumed.ended is not None
        assert resumed.ended.pending == 0
        books.assert_conserved(world, resumed, whole=True)
        books.assert_ended_adds_up(world, resumed)
        books.assert_attempts_numbered(resumed)
        books.assert_money_agrees(resumed)
        books.assert_every_request_is_entered([], killed, camera.taken_at, resumed)
        asked.assert_nothing_answered_is_asked_again(killed, camera.taken_at, resumed)
        asked.assert_sums_agree(resumed)
        assert books.answers(resumed) == books.answers(killed)
