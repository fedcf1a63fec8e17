"""Refreshes that end, or whose disk fails, at every single step; a reader looks at what each has left."""

import errno
import os
from collections.abc import Iterator
from random import Random

import pytest

from tests.crashes.disks import Probe, probing
from tests.crashes.probe import ENDED, EXIT, EXITED, FAIL_ON, FAIL_ONCE, REFUSED, TEAR
from tests.crashes.test_steps import tried

TIMES = int(os.environ.get("KILLS", "1"))
pytestmark = pytest.mark.timeout(300 * TIMES)

FAILURES = ((FAIL_ONCE, errno.EIO), (FAIL_ON, errno.ENOSPC))
SAMPLED = 1 if TIMES > 1 else 8


@pytest.fixture(scope="module")
def probe(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Probe]:
    with probing(tmp_path_factory.mktemp("disk")) as probe:
        yield probe


@pytest.fixture(scope="module")
def steps(probe: Probe) -> list[str]:
    return probe.steps(refreshing=True)


def around_replacements(steps: list[str]) -> list[tuple[int, str]]:
    """From the draft of a replacement to the end of its export; by default those alone that others can see, or nearly."""
    first = steps.index("write .tmp/part-00001.parquet")
    last = len(steps) - steps[::-1].index("rename results/part-00001.parquet")
    seen = ("rename", "sync results", "write state", "write .tmp/manifest") if TIMES == 1 else ("",)
    return [
        (number, step)
        for number, step in tried(steps)
        if first <= number <= last + 20 and step.startswith(seen)
    ]


def test_a_replacement_is_listed_before_it_takes_its_place(steps: list[str]) -> None:
    order = [
        "sync .tmp/part-00001.parquet",
        "rename manifest.json",
        "rename results/part-00001.parquet",
        "sync results",
        "write state.db-wal",
        "rename manifest.json",
    ]
    left = iter(steps)
    assert all(step in left for step in order)


def test_a_refresh_that_ends_at_any_step_never_shows_a_record_twice_or_not_at_all(
    probe: Probe, steps: list[str]
) -> None:
    for number, step in tried(steps) if TIMES > 1 else around_replacements(steps):
        report = probe.tried((TEAR, number, 0), refreshing=True)
        assert (report.exits, report.wrong) == ([EXITED, ENDED], None), f"step {number}: {step}"


def test_a_disk_that_fails_at_any_step_of_a_refresh_loses_no_answer(probe: Probe, steps: list[str]) -> None:
    for number, step in tried(steps)[::SAMPLED]:
        mode, error = FAILURES[number % len(FAILURES)]
        report = probe.tried((mode, number, error), refreshing=True)
        where = f"step {number}: {step}, {errno.errorcode[error]}"
        assert report.exits[0] in {ENDED, REFUSED}, where
        assert (report.exits[1:], report.wrong) == ([ENDED], None), where


def test_a_refresh_that_ends_once_a_part_is_replaced_and_again_while_it_is_resumed_ends_well(
    probe: Probe, steps: list[str]
) -> None:
    replaced = len(steps) - steps[::-1].index("rename results/part-00001.parquet")
    for number in range(
        18, 48, 1 if TIMES > 1 else 3
    ):  # from opening the output to what follows the replacement
        report = probe.tried((EXIT, replaced + 1, 0), (TEAR, number, 0), refreshing=True)
        assert (report.exits, report.wrong) == ([EXITED, EXITED, ENDED], None), number


def test_a_refresh_that_ends_again_and_again_ends_well(probe: Probe, steps: list[str]) -> None:
    chance = Random(7)
    for _ in range(5 * TIMES):
        faults = [(chance.choice([TEAR, EXIT]), chance.randint(1, len(steps)), 0) for _ in range(3)]
        report = probe.tried(*faults, refreshing=True)
        assert report.wrong is None, faults
        assert report.exits[3:] == [ENDED], faults
