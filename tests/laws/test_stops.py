"""Runs that are stopped, and resumed with the same command."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.laws import books
from tests.laws.laws import MEMORY, SCALE, examples
from tests.laws.legs import Leg, Stop, travel
from tests.laws.worlds import World, settled_worlds

pytestmark = pytest.mark.timeout(180 * SCALE)

STOPS = st.builds(
    Stop,
    st.sampled_from([0.0, 0.01, 0.1, 0.35, 1.0, 2.5, 10.0, 36.0]),
    st.sampled_from(["signal", "signals", "cancel"]),
)


@examples(50)
@example(
    World(count=2, odd={1: "broken"}), [Stop(0.0, "signal"), Stop(0.0, "cancel")]
)  # no part yet, once more
@given(settled_worlds(), st.lists(STOPS, min_size=1, max_size=3))
def test_a_run_that_was_stopped_and_resumed_ends_as_one_that_was_not(world: World, stops: list[Stop]) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        whole, broken = Path(name) / "whole", Path(name) / "broken"
        world.write(whole)
        world.write(broken)
        expected = travel(world, whole, world.scripts())
        scripts, legs = world.scripts(), list[Leg]()
        for number, stop in enumerate([*stops, None]):
            legs.append(travel(world, broken, scripts, leg=number, stop=stop))
            books.assert_lawful_so_far(world, legs)

        last = legs[-1]
        assert last.ended is not None
        assert last.ended.pending == 0
        books.assert_conserved(world, last, whole=True)
        assert books.answers(last) == books.answers(expected)


@examples(30)
@given(settled_worlds(), STOPS)
def test_a_stopped_run_lets_what_is_in_flight_finish_within_the_grace(world: World, stop: Stop) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        world.write(folder)
        leg = travel(world, folder, world.scripts(), stop=stop)

        late = [sent for sent in leg.provider.log if sent.at > stop.at + 0.7]
        if leg.ended is None or leg.ended.exit_code == 143:
            assert not late
        if leg.ended is not None and leg.ended.exit_code == 143:
            assert leg.ended.duration_s <= stop.at + 30.5
            cancelled = leg.ledger.filter(pl.col("error_type") == "cancelled_by_run")
            assert (
                stop.how == "signals"
                or all(sent.at < stop.at for sent in leg.provider.log)
                or cancelled.is_empty()
            )
