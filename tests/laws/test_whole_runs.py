"""Runs that are left alone."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given

from batchroute.core.responses import ErrorType
from batchroute.engine.pipeline import Options
from tests.laws import books
from tests.laws.laws import MEMORY, SCALE, examples
from tests.laws.legs import travel
from tests.laws.worlds import Model, Mood, Spell, World, number_of, worlds

pytestmark = pytest.mark.timeout(180 * SCALE)


DOWN = Mood(ErrorType.SERVER_ERROR)
LIMITED = Mood(ErrorType.RATE_LIMITED, retry_after_s=10.0)
REFUSED = Mood(ErrorType.AUTH_REJECTED)
PAID_IN_VAIN = Mood(ErrorType.EMPTY_ANSWER)


@examples(80)
@example(World(count=4, part_records=3))  # ends while a part is written
@example(
    World(count=30, models={"a": Model(spells=(Spell(0, 20, DOWN), Spell(20, 20, LIMITED)))})
)  # limited probe
@example(
    World(count=1, models={"a": Model(hiccups={0: (PAID_IN_VAIN, REFUSED)})})
)  # has cost, and is pending
@given(worlds())
def test_a_run_obeys_every_law(world: World) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        world.write(folder)
        leg = travel(world, folder, world.scripts())

        books.assert_lawful(world, leg)
        assert leg.ended is not None
        assert (leg.ended.pending > 0) == (leg.ended.exit_code in {4, 5})


@examples(30)
@given(worlds())
def test_a_second_run_sends_nothing_that_was_answered_and_changes_no_byte_of_it(world: World) -> None:
    with tempfile.TemporaryDirectory(dir=MEMORY) as name:
        folder = Path(name)
        world.write(folder)
        scripts = world.scripts()
        first = travel(world, folder, scripts)
        before = books.parts_of(folder)
        assert first.ended is not None
        pending = first.ended.pending

        again = travel(world, folder, scripts, leg=1, options=Options(retry_failed=False))
        if not pending:
            assert again.provider.log == []
            assert books.parts_of(folder) == before
        answered = set(first.results.filter(status="succeeded")["record_id"])
        sent = {f"r{number_of(one.request)}" for one in again.provider.log}
        assert not answered & sent
        written = books.parts_of(folder)
        lasting = {name for name in before if not name.endswith("part-failed.parquet")}
        assert all(written[name] == before[name] for name in lasting)
