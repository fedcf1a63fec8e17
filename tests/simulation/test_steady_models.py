"""Routes with one model that answers everybody: whatever the others do, nobody goes without an answer."""

from tests.laws import books
from tests.laws.legs import travel
from tests.simulation.histories import folder_of, steady_world_of
from tests.simulation.seeds import each

FIRST_SEED = 10_000
SEEDS = 550


def live(seed: int) -> None:
    world = steady_world_of(seed)
    with folder_of(world, "run") as [folder]:
        leg = travel(world, folder, world.scripts())

        books.assert_lawful(world, leg)
        answered = set(leg.results.filter(status="succeeded")["record_id"])
        assert {f"r{number}" for number in world.sendable()} == answered
        assert leg.ended is not None
        assert leg.ended.exit_code == (3 if world.odd else 0)


def test_whom_one_model_would_answer_is_answered(seeds: range) -> None:
    each(seeds, live)
