"""Where nobody watches: a poor environment, few open files, cron and systemd."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from tests.builders import write_records
from tests.cli.jobs import write_job
from tests.cli.processes import COMMAND

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line for a shell that knows nothing but where the package is."""
    return subprocess.run(
        ["/bin/sh", "-c", line],
        capture_output=True, text=True, timeout=60, check=False, cwd="/", env={"PYTHONPATH": str(ROOT), **environment},
    )  # fmt: skip


def test_few_open_files_are_made_more_where_that_is_allowed(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=50, concurrency=100)
    ran = shell(f"ulimit -S -n 64; exec {shlex.join(COMMAND)} run {job} --json")
    assert ran.returncode == 0, ran.stderr
    assert json.loads(ran.stdout)["records"]["succeeded"] == 50


def test_too_few_open_files_are_refused_before_anything_is_sent(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=50, concurrency=16)
    ran = shell(f"ulimit -n 64; exec {shlex.join(COMMAND)} run {job}")
    assert ran.returncode == 2
    assert re.search(r"may have 64\. Allow more with `ulimit -n \d+`, or lower models\.\*", ran.stderr)
    assert not (tmp_path / "out").exists()


def test_it_works_in_the_poorest_environment(tmp_path: Path) -> None:
    """No HOME, no PATH, an ASCII locale, the root as working directory, stdin closed; text beyond ASCII in and out."""
    text = "Größe, 日本語, 😀"
    job = write_job(tmp_path, count=1, output={"path": "ausgabe-größe", "keep": ["text"]})
    write_records(tmp_path / "in.jsonl", [{"id": "é1", "text": text}])
    ran = shell(f"exec {shlex.join(COMMAND)} run {job} --json <&-", LC_ALL="C")
    assert ran.returncode == 0, ran.stderr
    assert len(ran.stdout.splitlines()) == 1
    assert json.loads(ran.stdout)["records"]["succeeded"] == 1
    results = pl.read_parquet(tmp_path / "ausgabe-größe/results/part-*.parquet")
    assert results.select("record_id", "text").rows() == [("é1", text)]


def test_an_output_that_cannot_be_written_costs_nothing(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=5)
    ran = shell(f"exec {shlex.join(COMMAND)} run {job} --set output.path=/proc/self/nowhere --json")
    assert (ran.returncode, ran.stdout) == (74, "")
    assert "Name a directory that can be written" in ran.stderr


def documented(beginning: str) -> str:
    """The one line of README that begins so, as it stands there."""
    (line,) = [line.strip() for line in README.splitlines() if line.strip().startswith(beginning)]
    return line


def installed(line: str, folder: Path) -> str:
    """The line for a copy of its project in a folder, and for this checkout's command."""
    return line.replace("/srv/reviews", str(folder)).replace(
        "/opt/batchroute/bin/batchroute", shlex.join(COMMAND)
    )


def test_the_cron_line_runs_as_cron_runs_it_and_mails_nothing_when_all_is_well(tmp_path: Path) -> None:
    """Cron's environment: crontab(5) of Debian 12; a % would end the command."""
    (tmp_path / "jobs").mkdir()
    write_job(tmp_path / "jobs", count=5).rename(tmp_path / "jobs/nightly.yaml")
    line = documented("0 2 * * *")
    assert "%" not in line
    command = installed(line.split(maxsplit=5)[5], tmp_path)
    cron = {"HOME": "/", "LOGNAME": "nobody", "SHELL": "/bin/sh", "PATH": "/usr/bin:/bin"}
    first, second = shell(command, **cron), shell(command, **cron)
    assert (first.returncode, first.stdout, first.stderr) == (0, "", "")
    assert (second.returncode, second.stdout, second.stderr) == (0, "", "")
    assert pl.read_parquet(tmp_path / "jobs/out/ledger/part-*.parquet").height == 5


def unit(name: str) -> str:
    """A systemd unit as README shows it, below a line that names its file."""
    found = re.search(rf"# /etc/systemd/system/{re.escape(name)}\n(.*?)\n(?=\n# /etc|```)", README, re.DOTALL)
    assert found is not None
    return found[1]


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_systemd_understands_the_units(tmp_path: Path) -> None:
    for name in ("batchroute-nightly.service", "batchroute-nightly.timer"):
        text = unit(name).replace("/opt/batchroute/bin/batchroute", sys.executable)
        (tmp_path / name).write_text(text.replace("/srv/reviews", str(tmp_path)))
    units = sorted(map(str, tmp_path.iterdir()))
    ran = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    complaints = [line for line in ran.stderr.splitlines() if str(tmp_path) in line or "batchroute" in line]
    assert (ran.returncode, complaints) == (0, [])
    when = re.search(r"OnCalendar=(.*)", unit("batchroute-nightly.timer"))
    assert when is not None
    asked = subprocess.run(
        ["systemd-analyze", "calendar", when[1]], capture_output=True, text=True, timeout=60, check=True
    )
    assert "Next elapse" in asked.stdout


def test_the_command_of_the_unit_runs_on_a_key_from_its_credentials(tmp_path: Path) -> None:
    """Credentials are files in a folder that $CREDENTIALS_DIRECTORY names (systemd.exec(5), 252)."""
    (tmp_path / "jobs").mkdir()
    (tmp_path / "credentials").mkdir()
    key = tmp_path / "credentials/openai.key"
    key.write_text("a-key\n")
    key.chmod(0o400)
    write_job(tmp_path / "jobs", count=5, providers={
        "sim": {"kind": "simulator"},
        "spare": {"base_url": "http://127.0.0.1:1/v1", "api_key_file": "${CREDENTIALS_DIRECTORY}/openai.key"},
    }, models={"sim-small": {"provider": "sim"}, "spare": {"provider": "spare", "price": {"input": 1, "output": 1}}},
        routes={"default": {"models": ["sim-small", "spare"]}}, baseline=None,
    ).rename(tmp_path / "jobs/nightly.yaml")  # fmt: skip
    found = re.search(r"^ExecStart=(.*)$", unit("batchroute-nightly.service"), re.MULTILINE)
    assert found is not None
    command = f"cd {tmp_path} && {installed(found[1], tmp_path)}"
    ran = shell(command, CREDENTIALS_DIRECTORY=str(key.parent))
    assert ran.returncode == 0, ran.stderr
    told = [json.loads(line) for line in ran.stderr.splitlines()]
    assert [(line["event"], line["level"]) for line in told] == [("ended", "info")]
