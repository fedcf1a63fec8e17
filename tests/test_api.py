import asyncio
import gc
import os
import signal
from pathlib import Path

import polars as pl
import pytest

import batchroute
from batchroute.core.errors import OutputError
from batchroute.engine.tally import Progress
from batchroute.io.locks import is_locked
from tests.cli.jobs import write_job
from tests.renames import renames_told_to


def test_a_job_runs_from_python_and_its_output_is_scanned(tmp_path: Path) -> None:
    before = gc.get_threshold()
    summary = batchroute.run(write_job(tmp_path, count=20), overrides=["models.small.limits.concurrency=4"])

    assert (summary.exit_code, summary.records.succeeded, summary.attempts) == (0, 20, 20)
    ledger = batchroute.scan_ledger(tmp_path / "out")
    assert ledger.select(pl.col("cost_usd").sum()).collect().item() == summary.cost_usd
    assert batchroute.scan_results(tmp_path / "out").collect().height == 20
    assert batchroute.scan_routes(str(tmp_path / "out")).collect()["records"].sum() == 20
    assert gc.get_threshold() == before


def test_what_is_asked_of_it_may_be_written_as_on_the_command_line(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=5)
    with pytest.raises(ValueError, match="at least 1"):
        batchroute.run(job, limit=-5)
    with pytest.raises(ValueError, match="Write 2026-11-20"):
        batchroute.run(job, since="once")

    assert batchroute.run(job, since="24h", only="route=default").records.succeeded == 5


def test_profile_is_chosen_for_a_file_and_for_a_loaded_job_alike(tmp_path: Path) -> None:
    profiles = {"budget": ["small"], "balanced": ["small", "large"], "quality": ["large"]}
    path = write_job(tmp_path, count=3, routes={"default": {"models": profiles}})
    job = batchroute.load_job(path)
    with pytest.raises(ValueError, match="one of budget, balanced, quality, got 'best'"):
        batchroute.run(job, profile="best")  # type: ignore[arg-type]  # what a type checker would have refused

    answered = [batchroute.run(asked, profile="quality", fresh=True).routes[0].model for asked in (path, job)]
    assert answered == ["large", "large"]
    assert batchroute.run(job, fresh=True).routes[0].model == "small"
    plain = batchroute.load_job(write_job(tmp_path, count=3))
    with pytest.raises(ValueError, match="no route of test has profiles"):
        batchroute.run(plain, profile="quality")


@pytest.mark.parametrize("frozen", [False, True])
def test_what_its_caller_has_frozen_stays_frozen(tmp_path: Path, *, frozen: bool) -> None:
    gc.unfreeze()
    if frozen:
        gc.freeze()
    try:
        batchroute.run(write_job(tmp_path, count=1))

        assert (gc.get_freeze_count() > 0) is frozen
    finally:
        gc.freeze()  # as tests/conftest.py has left it


def test_it_runs_where_an_event_loop_is_running_as_in_a_notebook(tmp_path: Path) -> None:
    async def cell() -> int:
        return batchroute.run(write_job(tmp_path, count=5)).records.succeeded

    assert asyncio.run(cell()) == 5


def test_an_interrupt_in_a_notebook_ends_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    """It was heard when the run had ended by itself; a second one left the run alone in its thread."""
    slow, quick = (
        batchroute.load_job(write_job(tmp_path, count=200, latency=latency)) for latency in ("9s", "1ms")
    )

    presses = [signal.SIGINT]

    def press(progress: Progress) -> None:
        if presses and progress.in_motion:
            os.kill(os.getpid(), presses.pop())

    async def cell() -> None:
        with pytest.raises(KeyboardInterrupt):
            batchroute.run(slow, watch=press)

    loop = asyncio.new_event_loop()  # asyncio.run has a handler of its own, which a notebook has not
    loop.run_until_complete(cell())
    loop.close()
    assert not is_locked(tmp_path / "out")
    assert batchroute.run(quick).records.succeeded == 200


def test_a_signal_within_asyncio_run_stops_the_run_as_anywhere_else(tmp_path: Path) -> None:
    """asyncio.run cancelled its task, which was waiting for the run: nobody was told."""
    job = batchroute.load_job(write_job(tmp_path, count=200, latency="300ms", concurrency=4))
    presses = [signal.SIGINT]

    def press(progress: Progress) -> None:
        if presses and progress.in_motion:
            os.kill(os.getpid(), presses.pop())

    async def mine() -> tuple[int, int]:
        before = signal.getsignal(signal.SIGINT)
        summary = batchroute.run(job, watch=press)
        assert signal.getsignal(signal.SIGINT) is before
        await asyncio.sleep(0)  # the caller's own task goes on
        return summary.exit_code, summary.records.succeeded

    exit_code, succeeded = asyncio.run(mine())
    assert exit_code == 130
    assert 0 < succeeded < 200  # what was in flight has come back


def test_the_output_is_held_until_its_last_file_is_written(tmp_path: Path) -> None:
    """routes.parquet came after the lock had been freed: another run could meanwhile have taken its parts away."""
    job, held = write_job(tmp_path, count=5), {}

    def look(name: Path) -> None:
        held[name.name] = is_locked(tmp_path / "out")

    with renames_told_to(look):
        batchroute.run(job)
    assert held["routes.parquet"]
    assert set(held.values()) == {True}
    assert not is_locked(tmp_path / "out")


def test_parts_that_kept_other_columns_are_scanned_together(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=4)
    batchroute.run(job, limit=2)
    batchroute.run(job, overrides=["output.keep=[text]"])
    texts = batchroute.scan_results(tmp_path / "out").sort("record_id").collect()["text"].to_list()
    assert texts == [None, None, "question 2", "question 3"]


def test_a_directory_without_a_run_is_no_frame(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no run has ended"):
        batchroute.scan_routes(tmp_path)
    with pytest.raises(OutputError, match="no run has begun"):
        batchroute.scan_results(tmp_path)
