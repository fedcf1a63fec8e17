"""The shipped job files load, and say which environment they need."""

import re
from pathlib import Path

import pytest

from batchroute.core.errors import JobError
from batchroute.job.loading import load_job
from batchroute.job.presets import named
from tests.cli.processes import batchroute

JOBS = sorted((Path(__file__).parents[1] / "jobs").rglob("*.yaml"))


def needed(path: Path) -> dict[str, str]:
    """The environment variables that a job file names, itself or by a preset, each with a placeholder."""
    lines = [
        line for line in path.read_text(encoding="utf-8").splitlines() if not line.lstrip().startswith("#")
    ]
    text = "\n".join(lines)
    presets = [named(name) for name in re.findall(r"preset: (\w+)", text)]
    variables = [preset.variable for preset in presets if preset is not None and preset.variable]
    return dict.fromkeys([*re.findall(r"\$\{(\w+)\}", text), *variables], "placeholder")


def test_there_are_jobs() -> None:
    assert {"classify.yaml", "nightly.yaml", "openai.yaml"} <= {path.name for path in JOBS}


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_shipped_job_loads_without_a_warning(path: Path) -> None:
    job = load_job(path, environ=needed(path))

    assert job.warnings == ()
    assert "default" in job.routes
    assert not Path(job.output.path).is_relative_to(path.parent)  # results do not land among the job files


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_a_shipped_job_reads_and_routes_its_input(path: Path) -> None:
    ran = batchroute("check", path, timeout_s=60, **needed(path))
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    assert "first request: " in ran.stdout


@pytest.mark.parametrize("path", [path for path in JOBS if needed(path)], ids=lambda path: path.name)
def test_a_key_that_is_not_set_is_named(path: Path) -> None:
    for name, others in ((name, needed(path).keys() - {name}) for name in needed(path)):
        with pytest.raises(JobError, match=name):
            load_job(path, environ=dict.fromkeys(others, "placeholder"))


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.name)
def test_keys_stand_in_the_environment_alone(path: Path) -> None:
    written = re.findall(r"api_key:\s*([^\s,}]+\}?\"?)", path.read_text(encoding="utf-8"))
    assert [key for key in written if not re.fullmatch(r"\"?\$\{\w+\}\"?", key)] == []


def test_what_nightly_only_proposes_loads_too(tmp_path: Path) -> None:
    """Its commented lines, uncommented: nobody shall find out at night that they are wrong."""
    text = (JOBS[0].parent / "nightly.yaml").read_text(encoding="utf-8")
    proposed = re.sub(r"^(\s*)# ((?:  )?\w+: .*|notify:)$", r"\1\2", text, flags=re.MULTILINE)
    assert "\nnotify:\n  webhook:" in proposed
    (tmp_path / "openai.key").write_text("a-key\n")
    (tmp_path / "openai.key").chmod(0o600)
    (tmp_path / "job.yaml").write_text(proposed.replace("../", f"{tmp_path}/"))
    urls = {"NOTIFY_URL": "https://hooks.example/services/x", "PING_URL": "https://ping.example/uuid"}
    job = load_job(tmp_path / "job.yaml", environ={"CREDENTIALS_DIRECTORY": str(tmp_path), **urls})

    assert job.warnings == ()
    assert job.notify is not None
    assert job.notify.events == ("failure", "budget", "failovers")
    assert job.output.metrics is not None
    assert job.providers["openai"].key is not None
