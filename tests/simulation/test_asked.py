"""Runs in every weather in which models are asked for labels and judgements, too, within a budget."""

from tests.laws import asking
from tests.laws.legs import travel
from tests.simulation.histories import asking_world_of, folder_of
from tests.simulation.seeds import each

FIRST_SEED = 60_000
SEEDS = 25


def live(seed: int) -> None:
    world = asking_world_of(seed)
    with folder_of(world, "run") as [folder]:
        asking.assert_lawful(world, travel(world, folder, world.scripts()))


def test_a_run_that_asks_for_labels_and_judgements_obeys_every_law(seeds: range) -> None:
    each(seeds, live)
