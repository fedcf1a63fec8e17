"""Many starts at the same moment, in processes of their own."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import polars as pl

from tests.cli.jobs import write_job
from tests.cli.processes import batchroute_anew, environment, started
from tests.cli.receivers import HANG, always, receiving
from tests.cli.test_signals import hanging_job

STARTS = 50
# Imports take most of a start: here one process has done them, and the starts are forks of it, released together.
FORKS = f"""
import json, os, sys, time
from batchroute.cli import main
import batchroute.api, batchroute.cli.run, batchroute.cli.display, batchroute.providers.redaction

gate, opened = os.pipe()
results, told = os.pipe()
for _ in range({STARTS}):
    if os.fork() == 0:
        os.close(opened)
        os.read(gate, 1)
        began = time.monotonic()
        try:
            main.batchroute(["run", sys.argv[1], "--quiet"], prog_name="batchroute")
            code = 0
        except SystemExit as end:
            code = end.code
        os.write(told, (json.dumps([code, time.monotonic() - began]) + "\\n").encode())
        os._exit(0)
os.close(opened)
os.close(told)
with os.fdopen(results) as lines:
    print(lines.read())
"""


def test_of_many_starts_at_once_one_runs_and_the_others_say_so(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=300, latency="200ms", concurrency=16)
    ran = subprocess.run(
        [sys.executable, "-c", FORKS, str(job)],
        capture_output=True, text=True, timeout=60, check=True, env=environment(),
    )  # fmt: skip
    ends = [json.loads(line) for line in ran.stdout.split("\n") if line]
    assert sorted(code for code, _ in ends) == [0] + [75] * (STARTS - 1)
    assert ran.stderr.count("is held by another run") == STARTS - 1
    ledger = pl.read_parquet(tmp_path / "out/ledger/part-*.parquet")
    assert ledger.height == 300
    assert ledger["run_id"].n_unique() == 1


def test_a_start_that_is_refused_takes_less_than_a_second(tmp_path: Path) -> None:
    with receiving(always(HANG)) as receiver:
        job = hanging_job(tmp_path, receiver.url)
        holder = started("run", job, "--quiet")
        assert receiver.arrived.wait(30)
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        refused = batchroute_anew("run", job)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        holder.kill()
        holder.communicate()

    assert refused.returncode == 75
    # Time of the processor, which does not grow when others are busy too: 0.4 s, 1.6 s with all imports of a run.
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < 1


def test_a_lock_that_a_killed_run_has_left_blocks_nobody(tmp_path: Path) -> None:
    with receiving(always(HANG)) as receiver:
        job = hanging_job(tmp_path, receiver.url)
        killed = started("run", job, "--quiet")
        assert receiver.arrived.wait(30)
        killed.kill()
        killed.communicate()
        assert (tmp_path / "out/.lock").exists()
        receiver.arrived.clear()
        next_one = started("run", job, "--quiet")
        assert receiver.arrived.wait(30)
        next_one.kill()
        next_one.communicate()
    assert (
        tmp_path / "out/.lock"
    ).stat().st_size == 0  # it holds no number of a process that may be another's
