"""The options and the standing of incremental runs, in the real command."""

import re
from pathlib import Path

import pytest

from batchroute.api import run
from batchroute.report.standing import read_standing
from tests.builders import records, write_records
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute, summary


def test_stale_records_are_told_by_run_and_status_and_refreshed(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=4)
    run(job)
    write_records(tmp_path / "in.jsonl", [*records(3), {"id": "r3", "text": "another question"}])

    told = batchroute("run", job, "--json")
    assert summary(told)["records"]["stale"] == 1
    assert "1 finished record(s) are stale" in told.stderr
    assert (
        "standing: 3 up to date, 1 stale, 0 failed, 0 pending"
        in batchroute("status", tmp_path / "out").stdout
    )
    refreshed = summary(batchroute("run", job, "--refresh", "changed", "--json"))
    assert (refreshed["attempts"], refreshed["records"]["stale"]) == (1, 0)
    standing = read_standing(tmp_path / "out")
    assert (standing.up_to_date, standing.stale) == (4, 0)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--refresh", "failed", "--no-retry-failed"], "contradict each other"),
        (["--refresh", "all"], "is not one of"),
        (["--only", "route=nowhere"], "there is no such route, only default"),
        (["--only", "small"], "must be route=NAME"),
        (["--since", "yesterday"], "Write 2026-11-20"),
    ],
)
def test_what_cannot_be_meant_is_a_usage_error_before_anything_is_written(
    tmp_path: Path, options: list[str], said: str
) -> None:
    ran = batchroute("run", write_job(tmp_path, count=1), *options)
    assert ran.returncode == 2
    assert said in re.sub(r"\s+", " ", ran.stderr)
    assert not list((tmp_path / "out").glob("state.db"))
