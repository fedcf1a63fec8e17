"""`batchroute plan`: what a run would cost, as text and as JSON, with no request and no output."""

import json
import subprocess
import sys
from pathlib import Path

from tests.cli.jobs import write_job


def plan(job: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "batchroute.cli.main", "plan", str(job), *options]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_plan_of_a_job_on_the_simulator(tmp_path: Path) -> None:
    done = plan(write_job(tmp_path, count=200))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("200 records, all of them looked at.\n200 to be sent.\n")
    assert "half of what max_tokens allows" in done.stdout
    assert "The same records on one model alone:" in done.stdout
    assert not (tmp_path / "out").exists()


def test_json_is_one_object_with_exact_costs(tmp_path: Path) -> None:
    done = plan(write_job(tmp_path, count=200), "--json", "--limit", "50")

    found = json.loads(done.stdout)
    assert found["records"]["planned"] == 50
    total = found["total"]
    assert total["output_tokens"] == 50 * 16
    assert total["cost_usd"]["expected"] == (total["input_tokens"] + 2 * total["output_tokens"]) / 1e6
    assert [each["model"] for each in found["alternatives"]] == ["large", "small"]


def test_an_unknown_price_is_said_once_and_shown_as_unknown(tmp_path: Path) -> None:
    models = {"small": {"provider": "p", "model": "own"}}
    job = write_job(
        tmp_path,
        count=5,
        providers={"p": {"base_url": "http://127.0.0.1:9/v1"}},
        models=models,
        routes={"default": {"models": ["small"]}},
        baseline="small",
    )

    done = plan(job)

    assert done.returncode == 0
    assert done.stderr.count("no price is known for small") == 1
    assert next(line for line in done.stdout.splitlines() if line.startswith("  total")).split()[1] == "5"
    assert "$" not in done.stdout


def test_an_unknown_route_is_a_mistake_of_usage(tmp_path: Path) -> None:
    done = plan(write_job(tmp_path, count=5), "--only", "route=nowhere")

    assert done.returncode == 2
    assert "[only_unknown]" in done.stderr
