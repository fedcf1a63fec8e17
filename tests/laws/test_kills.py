"""Runs that are killed: what a copy of the output directory, taken at any moment, is good for."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.report.scans import scan_own_results
from tests.laws import books
from tests.laws.laws import MEMORY, SCALE, examples
from tests.laws.legs import Camera, Stop, travel
from tests.laws.worlds import World, settled_worlds

pytestmark = pytest.mark.timeout(180 * SCALE)

EARLIER = st.none() | st.builds(
    Stop, st.sampled_from([0.1, 1.0, 36.0]), st.sampled_from(["signals", "cancel"])
)


@examples(60)
@given(settled_worlds(), EARLIER, st.integers(1, 100))
def test_a_run_killed_at_any_moment_goes_on_from_what_it_has_left(
    world: World, earlier: Stop | None, moment: int
) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder, image = Path(name) / "run", Path(name) / "image"
        world.write(folder)
        world.write(image)
        camera = Camera(folder / "out", image / "out", moment)
        scripts = world.scripts()
        legs = [] if earlier is None else [travel(world, folder, scripts, stop=earlier)]
        killed = travel(world, folder, scripts, leg=1, camera=camera)
        if camera.taken_at is None:
            return
        at_once = scan_own_results(
            image / "out"
        ).collect()  # killed before its first file, it is no output yet
        resumed = travel(world, image, scripts, leg=2)

        assert at_once["record_id"].n_unique() == at_once.height
        books.assert_nothing_lost(world, resumed)
        assert resumed.ended is not None
        assert resumed.ended.pending == 0
        books.assert_only_what_was_in_flight_is_paid_again(killed, camera.taken_at, resumed)
        books.assert_every_request_is_entered(legs, killed, camera.taken_at, resumed)
        assert books.answers(resumed) == books.answers(killed)
