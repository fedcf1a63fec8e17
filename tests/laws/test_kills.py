"""Runs that are killed: what a copy of the output directory, taken at any moment, is good for."""

import tempfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.report.scans import scan_results
from tests.laws import books
from tests.laws.laws import SCALE, examples
from tests.laws.legs import Camera, Leg, travel
from tests.laws.worlds import World, number_of, settled_worlds

pytestmark = pytest.mark.timeout(60 * SCALE)


def assert_resumed(world: World, killed: Leg, camera: Camera, resumed: Leg) -> None:
    """The run that goes on from the image loses nothing, and pays again only for what was in flight."""
    assert camera.taken_at is not None
    assert resumed.ended is not None
    assert resumed.ended.pending == 0
    books.assert_conserved(world, resumed, whole=True)
    books.assert_bounds_kept(world, resumed)
    books.assert_totals_agree(resumed)
    books.assert_money_agrees(resumed)
    before = [sent for sent in killed.provider.log if sent.at < camera.taken_at]
    numbers = resumed.ledger.group_by("record_id").agg(pl.col("attempt").sort())
    assert all(attempts == list(range(1, len(attempts) + 1)) for _, attempts in numbers.iter_rows())
    rows = resumed.ledger.height
    assert rows >= len(before) + len(resumed.provider.log)
    unknown = resumed.ledger.filter(pl.col("error_type") == "unknown_outcome")
    in_flight = sum(model.concurrency for model in world.models.values())
    assert unknown.height <= in_flight


def assert_nothing_paid_twice(world: World, killed: Leg, camera: Camera, resumed: Leg) -> None:
    """What was answered before the kill is not asked again."""
    assert camera.taken_at is not None
    answered = killed.ledger.filter(
        pl.col("verdict") == "accept",
        pl.col("started_at").dt.epoch("us") / 1e6 + pl.col("latency_s") < EPOCH + camera.taken_at - 1e-5,
    )
    again = {f"r{number_of(sent.request)}" for sent in resumed.provider.log}
    assert not again & set(answered["record_id"])


EPOCH = 1_800_000_000.0


@examples(120)
@given(settled_worlds(), st.integers(1, 80))
def test_a_run_killed_at_any_moment_goes_on_from_what_it_has_left(world: World, moment: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, other = Path(name) / "first", Path(name) / "second"
        world.write(folder)
        world.write(other)
        camera = Camera(folder / "out", other / "out", moment)
        scripts = world.scripts()
        killed = travel(world, folder, scripts, camera=camera)
        if camera.taken_at is None:
            return
        found = scan_results(other / "out").collect()
        assert found["record_id"].n_unique() == found.height
        resumed = travel(world, other, scripts, leg=1)

        assert_resumed(world, killed, camera, resumed)
        assert_nothing_paid_twice(world, killed, camera, resumed)
        kept = ["record_id", "status", "response"]
        assert set(resumed.results.select(kept).iter_rows()) == set(killed.results.select(kept).iter_rows())
