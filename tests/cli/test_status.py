import json
import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from batchroute.core.errors import OutputError
from batchroute.io.files import STORE_NAME
from batchroute.io.locks import locked
from batchroute.io.manifest import MANIFEST_NAME, LastRun, Manifest, Part, write_manifest
from batchroute.report.standing import read_standing, standing_of
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute, started, summary
from tests.cli.test_run import wait_for_results

ENDED = LastRun(run_id="r1", state="finished", started_at="2026-11-01T10:00:00+00:00",
                updated_at="2026-11-01T10:05:00+00:00", exit_code=0)  # fmt: skip
BEGUN = structs.replace(ENDED, state="running", exit_code=None)


def part(path: str, rows: int) -> Part:
    return Part(path=path, rows=rows, sha256="0" * 64)


def manifest(**fields: Any) -> Manifest:
    """A dataset of 1,250 results in two parts and 1,300 attempts in one."""
    return Manifest(
        **{
            "job": "nightly",
            "fingerprint": "f",
            "results": (part("results/part-00001.parquet", 1000), part("results/part-00002.parquet", 250)),
            "ledger": (part("ledger/part-00001.parquet", 1300),),
            "counts": {"pending": 0, "succeeded": 1240, "failed": 10, "degraded": 0},
            "last_run": ENDED,
            **fields,
        }
    )


def told(folder: Path) -> Any:
    """What `status --json` says of the output of a job in a folder."""
    ran = batchroute("status", folder / "out", "--json")
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def wait_for_state(folder: Path, state: str, process: subprocess.Popen[str]) -> None:
    """Until the run has written into its manifest how it stands."""
    path = folder / "out" / MANIFEST_NAME
    while not (path.exists() and f'"state": "{state}"' in path.read_text()):
        assert process.poll() is None, process.communicate()


# The value


@pytest.mark.parametrize(
    ("last_run", "running", "state", "exit_code"),
    [
        pytest.param(None, False, "new", None, id="no run"),
        pytest.param(None, True, "running", None, id="the first run has just begun"),
        pytest.param(ENDED, False, "finished", 0, id="finished"),
        pytest.param(ENDED, True, "running", None, id="the next run has just begun"),
        pytest.param(BEGUN, True, "running", None, id="running"),
        pytest.param(BEGUN, False, "interrupted", None, id="it ended without a word"),
        pytest.param(
            structs.replace(ENDED, state="stopped", exit_code=130), False, "stopped", 130, id="stopped"
        ),
    ],
)
def test_the_state_is_told_by_the_last_run_and_the_lock(
    last_run: LastRun | None, running: bool, state: str, exit_code: int | None
) -> None:
    standing = standing_of(manifest(last_run=last_run), running=running)
    assert (standing.state, standing.exit_code) == (state, exit_code)
    assert standing.run_id == (last_run.run_id if last_run else None)


def test_parts_and_their_rows_are_counted() -> None:
    standing = json.loads(standing_of(manifest(), running=False).json())
    assert standing["parts"] == {"results": 2, "ledger": 1}
    assert standing["rows"] == {"results": 1250, "ledger": 1300}


def test_a_directory_that_a_run_holds_is_running(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest())
    with locked(tmp_path):
        assert read_standing(tmp_path).state == "running"
    assert read_standing(tmp_path).state == "finished"


def test_a_run_that_has_not_written_yet_is_not_denied(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(OutputError, match="only just begun"):
        read_standing(tmp_path)
    with pytest.raises(OutputError, match="no run has begun there"):
        read_standing(tmp_path)


def test_a_lost_manifest_is_told_where_a_run_has_written(tmp_path: Path) -> None:
    """It was said that no run had begun there, beside all the parts."""
    (tmp_path / STORE_NAME).touch()

    with pytest.raises(OutputError, match=r"a run has written there.*verify") as refused:
        read_standing(tmp_path)
    assert refused.value.code == "manifest_missing"


# The command


def test_json_has_the_documented_keys(tmp_path: Path) -> None:
    ran = summary(batchroute("run", write_job(tmp_path, count=3), "--json"))
    standing = told(tmp_path)
    assert standing.pop("started_at") <= standing.pop("updated_at")
    assert standing == {
        "job": "test",
        "repeated": 0,
        "cached": 0,
        "spared_usd": None,
        "state": "finished",
        "run_id": ran["run_id"],
        "exit_code": 0,
        "records": {"pending": 0, "succeeded": 3, "failed": 0, "degraded": 0},
        "up_to_date": 3,
        "stale": 0,
        "models": {"small": "closed", "large": "closed"},
        "parts": {"results": 1, "ledger": 1},
        "rows": {"results": 3, "ledger": 3},
    }


def test_a_person_is_told_the_same(tmp_path: Path) -> None:
    write_manifest(tmp_path, manifest(stale=40))
    ran = batchroute("status", tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "job nightly: finished",
        f"last run r1, started {ENDED.started_at}, updated {ENDED.updated_at}, exit code 0",
        "records: 0 pending, 1,240 succeeded, 10 failed, 0 degraded",
        "standing: 1,200 up to date, 40 stale, 10 failed, 0 pending",
        "results: 1,250 rows in 2 parts",
        "ledger: 1,300 rows in 1 part",
    ]


def test_a_dataset_without_a_run_is_new(tmp_path: Path) -> None:
    write_manifest(tmp_path, Manifest(job="nightly", fingerprint="f"))
    ran = batchroute("status", tmp_path)
    assert ran.stdout.splitlines() == [
        "job nightly: new",
        "results: 0 rows in 0 parts",
        "ledger: 0 rows in 0 parts",
    ]


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "holds no manifest: no run has begun there"), ("{", "is damaged"), ('{"job": 7}', "is damaged")],
)
def test_a_directory_without_a_sound_manifest_is_an_output_error(
    tmp_path: Path, content: str | None, why: str
) -> None:
    if content is not None:
        (tmp_path / MANIFEST_NAME).write_text(content)
    ran = batchroute("status", tmp_path, "--json")
    assert (ran.returncode, ran.stdout) == (74, "")
    assert why in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_directory_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    assert batchroute("status", tmp_path / "none").returncode == 2


def test_a_killed_run_is_interrupted_until_the_next_one_has_finished(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=20, latency="5s", concurrency=4)
    process = started("run", job, "--quiet")
    wait_for_state(tmp_path, "running", process)
    running = told(tmp_path)
    process.kill()
    process.communicate()
    killed = told(tmp_path)
    batchroute("run", write_job(tmp_path, count=20), "--quiet")

    assert (running["state"], running["exit_code"]) == ("running", None)
    assert (killed["state"], killed["exit_code"]) == ("interrupted", None)
    assert killed["run_id"] == running["run_id"]
    finished = told(tmp_path)
    assert (finished["state"], finished["records"]["succeeded"]) == ("finished", 20)
    assert finished["run_id"] != killed["run_id"]


def test_a_run_that_was_told_to_stop_is_stopped(tmp_path: Path) -> None:
    process = started("run", write_job(tmp_path, count=3000, latency="50ms", concurrency=4), "--quiet")
    wait_for_results(tmp_path, process)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)

    standing = told(tmp_path)
    assert (standing["state"], standing["exit_code"]) == ("stopped", 130)
    assert standing["records"]["pending"] > 0
    assert standing["rows"]["results"] == standing["records"]["succeeded"]
