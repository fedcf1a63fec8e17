"""A seed is a history: lived through again, also by another process, nothing in it is different."""

import os
import subprocess
import sys
from collections.abc import Callable

import pytest

from tests.laws.legs import travel
from tests.laws.worlds import World
from tests.simulation.histories import fingerprint, folder_of, steady_world_of, stops_of, world_of

SEEDS = range(40_000, 40_006)
ASK = "from tests.simulation.test_replay import lived, world_of; print(*[lived(world_of, s) for s in ({},)])"


def lived(world_of_seed: Callable[[int], World], seed: int) -> str:
    """The fingerprint of a run that is stopped and goes on."""
    world = world_of_seed(seed)
    with folder_of(world, "run") as [folder]:
        scripts = world.scripts()
        stops = [stops_of(seed)[0], None]
        return fingerprint(
            [travel(world, folder, scripts, leg=leg, stop=stop) for leg, stop in enumerate(stops)]
        )


@pytest.mark.parametrize("draw", [world_of, steady_world_of])
def test_the_same_seed_gives_the_same_events(draw: Callable[[int], World]) -> None:
    first = [lived(draw, seed) for seed in SEEDS]
    assert [lived(draw, seed) for seed in SEEDS] == first
    assert len(set(first)) == len(SEEDS)


def test_another_process_lives_through_the_same() -> None:
    """Sets of words have another order there."""
    here = [lived(world_of, seed) for seed in SEEDS]
    for hash_seed in ("1", "2"):
        asked = ASK.format(",".join(map(str, SEEDS)))
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = subprocess.run(
            [sys.executable, "-c", asked], env=environment, capture_output=True, text=True, check=True
        )
        assert told.stdout.split() == here
