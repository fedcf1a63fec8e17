"""That the benchmarks measure what they say; and, marked, the floors below which something is broken.

Floors are half of the goals, for machines differ. The goals themselves are in the table that
`python -m tests.benchmarks` prints.
"""

import shutil
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import msgspec
import polars as pl
import pytest

from batchroute.core.requests import Request, members
from batchroute.job.loading import load_job
from batchroute.report.reports import report
from batchroute.routing.estimates import sent_tokens
from tests.benchmarks.__main__ import MEASURES, parser, table
from tests.benchmarks.bare_loop import CLIENTS, Completion
from tests.benchmarks.children import CommandError, cores_allowed, finish_python, pinned
from tests.benchmarks.estimates import error_after, sample_requests, shuffled, total_error
from tests.benchmarks.ledgers import write_ledger
from tests.benchmarks.measures import (
    Figure,
    bare,
    classification,
    durability,
    end_to_end,
    memory,
    reporting,
    resume,
    start_up,
)
from tests.benchmarks.stand_ins import MODEL, StandIn, nginx, simulator, stand_in
from tests.benchmarks.workloads import Workload, one_model, texts


def test_peak_memory_is_the_childs_alone() -> None:
    ballast = bytearray(300 << 20)

    small = finish_python("-c", "pass").took
    large = finish_python("-c", "b = bytearray(200 << 20)").took

    assert len(ballast) >> 20 == 300
    assert small.peak_mib < 50
    assert 200 < large.peak_mib < 250


def test_time_of_a_child_is_measured() -> None:
    took = finish_python("-c", "import time\nwhile time.process_time() < 0.3: pass").took

    assert took.wall_s >= 0.25
    assert took.cpu_s >= 0.25


def test_failed_command_has_no_figures() -> None:
    with pytest.raises(CommandError, match=r"exit code 3\n.*out of luck"):
        finish_python("-c", "import sys; print('out of luck', file=sys.stderr); sys.exit(3)")


@pytest.mark.skipif(len(cores_allowed()) < 2 or shutil.which("taskset") is None, reason="nothing to pin to")
def test_client_and_server_have_different_cores() -> None:
    code = "import os; print(*os.sched_getaffinity(0))"

    client, server = pinned(("a",), "client"), pinned(("a",), "server")

    assert client != server
    assert len(finish_python("-c", code).stdout.split()) == 1


@pytest.fixture(params=["nginx", "simulator"])
def provider(request: pytest.FixtureRequest) -> Iterator[StandIn]:
    if request.param == "nginx" and shutil.which("nginx") is None:
        pytest.skip("nginx is not installed")
    with {"nginx": nginx, "simulator": simulator}[request.param]() as found:
        yield found


def test_stand_in_answers_a_chat_completion(provider: StandIn) -> None:
    body = Request(messages=b'[{"role":"user","content":"x"}]', params=members({"max_tokens": 64})).body(
        MODEL
    )
    request = urllib.request.Request(
        f"{provider.url}/chat/completions", body, {"Content-Type": "application/json"}, method="POST"
    )

    with urllib.request.urlopen(request, timeout=10) as response:
        completion = msgspec.json.decode(response.read(), type=Completion)

    assert completion.usage.prompt_tokens > 0


def test_stand_in_is_gone_afterwards() -> None:
    with simulator() as found:
        pass

    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{found.url}/models", timeout=10)


def test_given_provider_is_taken_as_it_is() -> None:
    with stand_in(url="http://127.0.0.1:1/v1") as found:
        assert found == StandIn("http://127.0.0.1:1/v1", "given")


def test_script_is_started_and_stopped(tmp_path: Path) -> None:
    script = tmp_path / "serve"
    script.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/log\n')
    script.chmod(0o755)

    with stand_in(serve=str(script)) as found:
        assert found.url == "http://127.0.0.1:9901/v1"

    assert (tmp_path / "log").read_text().split() == ["start", "stop"]


@pytest.mark.parametrize("client", CLIENTS)
def test_bare_loop_tells_its_pace(provider: StandIn, client: str) -> None:
    pace = bare(provider.url, requests=500, concurrency=8, client=client)

    assert pace.requests_per_s > 100
    assert 1 < pace.cpu_us_per_request < 10_000


