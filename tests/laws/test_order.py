"""In which order the models of a route are tried, when nothing but the records is at fault."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchroute.core.responses import ErrorType
from batchroute.routing.verdicts import POLICIES
from tests.laws.laws import MEMORY, SCALE, examples
from tests.laws.legs import travel
from tests.laws.worlds import MOST_BLOCKS, REFUSED, STAYS_WITH_THE_RECORD, Model, World, settled_worlds

pytestmark = pytest.mark.timeout(180 * SCALE)

MOST_TRIES = 5


def expected_attempts(world: World, number: int) -> Iterator[tuple[str, str]]:
    """Model and verdict of each attempt: the models in route order, an odd answer once more on the same model."""
    route = world.route_of(number)
    tries = blocks = 0
    for model in route:
        kind = world.models[model].refused.get(number)
        if kind is None:
            yield model, "accept"
            return
        for left in range(POLICIES[kind].retries, -1, -1):
            tries += 1
            blocks += kind is ErrorType.CONTENT_BLOCKED
            over = (
                tries == MOST_TRIES
                or blocks == MOST_BLOCKS
                or kind in STAYS_WITH_THE_RECORD
                or (left == 0 and model == route[-1])
            )
            yield model, "dead_letter" if over else "retry" if left else _onward(kind)
            if over:
                return


def _onward(kind: ErrorType) -> str:
    return "escalate" if POLICIES[kind].refused else "failover"


@st.composite
def picky_worlds(draw: st.DrawFn) -> World:
    """Healthy models without limits, each of which refuses some records; routes that take every answer, and have no other."""
    world = draw(settled_worlds())
    refused = st.dictionaries(st.integers(0, world.count - 1), st.sampled_from(PICKY), max_size=20)
    models = {
        name: replace(model, rpm=None, spells=(), hiccups={}, poor=frozenset(), refused=draw(refused))
        for name, model in world.models.items()
    }
    return replace(world, models=models, keep_best=False, last_resort=False)


PICKY = tuple(kind for kind in REFUSED if POLICIES[kind].effect == "none")


THRICE_BLOCKED = Model(refused={0: ErrorType.CONTENT_BLOCKED})


@examples(40)
@example(World(count=1, models=dict.fromkeys("abc", THRICE_BLOCKED), routes=(("a", "b", "c"),)))
@given(picky_worlds())
def test_models_are_tried_in_route_order_and_nothing_follows_an_end(world: World) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        world.write(Path(name))
        leg = travel(world, Path(name), world.scripts())
        found: dict[str, list[tuple[str, str]]] = {}
        for record_id, model, verdict in (
            leg.ledger.sort("record_id", "attempt").select("record_id", "model", "verdict").iter_rows()
        ):
            found.setdefault(record_id, []).append((model, verdict))

        assert found == {f"r{number}": list(expected_attempts(world, number)) for number in world.sendable()}
