"""Signals at any moment of a real run: it ends as it should, and the same command goes on."""

import os
import random
import signal
import subprocess
import time
from pathlib import Path

import polars as pl
import psutil
import pytest

from tests.cli.jobs import write_job
from tests.cli.processes import COMMAND, batchroute, environment, started, summary
from tests.cli.receivers import HANG, always, completion, receiving

RECORDS = 400
ROUNDS = int(os.environ.get("BATCHROUTE_SIGNALS", "18"))
"""How many signals; a thousand take about half an hour."""
STOPPED = {128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM}
"""The last two: before the command has begun, a signal means what it means to every program."""


def rows(folder: Path, kind: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "out" / kind / "part-*.parquet")


def interrupted_once(job: Path, chance: random.Random) -> int:
    """Run until a signal at some moment, sometimes two, and tell how that ended."""
    process = started("run", job, "--quiet")
    try:
        process.communicate(timeout=chance.uniform(0.0, 1.6))
    except subprocess.TimeoutExpired:
        for number in chance.choice([[signal.SIGINT], [signal.SIGTERM], [signal.SIGINT, signal.SIGTERM]]):
            process.send_signal(number)
    _, told = process.communicate(timeout=40)
    if told.startswith(
        ("Could not import runpy module", "Fatal Python error: init_")
    ):  # Python was still starting
        return -signal.SIGINT
    assert "Traceback" not in told or process.returncode == -signal.SIGINT, told
    return process.returncode


@pytest.mark.timeout(60 + 3 * ROUNDS)
def test_signals_at_random_moments_lose_nothing_and_pay_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(20261121)
    job = write_job(tmp_path, count=RECORDS, latency="60ms", concurrency=4)
    codes = [interrupted_once(job, chance) for _ in range(ROUNDS)]
    last = batchroute("run", job, "--json")

    assert set(codes) <= STOPPED | {0}
    assert set(codes) & STOPPED
    assert last.returncode == 0, last.stderr
    results, ledger = rows(tmp_path, "results"), rows(tmp_path, "ledger")
    assert results["record_id"].n_unique() == results.height == RECORDS
    assert results["attempts"].sum() == ledger.height
    cancelled = ledger.filter(pl.col("error_type").is_in(["cancelled_by_run", "unknown_outcome"])).height
    assert ledger.height == RECORDS + cancelled
    assert cancelled <= 8 * ROUNDS  # what was in flight when it was cut off


def test_a_second_signal_does_not_wait_for_the_grace(tmp_path: Path) -> None:
    with receiving(always(HANG)) as receiver:
        job = hanging_job(tmp_path, receiver.url)
        process = started("run", job, "--json")
        assert process.stderr is not None
        assert receiver.arrived.wait(30)
        process.send_signal(signal.SIGTERM)
        assert "stopping" in process.stderr.readline()
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert process.returncode == 143
    assert time.monotonic() - began < 15  # 0.2 s on an idle machine; the grace would be 30


def hanging_job(folder: Path, url: str) -> Path:
    """A job whose only model never answers."""
    return write_job(
        folder,
        count=20,
        providers={"p": {"base_url": f"{url}/v1"}},
        models={"m": {"provider": "p", "timeout": "10m", "price": {"input": 1, "output": 1}}},
        routes={"default": {"models": ["m"]}},
        baseline=None,
    )


def test_a_terminal_that_goes_away_ends_nothing(tmp_path: Path) -> None:
    """Neither before the run nor in it; and what was to be printed has nowhere to go."""
    job = write_job(tmp_path, count=200, latency="20ms")
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [*COMMAND, "run", str(job)],
        stdin=subprocess.DEVNULL, stdout=writer, stderr=writer, env=environment(), start_new_session=True,
    )  # fmt: skip
    os.close(writer)
    os.close(reader)
    simulators = psutil.Process(process.pid).children
    while not any(os.getsid(child.pid) == child.pid for child in simulators()):
        assert process.poll() is None
    for _ in range(20):
        os.killpg(process.pid, signal.SIGHUP)
    assert process.wait(30) == 0
    assert rows(tmp_path, "results").height == 200


def test_stacks_are_told_on_request_and_the_run_goes_on(tmp_path: Path) -> None:
    with receiving(always(completion())) as receiver:
        job = write_job(
            tmp_path,
            count=300,
            providers={"p": {"base_url": f"{receiver.url}/v1"}},
            models={"m": {"provider": "p", "limits": {"rpm": 6000}, "price": {"input": 1, "output": 1}}},
            routes={"default": {"models": ["m"]}},
            baseline=None,
        )
        process = started("run", job, "--json")
        while not receiver.received:
            assert process.poll() is None, process.communicate()
        process.send_signal(signal.SIGUSR1)
        stdout, stderr = process.communicate(timeout=60)

    assert process.returncode == 0, stderr
    assert '"succeeded":300' in stdout
    assert "task(s), the innermost call last:" in stderr
    assert "engine/pipeline.py" in stderr
    assert "thread MainThread:" in stderr
    assert "question" not in stderr


def test_an_interrupted_summary_says_how_to_go_on(tmp_path: Path) -> None:
    with receiving(always(HANG)) as receiver:
        process = started("run", hanging_job(tmp_path, receiver.url), "--json", "--log-format", "json")
        assert process.stderr is not None
        assert receiver.arrived.wait(30)
        process.send_signal(signal.SIGINT)
        assert '"event": "stopping"' in process.stderr.readline()
        process.send_signal(signal.SIGINT)
        stdout, _ = process.communicate(timeout=30)
    assert (
        summary(subprocess.CompletedProcess([], 0, stdout))["reason"]
        == "stopped by SIGINT; the same command goes on"
    )
