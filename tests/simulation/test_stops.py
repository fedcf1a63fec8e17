"""Runs that are stopped again and again, by signals or by who awaits them, and go on."""

from tests.laws import books
from tests.laws.legs import Leg, travel
from tests.simulation.histories import folder_of, stops_of, world_of
from tests.simulation.seeds import each

FIRST_SEED = 30_000
SEEDS = 325


def live(seed: int) -> None:
    world = world_of(seed)
    with folder_of(world, "run") as [folder]:
        scripts, legs = world.scripts(), list[Leg]()
        for number, stop in enumerate([*stops_of(seed), None]):
            legs.append(travel(world, folder, scripts, leg=number, stop=stop))
            books.assert_lawful_so_far(world, legs)

        assert legs[-1].ended is not None
        books.assert_conserved(world, legs[-1], whole=legs[-1].ended.pending == 0)


def test_a_stopped_run_goes_on(seeds: range) -> None:
    each(seeds, live)
