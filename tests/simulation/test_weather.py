"""Runs that are left alone, in every weather: faults, outages, rate limits, crowds, lines that are down."""

from tests.laws import books
from tests.laws.legs import travel
from tests.simulation.histories import folder_of, world_of
from tests.simulation.seeds import each

FIRST_SEED = 0
SEEDS = 800


def live(seed: int) -> None:
    world = world_of(seed)
    with folder_of(world, "run") as [folder]:
        leg = travel(world, folder, world.scripts())

        books.assert_lawful(world, leg)
        assert leg.ended is not None
        assert (leg.ended.pending > 0) == (leg.ended.exit_code in {4, 5})
        assert leg.ended.exit_code != 4


def test_a_run_obeys_every_law(seeds: range) -> None:
    each(seeds, live)
