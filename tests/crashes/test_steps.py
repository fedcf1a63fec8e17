"""Runs that end, or whose disk fails, at every single step that Python, SQLite and polars take on the disk."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.cli.jobs import write_job
from tests.cli.processes import batchroute_anew
from tests.crashes.disks import Probe, built, probing
from tests.crashes.probe import ENDED, EXIT, EXITED, FAIL_ON, FAIL_ONCE, REFUSED, TEAR

TIMES = int(os.environ.get("KILLS", "1"))
pytestmark = pytest.mark.timeout(300 * TIMES)

FAILURES = (
    (FAIL_ONCE, errno.EIO),
    (FAIL_ON, errno.ENOSPC),
    (FAIL_ON, errno.EROFS),
    (FAIL_ONCE, errno.EFBIG),
    (FAIL_ON, errno.EDQUOT),
    (FAIL_ON, errno.EIO),
)
LONGEST_S = 5.0


def tried(steps: list[str]) -> list[tuple[int, str]]:
    """The steps by number: unless time is no matter every third one, and of many that are alike the first and the last."""
    around = zip(["", *steps], [*steps[1:], ""], strict=False)
    numbered = zip(enumerate(steps, 1), around, strict=True)
    if TIMES > 1:
        return list(enumerate(steps, 1))
    return [(number, step) for (number, step), alike in numbered if alike != (step, step)][::3]


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    with probing(tmp_path_factory.mktemp("disk")) as probe:
        yield probe


@pytest.fixture(scope="module")
def steps(probe: Probe) -> list[str]:
    return probe.steps()


def test_the_steps_are_those_that_durability_rests_on(steps: list[str]) -> None:
    """Each part: written, synced, named, its folder synced; then the manifest; then the journal is pruned."""
    order = [
        "write .tmp/part-00001.parquet",
        "sync .tmp/part-00001.parquet",
        "rename results/part-00001.parquet",
        "sync results",
        "rename ledger/part-00001.parquet",
        "sync ledger",
        "write .tmp/manifest.json",
        "sync .tmp/manifest.json",
        "rename manifest.json",
        "sync ",
        "write state.db-wal",
    ]
    left = iter(steps[steps.index("write .tmp/part-00001.parquet") :])
    assert all(step in left for step in order)
    committed = steps.index("write state.db-wal", steps.index("rename manifest.json"))
    assert "sync state.db-wal" in steps[committed : steps.index("write .tmp/part-00001.parquet")]


def test_a_run_that_ends_at_any_step_goes_on_without_a_loss(probe: Probe, steps: list[str]) -> None:
    """Half a write is done, and every other step; then the process is gone."""
    for number, step in tried(steps):
        report = probe.tried((TEAR, number, 0))
        assert (report.exits, report.wrong) == ([EXITED, ENDED], None), f"step {number}: {step}"


@pytest.mark.skipif(TIMES == 1, reason="the same but for half a write; KILLS=20 tries it, too")
def test_a_run_that_ends_before_any_step_goes_on_without_a_loss(probe: Probe, steps: list[str]) -> None:
    for number, step in tried(steps):
        report = probe.tried((EXIT, number, 0))
        assert (report.exits, report.wrong) == ([EXITED, ENDED], None), f"step {number}: {step}"


@pytest.mark.parametrize("shift", range(len(FAILURES) if TIMES > 1 else 1))
def test_a_disk_that_fails_at_any_step_ends_the_run_within_5_s_and_keeps_what_was_committed(
    probe: Probe, steps: list[str], shift: int
) -> None:
    """One record's answer takes 25 s: nobody waits for it. What can be done without a step may as well succeed.

    By default every other step fails in one of the ways; KILLS=20 has every step fail in all of them.
    """
    for number, step in tried(steps)[:: 1 if TIMES > 1 else 2]:
        mode, error = FAILURES[(number + shift) % len(FAILURES)]
        report = probe.tried((mode, number, error))
        where = f"step {number}: {step}, {errno.errorcode[error]}"
        assert report.exits[0] in {ENDED, REFUSED}, where
        assert (report.exits[1:], report.wrong) == ([ENDED], None), where
        assert report.exits[0] == ENDED or (report.lingered_s[0] or 0) <= LONGEST_S, where


def test_a_recovery_that_ends_at_a_random_step_again_and_again_loses_nothing(
    probe: Probe, steps: list[str]
) -> None:
    chance = Random(7)
    for _ in range(12 * TIMES):
        faults = [
            (chance.choice([TEAR, EXIT]), chance.randint(1, len(steps)), 0),
            *((chance.choice([TEAR, EXIT]), chance.randint(1, len(steps) // 2), 0) for _ in range(2)),
        ]
        report = probe.tried(*faults)
        assert report.wrong is None, faults
        assert set(report.exits[:3]) <= {EXITED, ENDED}, faults
        assert report.exits[3:] == [ENDED], faults


@pytest.mark.parametrize("step", [30, 44])
def test_the_command_exits_with_74_while_answers_are_still_out(tmp_path: Path, step: int) -> None:
    """In the real command, with answers that take longer than the test waits for it."""
    job = write_job(tmp_path, count=50, latency="40s", concurrency=8)
    ran = batchroute_anew(
        "run",
        job,
        timeout_s=30,
        LD_PRELOAD=str(built(tmp_path)),
        FAULTY_DISK=f"{FAIL_ON} {step} {errno.ENOSPC} {tmp_path / 'out'}",
    )
    assert ran.returncode == 74, ran.stderr
    assert "Free space" in ran.stderr
    assert "Traceback" not in ran.stderr
