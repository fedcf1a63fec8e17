"""`batchroute whatif`: a finished run reckoned anew, and what is refused."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from batchroute.io.manifest import Manifest, write_manifest
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whatif")
    ran = batchroute(
        "run", write_job(folder, count=40, models=dict.fromkeys(("small", "large"), MODEL)), "--quiet"
    )
    assert ran.returncode == 0
    return folder


MODEL = {"provider": "sim", "timeout": "5s"}


def whatif(folder: Path, *options: str) -> dict[str, object]:
    ran = batchroute("whatif", folder / "out", *options, "--json")
    assert ran.returncode == 0, ran.stderr
    told: dict[str, object] = json.loads(ran.stdout, parse_float=Decimal)
    return told


def test_the_same_job_would_cost_what_it_has_cost(finished: Path) -> None:
    told = whatif(finished, "--job", str(finished / "job.yaml"))
    past, scenario = told["past"], told["scenario"]
    assert isinstance(past, dict)
    assert isinstance(scenario, dict)
    assert scenario["records"] == past["records"] == 40
    assert scenario["cost_usd"] == past["answers_usd"] > 0


def test_a_price_of_the_job_that_is_doubled_doubles_the_cost(finished: Path) -> None:
    doubled = 'models.small.price={"input": 2, "output": 4}'
    told = whatif(finished, "--job", str(finished / "job.yaml"), "--set", doubled)
    assert told["scenario"]["cost_usd"] == 2 * told["past"]["answers_usd"]  # type: ignore[index]


def test_a_person_sees_what_is_unknown(finished: Path) -> None:
    (finished / "other").mkdir()
    job = write_job(finished / "other", count=1)
    ran = batchroute("whatif", finished / "out", "--job", job, "--set", "routes.default.models=[large]")
    lines = ran.stdout.splitlines()
    assert lines[0].startswith("40 answers cost $")
    assert lines[3].split()[:4] == ["default", "large", "40", "40"]
    assert lines[3].endswith("unknown")
    assert any(
        line.startswith("Assumed: how good the answers of another model are is unknown") for line in lines
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        pytest.param(["--routes", "default"], "must be ROUTE=MODEL", id="no model"),
        pytest.param(["--routes", "default=tiny"], "whatif_model", id="a model that was not asked"),
        pytest.param(["--set", "models.small.price=1"], "name it with --job", id="an override of nothing"),
    ],
)
def test_what_cannot_be_reckoned_is_refused(finished: Path, options: list[str], told: str) -> None:
    ran = batchroute("whatif", finished / "out", *options)
    assert (ran.returncode, told in ran.stderr) == (2, True)


def test_a_folder_without_a_ledger_is_refused(tmp_path: Path) -> None:
    ran = batchroute("whatif", tmp_path)
    assert (ran.returncode, "no run has begun there" in ran.stderr) == (74, True)


def test_a_run_without_answers_would_have_cost_nothing(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(job="test", fingerprint="f"))
    ran = batchroute("whatif", tmp_path)
    assert (ran.returncode, ran.stdout.partition("\n")[0]) == (0, "0 answers cost $0.00, as it was.")
