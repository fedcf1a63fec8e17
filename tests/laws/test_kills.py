"""Runs that are killed: what a copy of the output directory, taken at any moment, is good for."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.report.scans import scan_results
from tests.fakes import EPOCH
from tests.laws import books
from tests.laws.laws import SCALE, examples
from tests.laws.legs import Camera, Leg, Stop, travel
from tests.laws.worlds import World, number_of, settled_worlds

pytestmark = pytest.mark.timeout(180 * SCALE)

EARLIER = st.none() | st.builds(
    Stop, st.sampled_from([0.1, 1.0, 36.0]), st.sampled_from(["signals", "cancel"])
)


def assert_nothing_lost(world: World, resumed: Leg) -> None:
    """The run that goes on from the image ends with books that balance."""
    assert resumed.ended is not None
    assert resumed.ended.pending == 0
    books.assert_conserved(world, resumed, whole=True)
    books.assert_ended_adds_up(world, resumed)
    books.assert_bounds_kept(world, resumed)
    books.assert_attempts_numbered(resumed)
    books.assert_totals_agree(resumed)
    books.assert_money_agrees(resumed)


def assert_only_what_was_in_flight_is_paid_again(killed: Leg, taken_at: float, resumed: Leg) -> None:
    """What was answered before the kill is not asked again; what was out is entered as unknown, and no more."""
    assert killed.ended is not None
    ends = pl.col("started_at").dt.epoch("us") / 1e6 - EPOCH + pl.col("latency_s")
    answered = killed.ledger.filter(pl.col("verdict") == "accept", run_id=killed.ended.run_id)
    answered = answered.filter(ends < taken_at - 1e-5)
    again = {f"r{number_of(sent.request)}" for sent in resumed.provider.log}
    assert not again & set(answered["record_id"])

    unknown = resumed.ledger.filter(error_type="unknown_outcome", run_id=killed.ended.run_id)
    out = killed.ledger.filter(run_id=killed.ended.run_id).filter(
        pl.col("started_at").dt.epoch("us") / 1e6 - EPOCH <= taken_at + 1e-5, ends >= taken_at - 1e-5
    )
    assert set(unknown.select("record_id", "attempt").iter_rows()) <= set(
        out.select("record_id", "attempt").iter_rows()
    )


def assert_every_request_is_entered(legs: Sequence[Leg], killed: Leg, taken_at: float, resumed: Leg) -> None:
    sent = sum(len(leg.provider.log) for leg in (*legs, resumed))
    sent += sum(sent.at < taken_at for sent in killed.provider.log)
    assert resumed.ledger.height >= sent


@examples(60)
@given(settled_worlds(), EARLIER, st.integers(1, 100))
def test_a_run_killed_at_any_moment_goes_on_from_what_it_has_left(
    world: World, earlier: Stop | None, moment: int
) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, image = Path(name) / "run", Path(name) / "image"
        world.write(folder)
        world.write(image)
        camera = Camera(folder / "out", image / "out", moment)
        scripts = world.scripts()
        legs = [] if earlier is None else [travel(world, folder, scripts, stop=earlier)]
        killed = travel(world, folder, scripts, leg=1, camera=camera)
        if camera.taken_at is None:
            return
        at_once = scan_results(image / "out").collect()
        resumed = travel(world, image, scripts, leg=2)

        assert at_once["record_id"].n_unique() == at_once.height
        assert_nothing_lost(world, resumed)
        assert_only_what_was_in_flight_is_paid_again(killed, camera.taken_at, resumed)
        assert_every_request_is_entered(legs, killed, camera.taken_at, resumed)
        assert books.answers(resumed) == books.answers(killed)
