"""The first steps: a job file that runs, and completion in the shell."""

from pathlib import Path

import pytest

from tests.cli.processes import batchroute, summary


def test_it_writes_a_job_that_runs_at_once(tmp_path: Path) -> None:
    job = tmp_path / "new/job.yaml"
    wrote = batchroute("init", job)
    ran = batchroute("run", job, "--json")

    assert (wrote.returncode, wrote.stderr) == (0, "")
    assert wrote.stdout == f"Wrote {job}. Next: batchroute run {job}\n"
    assert ran.returncode == 0, ran.stderr
    assert summary(ran)["records"]["succeeded"] == 3
    assert {line["route"] for line in summary(ran)["routes"]} == {"demanding", "default"}


def test_a_file_that_is_there_is_replaced_only_on_request(tmp_path: Path) -> None:
    job = tmp_path / "job.yaml"
    job.write_text("mine")

    refused = batchroute("init", job)
    assert refused.returncode != 0
    assert refused.stderr.endswith(f"{job} exists. Name another file, or replace it with --force.\n")
    assert job.read_text() == "mine"
    assert not (tmp_path / "requests.jsonl").exists()

    assert batchroute("init", job, "--force").returncode == 0
    assert "job: starter" in job.read_text()


def test_requests_that_are_there_are_kept(tmp_path: Path) -> None:
    (tmp_path / "requests.jsonl").write_text("mine")
    assert batchroute("init", tmp_path / "job.yaml").returncode == 0
    assert (tmp_path / "requests.jsonl").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    ran = batchroute("init", tmp_path / "file/job.yaml")
    assert ran.returncode != 0
    assert f"Error: {tmp_path}/file/job.yaml: " in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize(
    ("shell", "told"), [("bash", "complete -o nosort"), ("zsh", "#compdef"), ("fish", "complete ")]
)
def test_each_shell_is_given_a_completion_script(shell: str, told: str) -> None:
    ran = batchroute(_BATCHROUTE_COMPLETE=f"{shell}_source")
    assert ran.returncode == 0
    assert told in ran.stdout
    assert "batchroute" in ran.stdout


@pytest.mark.parametrize(
    ("line", "word", "offered"),
    [
        ("batchroute st", 1, {"plain,status"}),
        ("batchroute s", 1, {"plain,status", "plain,simulate", "plain,schema"}),
        ("batchroute run --fr", 2, {"plain,--fresh"}),
        ("batchroute run jo", 2, {"file,jo"}),
        ("batchroute status ou", 2, {"dir,ou"}),
    ],
)
def test_commands_options_and_files_are_completed(line: str, word: int, offered: set[str]) -> None:
    ran = batchroute(_BATCHROUTE_COMPLETE="bash_complete", COMP_WORDS=line, COMP_CWORD=str(word))
    assert set(ran.stdout.split()) == offered
