import contextlib
import json
import re
import signal
import sqlite3
import subprocess
from pathlib import Path

import polars as pl
import pytest

from tests.cli.jobs import write_job
from tests.cli.processes import COMMAND, batchroute, started, summary

ROOT = Path(__file__).parents[2]


def read(folder: Path, kind: str) -> pl.DataFrame:
    return pl.read_parquet(folder / "out" / kind / "part-*.parquet")


def wait_for_results(folder: Path, process: subprocess.Popen[str]) -> None:
    """Until the run has something committed: its journal has grown."""
    wal = folder / "out/state.db-wal"
    while not (wal.exists() and wal.stat().st_size > 200_000):
        assert process.poll() is None, process.communicate()


def test_the_sample_job_runs_and_a_second_run_sends_nothing(tmp_path: Path) -> None:
    output = f"output.path={tmp_path / 'out'}"
    job = ROOT / "jobs/classify.yaml"
    first = batchroute("run", job, "--set", output, "--json")
    assert first.returncode == 0, first.stderr
    told = summary(first)
    samples = (ROOT / "sample_data/requests.jsonl").read_text().count("\n")
    assert told["records"] == {
        "total": samples, "succeeded": samples, "failed": 0, "degraded": 0, "skipped": 0, "failed_before": 0, "pending": 0,
        "stale": 0, "repeated": 0, "cached": 0,
    }  # fmt: skip
    assert told["failovers"] > 0
    assert {line["route"] for line in told["routes"]} == {"hard", "skilled", "default"}
    assert told["cost_usd"] < told["baseline_cost_usd"]

    ledger, results = read(tmp_path, "ledger"), read(tmp_path, "results")
    routes = pl.read_parquet(tmp_path / "out/routes.parquet")
    assert ledger.height == told["attempts"] == routes["attempts"].sum()
    assert ledger["cost_usd"].sum() == results["cost_usd"].sum() == routes["cost_usd"].sum()
    assert results.height == samples
    assert {"source", "language"} <= set(results.columns)

    second = summary(batchroute("run", job, "--set", output, "--json"))
    assert (second["attempts"], second["records"]["skipped"], second["exit_code"]) == (0, samples, 0)


