"""The printed JSON Schema takes what the loader takes, and shows in the editor what the loader would refuse."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from ruamel.yaml import YAML

from batchroute.job.starter import STARTER
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute

JOBS = sorted((Path(__file__).parents[2] / "jobs").rglob("*.yaml"))

Validator = jsonschema.Draft202012Validator


@pytest.fixture(scope="module")
def schema() -> Validator:
    ran = batchroute("schema")
    assert (ran.returncode, ran.stderr) == (0, "")
    printed = json.loads(ran.stdout)
    Validator.check_schema(printed)
    return Validator(printed)


def read(text: str) -> Any:
    return YAML(typ="safe").load(text)


def complaints(schema: Validator, job: Any) -> list[str]:
    return [f"{error.json_path}: {error.message}" for error in schema.iter_errors(job)]


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_every_shipped_job_is_valid(schema: Validator, path: Path) -> None:
    assert complaints(schema, read(path.read_text(encoding="utf-8"))) == []


def test_the_starter_is_valid(schema: Validator) -> None:
    assert complaints(schema, read(STARTER)) == []


@pytest.mark.parametrize(
    ("override", "path"),
    [
        ({"prompt": {"usr": "{{ text }}"}}, "$.prompt"),
        ({"promt": {}}, "$"),
        ({"input": {}}, "$.input"),
        ({"window": "100"}, "$.window"),
        ({"models": {"small": {"provider": "sim", "timeout": "30 parsecs"}}}, "$.models.small.timeout"),
        (
            {"models": {"small": {"provider": "sim", "limits": {"concurrency": 0}}}},
            "$.models.small.limits.concurrency",
        ),
        ({"routes": {"default": {"models": "small"}}}, "$.routes.default.models"),
        ({"job": "Not a name"}, "$.job"),
    ],
)
def test_a_mistake_is_shown_at_its_key(
    schema: Validator, tmp_path: Path, override: dict[str, Any], path: str
) -> None:
    job = write_job(tmp_path, count=1, **override)
    assert {told.split(": ")[0] for told in complaints(schema, read(job.read_text()))} == {path}
    assert batchroute("check", job).returncode == 2
