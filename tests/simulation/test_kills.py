"""Runs that are killed at any moment, twice in a row, and go on."""

from tests.laws import books
from tests.laws.legs import Camera, travel
from tests.simulation.histories import folder_of, moment_of, world_of
from tests.simulation.seeds import each

FIRST_SEED = 20_000
SEEDS = 325


def live(seed: int) -> None:
    world = world_of(seed)
    with folder_of(world, "run", "image", "second") as [folder, image, second]:
        scripts = world.scripts()
        camera = Camera(folder / "out", image / "out", moment_of(seed))
        killed = travel(world, folder, scripts, camera=camera)
        if camera.taken_at is None:
            return  # it had ended by then
        again = Camera(image / "out", second / "out", moment_of(-seed))
        resumed = travel(world, image, scripts, leg=1, camera=again)

        books.assert_nothing_lost(world, resumed)
        books.assert_only_what_was_in_flight_is_paid_again(killed, camera.taken_at, resumed)
        books.assert_every_request_is_entered([], killed, camera.taken_at, resumed)
        if again.taken_at is not None:
            last = travel(world, second, scripts, leg=2)
            books.assert_nothing_lost(world, last)
            books.assert_only_what_was_in_flight_is_paid_again(resumed, again.taken_at, last)


def test_a_killed_run_goes_on_from_what_it_has_left(seeds: range) -> None:
    each(seeds, live)