def test_the_json_object_has_the_documented_keys(tmp_path: Path) -> None:
    """README lists all of them, those of the records in brackets."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    listed = readme.partition("`run --json` prints one object: ")[2].partition("all of this run")[0]
    told = summary(batchroute("run", write_job(tmp_path, count=3), "--json"))

    assert told.keys() | told["records"].keys() == set(re.findall(r"`(\w+)`", listed))
    assert told["status"] == "succeeded"


def test_a_table_closes_the_run_and_quiet_prints_nothing(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=3)
    loud = batchroute("run", job)
    assert "3 records: 3 succeeded" in loud.stdout
    assert "saved" in loud.stdout
    quiet = batchroute("run", job, "--quiet", "--fresh")
    assert (quiet.stdout, quiet.stderr, quiet.returncode) == ("", "", 0)


def sent(journal: str) -> bool:
    """Whether the run has committed that requests are about to leave."""
    try:
        with contextlib.closing(sqlite3.connect(journal, uri=True)) as state:
            return bool(state.execute("select count(*) from journal").fetchone()[0])
    except sqlite3.OperationalError:  # not there yet
        return False


@pytest.mark.parametrize("kills", [1, 3])
def test_a_killed_run_goes_on_and_every_record_appears_once(tmp_path: Path, kills: int) -> None:
    job = write_job(tmp_path, count=3000, latency="20ms", concurrency=32)
    for _ in range(kills):
        process = started("run", job, "--quiet")
        wait_for_results(tmp_path, process)
        process.kill()
        process.communicate()

    last = batchroute("run", job, "--json")
    assert last.returncode == 0, last.stderr
    results, ledger = read(tmp_path, "results"), read(tmp_path, "ledger")
    assert results["record_id"].n_unique() == results.height == 3000
    assert set(results["status"]) == {"succeeded"}
    assert results["attempts"].sum() == ledger.height
    assert results["cost_usd"].sum() == ledger["cost_usd"].sum()
    unknown = ledger.filter(pl.col("error_type") == "unknown_outcome")
    assert unknown.height <= kills * 32
    assert ledger.height == 3000 + unknown.height  # paid twice: what was in flight, and nothing else
    assert set(unknown["cost_basis"]) <= {"upper_bound"}
    assert not list((tmp_path / "out/.tmp").iterdir())


@pytest.mark.parametrize(("number", "exit_code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_run_finishes_what_is_in_flight(tmp_path: Path, number: int, exit_code: int) -> None:
    job = write_job(tmp_path, count=3000, latency="20ms")
    process = started("run", job, "--json")
    wait_for_results(tmp_path, process)
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == exit_code, stderr
    told = json.loads(stdout)
    assert told["status"] == "interrupted"
    assert 0 < told["records"]["succeeded"] < 3000
    assert set(read(tmp_path, "ledger")["outcome"]) == {"ok"}  # nothing was cut off

    rest = summary(batchroute("run", job, "--json"))
    assert rest["records"]["skipped"] == told["records"]["succeeded"]
    assert rest["records"]["succeeded"] + rest["records"]["skipped"] == 3000
    assert read(tmp_path, "results")["record_id"].n_unique() == 3000
    assert read(tmp_path, "ledger").height == 3000


def test_a_second_signal_ends_the_run_at_once(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=200, latency="20s", concurrency=8, models={
        "small": {"provider": "sim", "limits": {"concurrency": 8}, "timeout": "60s"},
    }, routes={"default": {"models": ["small"]}}, baseline=None)  # fmt: skip
    process = started("run", job, "--json")
    journal = f"file:{tmp_path}/out/state.db?mode=ro"
    while not sent(journal):
        assert process.poll() is None, process.communicate()
    process.send_signal(signal.SIGINT)
    assert process.stderr is not None
    assert "stopping; 4 requests in flight" in process.stderr.readline()
    process.send_signal(signal.SIGTERM)
    stdout, stderr = process.communicate(timeout=15)
    assert process.returncode == 130, stderr
    assert json.loads(stdout)["records"]["pending"] == 200
    assert set(read(tmp_path, "ledger")["error_type"]) == {"cancelled_by_run"}


def test_two_runs_cannot_hold_one_directory(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=3000, latency="50ms")
    process = started("run", job, "--quiet")
    wait_for_results(tmp_path, process)
    second = batchroute("run", job)
    status = json.loads(batchroute("status", tmp_path / "out", "--json").stdout)
    process.kill()
    process.communicate()
    assert second.returncode == 75
    assert "another run" in second.stderr
    assert status["state"] == "running"
    assert json.loads(batchroute("status", tmp_path / "out", "--json").stdout)["state"] == "interrupted"


def test_dead_letters_give_exit_code_3_and_are_left_alone_on_request(tmp_path: Path) -> None:
    broken = {"kind": "simulator", "simulation": {"models": {"small": {"errors": {"empty": 1.0}}}}}
    job = write_job(tmp_path, count=5, providers={"sim": broken}, models={"small": {"provider": "sim"}},
                    routes={"default": {"models": ["small"]}}, baseline=None)  # fmt: skip
    first = batchroute("run", job, "--json")
    assert first.returncode == 3
    assert summary(first)["records"]["failed"] == 5
    left = batchroute("run", job, "--json", "--no-retry-failed")
    told, quiet = summary(left), batchroute("run", job, "--quiet", "--no-retry-failed")
    assert (left.returncode, told["attempts"]) == (3, 0)
    assert (told["records"]["skipped"], told["records"]["failed_before"]) == (0, 5)
    assert (quiet.returncode, quiet.stdout) == (3, "")
    assert "5 records failed before and were not tried again" in quiet.stderr
    again = batchroute("run", job, "--json")
    assert (again.returncode, summary(again)["attempts"]) == (3, 10)


def test_the_same_job_runs_on_both_transports(tmp_path: Path) -> None:
    for transport in ("wire", "sdk"):
        job = write_job(tmp_path, count=20)
        ran = batchroute("run", job, "--json", "--fresh", "--set", f"providers.sim.transport={transport}")
        assert ran.returncode == 0, ran.stderr
        assert summary(ran)["records"]["succeeded"] == 20


@pytest.mark.parametrize(
    ("arguments", "exit_code", "told"),
    [
        (["run", "missing.yaml"], 2, "missing.yaml"),
        (
            ["run", "{job}", "--set", "models.small.limits.concurrency=-1"],
            2,
            "models.small.limits.concurrency",
        ),
        (["run", "{job}", "--set", "input.path=nowhere.jsonl"], 65, "nowhere.jsonl"),
        (["run", "{job}", "--set", "output.path=/proc/nowhere"], 74, "/proc/nowhere"),
        (["run", "{job}", "--limit", "0"], 2, "--limit"),
        (["rum", "{job}"], 2, "there is no command 'rum', did you mean run?"),
        (["statu", "out"], 2, "there is no command 'statu', did you mean status?"),
        (
            ["frobnicate"],
            2,
            "There is run, plan, check, classify, status, report, verify, whatif, models, simulate, init, schema.",
        ),
        (["status", "/"], 74, "no manifest"),
    ],
)
def test_what_cannot_run_says_why_and_exits_with_its_code(
    tmp_path: Path, arguments: list[str], exit_code: int, told: str
) -> None:
    job = write_job(tmp_path, count=2)
    ran = batchroute(*(argument.replace("{job}", str(job)) for argument in arguments))
    assert ran.returncode == exit_code, ran.stderr
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_damaged_state_is_an_output_error_and_fresh_mends_it(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=200)
    batchroute("run", job, "--quiet")
    state = tmp_path / "out/state.db"
    whole = state.read_bytes()
    state.write_bytes(whole[:4096] + b"\xa5" * (len(whole) - 4096))
    ran = batchroute("run", job)
    assert ran.returncode == 74
    assert "state.db" in ran.stderr
    assert "--fresh" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert batchroute("run", job, "--fresh", "--quiet").returncode == 0


def test_a_damaged_part_of_the_ledger_is_an_output_error(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=20)
    batchroute("run", job, "--quiet")
    part = tmp_path / "out/ledger/part-00001.parquet"
    part.write_bytes(part.read_bytes()[:100])
    ran = batchroute("run", job)
    assert ran.returncode == 74
    assert "ledger/part-00001.parquet is damaged" in ran.stderr
    assert "part_corrupt" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_pipe_that_is_closed_early_is_no_error(tmp_path: Path) -> None:
    process = started("schema")
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, stderr = process.communicate(timeout=30)
    assert "Traceback" not in stderr


def test_it_works_with_an_empty_environment(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=5)
    ran = subprocess.run(
        [*COMMAND, "run", str(job), "--json"],
        capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)}, cwd="/", check=False, timeout=60,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize("flag", ["", "--json"])
def test_a_log_on_a_full_disk_fails_no_run(tmp_path: Path, flag: str) -> None:
    job = write_job(tmp_path, count=5)
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(COMMAND)} run {job} {flag} >/dev/full"],
        cwd=ROOT, check=False, timeout=60, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)


@pytest.mark.parametrize(
    "command",
    [
        "status out",
        "status out --json",
        "verify out",
        "verify out --json",
        "check job.yaml",
        "schema",
        "--help",
    ],
)
def test_an_answer_that_a_full_disk_does_not_take_is_one_line_and_an_exit_code(
    tmp_path: Path, command: str
) -> None:
    ran = batchroute("run", write_job(tmp_path, count=5), "--quiet")
    assert ran.returncode == 0, ran.stderr
    done = subprocess.run(
        ["bash", "-c", f"{' '.join(COMMAND)} {command} >/dev/full"],
        cwd=tmp_path, check=False, timeout=60, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 74
    [line] = done.stderr.splitlines()
    assert line.startswith("Error: stdout: No space left on device.")


@pytest.mark.parametrize("closed", ["<&-", "<&- >&-", "<&- >&- 2>&-"])
def test_it_works_with_its_standard_streams_closed(tmp_path: Path, closed: str) -> None:
    job = write_job(tmp_path, count=5)
    ran = subprocess.run(
        ["bash", "-c", f"{' '.join(COMMAND)} run {job} {closed}"], cwd=ROOT, check=False, timeout=60
    )  # fmt: skip
    assert ran.returncode == 0
    assert read(tmp_path, "results").height == 5


def test_starting_over_removes_only_what_runs_have_written(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=5)
    batchroute("run", job, "--quiet")
    (tmp_path / "out/results/thesis.txt").write_text("mine")
    assert batchroute("run", job, "--quiet", "--fresh").returncode == 0
    assert (tmp_path / "out/results/thesis.txt").read_text() == "mine"
    assert read(tmp_path, "ledger").height == 5


def test_a_start_over_that_was_cut_off_is_finished_by_the_next_run(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=5)
    batchroute("run", job, "--quiet")
    (tmp_path / "out/.starting-over").touch()
    (tmp_path / "out/results/part-00001.parquet").unlink()
    assert summary(batchroute("run", job, "--json"))["records"]["succeeded"] == 5
    assert read(tmp_path, "results").height == 5
    assert not (tmp_path / "out/.starting-over").exists()


def test_too_few_open_files_are_refused_with_the_remedy(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=5, concurrency=500)
    command = f"ulimit -n 128; {' '.join(COMMAND)} run {job}"
    ran = subprocess.run(
        ["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False, timeout=60
    )
    assert ran.returncode == 2
    assert "ulimit -n 1378" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_check_in_which_no_record_can_be_sent_says_so(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=3)
    ran = batchroute("check", job, "--set", "prompt.user='{{ txt }}'", "--set", "output.keep=[gone]")
    assert ran.returncode == 65
    assert "3 of 3 records cannot be sent" in ran.stderr
    assert "no record has gone" in ran.stderr


def test_gateway_job_answers_every_record_with_the_model_that_it_names(tmp_path: Path) -> None:
    ran = batchroute("run", ROOT / "jobs/gateway.yaml", "--set", f"output.path={tmp_path / 'out'}", "--json")

    assert ran.returncode == 0, ran.stderr
    lines = (ROOT / "sample_data/gateway.jsonl").read_text().splitlines()
    asked = {row["custom_id"]: row["body"].get("model") for row in map(json.loads, lines)}
    answered = dict(read(tmp_path, "results").select("record_id", "model").iter_rows())
    named = {record: model for record, model in asked.items() if model and not model.startswith("auto")}
    assert {record: answered[record] for record in named} == named
    assert {answered[record] for record, model in asked.items() if model == "auto-free"} == {"local"}