def test_the_error_of_estimates_is_that_of_their_sum() -> None:
    asked = sample_requests()[:400]

    assert total_error(asked, sent_tokens) == 0
    assert total_error(asked, lambda _: 10, lambda _: 12) == pytest.approx(0.2)
    assert total_error(asked, lambda request: 2 * sent_tokens(request)) == pytest.approx(0.5)
    assert error_after(200, shuffled(asked, 1), lambda request: 2 * sent_tokens(request)) < 0.01


def test_workload_is_a_job_over_that_many_different_records(tmp_path: Path) -> None:
    workload = Workload(tmp_path / "new", 2_500, "http://127.0.0.1:1/v1", one_model(32)).write()

    job = load_job(workload.job)
    written = pl.read_parquet(workload.folder / "records.parquet")

    assert job.warnings == ()
    assert job.models[MODEL].limits.concurrency == 32
    assert (written.height, written["id"].n_unique(), written["text"].n_unique()) == (2_500, 2_500, 2_500)


def test_texts_are_of_realistic_length_and_always_the_same() -> None:
    assert texts() == texts()
    assert 180 < sum(map(len, texts())) / len(texts()) < 240


def test_table_has_a_line_for_each_figure() -> None:
    shown = table([Figure("speed", 15_321.7, "records/s", ">= 15000"), Figure("share", 0.4567, "")])

    assert shown.splitlines() == [
        "what    value  unit       goal",
        "speed  15,322  records/s  >= 15000",
        "share   0.457",
    ]


def test_every_measure_is_taken_unless_asked_otherwise() -> None:
    assert parser().parse_args([]).only == list(MEASURES)
    assert parser().parse_args(["--only", "memory", "start-up"]).only == ["memory", "start-up"]


@pytest.fixture
def fastest() -> Iterator[StandIn]:
    with stand_in() as found:
        yield found


def values(figures: list[Figure]) -> dict[str, float]:
    print(table(figures))
    return {figure.name: figure.value for figure in figures}


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_whole_run_reaches_a_fair_share_of_the_bare_loop(fastest: StandIn) -> None:
    found = values(end_to_end(fastest.url, count=100_000, concurrency=64, requests=50_000))

    assert found["share of the bare loop"] > 0.2
    assert found["batchroute run, peak memory"] <= 300


@pytest.mark.benchmark
@pytest.mark.timeout(900)
def test_memory_does_not_grow_with_the_input(fastest: StandIn) -> None:
    found = values(memory(fastest.url, counts=[50_000, 500_000], concurrency=64))

    assert found["peak memory, 500,000 records"] <= 300
    assert found["growth from the smallest to the largest"] <= 60


@pytest.mark.benchmark
def test_classification_is_vectorised() -> None:
    assert values(classification())["rule classification"] > 200_000


@pytest.mark.benchmark
@pytest.mark.timeout(300)
def test_commands_start_quickly(fastest: StandIn) -> None:
    found = values(start_up(fastest.url))

    assert found["batchroute --help"] < 0.3
    assert found["a job of 20 records"] < 3


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_durability_and_a_resume_cost_little(fastest: StandIn) -> None:
    found = values(durability(fastest.url, count=50_000, concurrency=64))
    found |= values(resume(fastest.url, count=200_000, concurrency=64))

    assert found["cost of durability"] <= 0.2
    assert found["resume of 200,000 finished records"] <= 5
    assert found["requests that it sent"] == 0


def test_generated_ledger_is_as_long_as_asked_and_reported_on(tmp_path: Path) -> None:
    totals = report([write_ledger(tmp_path, 50_000)]).totals

    assert (totals["attempts"], totals["records"], totals["unpriced_attempts"]) == (50_000, 49_000, 0)


@pytest.mark.benchmark
@pytest.mark.timeout(600)
def test_report_over_ten_million_attempts_takes_seconds_and_little_memory() -> None:
    found = values(reporting(attempts=10_000_000))

    assert found["report over 10,000,000 attempts"] <= 6
    assert found["report, peak memory"] <= 1024
