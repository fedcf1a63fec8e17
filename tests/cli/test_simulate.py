import json
import re
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.cli.jobs import write_job
from tests.cli.processes import batchroute, started

READY = re.compile(r"Serving (?P<models>.+) on (?P<url>http://\S+/v1); stop with Ctrl-C\.\n")


@contextmanager
def serving(*arguments: str | Path) -> Iterator[tuple[subprocess.Popen[str], re.Match[str]]]:
    """The simulator on a free port, from the line on which it says so, to its end."""
    process = started("simulate", "--port", "0", *arguments)
    try:
        assert process.stderr is not None
        told = READY.fullmatch(process.stderr.readline())
        assert told is not None, process.communicate()
        yield process, told
    finally:
        process.kill()
        process.communicate()


def asked(url: str, body: dict[str, Any] | None = None) -> Any:
    """The JSON answer of a GET, or of a POST where there is a body."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


def test_it_serves_the_models_that_it_names_until_it_is_interrupted() -> None:
    with serving() as (process, told):
        models = asked(f"{told['url']}/models")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)

    assert [model["id"] for model in models["data"]] == told["models"].split(", ")
    assert "sim-small" in told["models"]
    assert (process.returncode, stdout, stderr) == (0, "", "Stopped.\n")


def test_a_job_brings_its_models_and_they_answer(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=1)
    with serving(job, "--set", "providers.sim.simulation.seed=3") as (_, told):
        answer = asked(
            f"{told['url']}/chat/completions",
            {"model": "large", "messages": [{"role": "user", "content": "Say something."}]},
        )

    assert {"small", "large"} <= set(told["models"].split(", "))
    assert answer["choices"][0]["message"]["content"]
    assert answer["usage"]["completion_tokens"] > 0


def test_one_of_several_simulated_providers_is_chosen_by_name(tmp_path: Path) -> None:
    provider = {"kind": "simulator", "simulation": {"models": {"second": {}}}}
    job = write_job(tmp_path, count=1, providers={"sim": {"kind": "simulator"}, "other": provider})
    unclear = batchroute("simulate", job)
    with serving(job, "--provider", "other") as (_, told):
        assert "second" in told["models"].split(", ")

    assert unclear.returncode == 2
    assert "name a simulated provider of the job with --provider (it has: other, sim)" in unclear.stderr


@pytest.mark.parametrize(
    "arguments", [["{job}", "--provider", "none"], ["missing.yaml"], ["--port", "65536"]]
)
def test_what_cannot_be_served_is_a_usage_error(tmp_path: Path, arguments: list[str]) -> None:
    job = write_job(tmp_path, count=1)
    ran = batchroute("simulate", *(argument.replace("{job}", str(job)) for argument in arguments))
    assert ran.returncode == 2
    assert "Error: " in ran.stderr


def test_a_port_that_is_taken_is_told() -> None:
    with serving() as (_, told):
        port = told["url"].rsplit(":", 1)[1].removesuffix("/v1")
        second = batchroute("simulate", "--port", port)
    assert second.returncode != 0
    assert f"Error: cannot listen on 127.0.0.1:{port}: " in second.stderr
    assert "Traceback" not in second.stderr
