"""Lines for people, and JSON lines for programs."""

import json
import logging
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchroute.cli.display import display
from batchroute.cli.logs import JsonLog, PlainLog, heard
from tests.builders import write_records
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute
from tests.cli.test_display import pool, progress


def lines(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize("more", [(), ("--quiet",)])
def test_every_line_of_a_run_is_one_json_object(tmp_path: Path, more: tuple[str, ...]) -> None:
    broken = {"kind": "simulator", "simulation": {"models": {"small": {"errors": {"empty": 1.0}}}}}
    job = write_job(tmp_path, count=3, providers={"sim": broken}, models={"small": {"provider": "sim"}},
                    routes={"default": {"models": ["small"]}}, baseline=None)  # fmt: skip
    ran = batchroute("run", job, "--log-format", "json", *more)

    assert (ran.returncode, ran.stdout) == (3, "")
    told = lines(ran.stderr)
    assert all({"ts", "level", "event", "job", "message"} <= line.keys() for line in told)
    assert [line["message"] for line in told if line["event"] == "warning"] == [
        "no price is known for small: its cost is null. Declare models.small.price to have it counted."
    ]
    last = told[-1]
    assert (last["event"], last["level"], last["job"], last["exit_code"]) == ("ended", "error", "test", 3)
    assert last["records"]["failed"] == 3
    assert last["ts"].endswith("+00:00")


def test_records_that_stop_a_run_are_shown_a_line_each_in_their_own_script(tmp_path: Path) -> None:
    job = write_job(tmp_path)
    rows = [{"id": "a", "text": None, "of": "grün"}, {"id": "b", "text": None, "of": "two\nlines"}]
    write_records(tmp_path / "in.jsonl", rows)

    ran = batchroute("run", job)

    assert ran.returncode == 65
    first, second, third = ran.stderr.splitlines()
    assert first.startswith("2 of the first 2 records cannot be sent: field_null 2. ")
    assert first.endswith("1 for any.")
    assert second.endswith("""'{"id": "a", "text": null, "of": "grün"}'""")
    assert third.endswith("""'{"id": "b", "text": null, "of": "two\\nlines"}' [input_mostly_bad]""")


def test_json_lines_leave_stdout_to_the_one_object(tmp_path: Path) -> None:
    job = write_job(tmp_path, count=3)
    ran = batchroute("run", job, "--json", "--log-format", "json")
    assert json.loads(ran.stdout)["records"]["succeeded"] == 3
    (ended,) = lines(ran.stderr)
    assert (ended["level"], ended["message"]) == ("info", "succeeded")
    assert batchroute("run", job, "--quiet", "--log-format", "json").stderr == ""


@pytest.mark.parametrize(
    ("override", "exit_code", "part"),
    [("models.small.timeout=never", 2, "models.small.timeout"), ("input.path=gone.jsonl", 65, "gone.jsonl")],
)
def test_an_error_is_a_json_line_too(tmp_path: Path, override: str, exit_code: int, part: str) -> None:
    ran = batchroute("run", write_job(tmp_path, count=1), "--log-format", "json", "--set", override)
    (told,) = lines(ran.stderr)
    assert (ran.returncode, told["exit_code"], told["level"], told["event"]) == (
        exit_code,
        exit_code,
        "error",
        "error",
    )
    assert part in told["message"]


def test_states_of_models_are_told_as_they_change(capsys: pytest.CaptureFixture[str]) -> None:
    with display("test", quiet=False, log_format="json") as watch:
        assert watch is not None
        watch(progress())
        watch(progress(pools=(pool(state="open", paused_s=7.0, reason="HTTP 500"),)))
        watch(progress(pools=(pool(state="open", paused_s=6.0, reason="HTTP 500"),)))
        watch(progress(pools=(pool(reason="HTTP 500"),)))
        watch(progress(pools=(pool(state="disabled", reason="HTTP 401"),), stopping=True))
        watch(progress(pools=(pool(state="disabled", reason="HTTP 401"),), stopping=True))
    told = [
        (line["level"], line["event"], line.get("state"), line.get("reason"))
        for line in lines(capsys.readouterr().err)
    ]
    assert told == [
        ("info", "model", "open", "HTTP 500"),
        ("info", "model", "closed", None),
        ("warning", "model", "disabled", "HTTP 401"),
        ("info", "stopping", None, None),
    ]


def test_progress_is_told_in_numbers(capsys: pytest.CaptureFixture[str]) -> None:
    with display("test", quiet=False, log_format="json") as watch:
        assert watch is not None
        watch._next = 0.0  # type: ignore[attr-defined]  # half a minute has passed
        watch(progress(failed_over=3))
    (told,) = lines(capsys.readouterr().err)
    assert told["event"] == "progress"
    assert (told["succeeded"], told["cost_usd"], told["left_s"], told["failed_over"]) == (380, 1.5, 75.0, 3)
    assert told["models"]["a"] == {
        "state": "closed",
        "in_flight": 8,
        "waiting": 42,
        "attempts": 2000,
        "errors": 30,
    }
    assert told["message"] == "500/1,000 records, 1,234/s, $1.50, 1m15s left"


EVIL = "a\nb\x1b[2J\x00\u202ec"


def test_nothing_that_is_told_steers_a_terminal_or_breaks_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    PlainLog("test").tell("warning", "warning", EVIL)
    JsonLog("test").tell("warning", "warning", EVIL, reason=EVIL)
    plain, line = capsys.readouterr().err.splitlines()
    assert plain == "test: Warning: a\\nb\\x1b[2J\\x00\\u202ec"
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["reason"] == EVIL


def test_secrets_are_taken_out_before_a_line_is_put_together(capsys: pytest.CaptureFixture[str]) -> None:
    log = JsonLog("test", lambda text: text.replace('se"cret', "[redacted]"))
    log.tell("info", "x", 'a se"cret', fields={'se"cret': ['se"cret', Decimal("1.5"), None, 2]})
    (told,) = lines(capsys.readouterr().err)
    assert told["message"] == "a [redacted]"
    assert told["fields"] == {"[redacted]": ["[redacted]", 1.5, None, 2]}


@pytest.mark.parametrize("log_format", [None, "plain", "json"])
@pytest.mark.parametrize("quiet", [True, False])
def test_what_the_package_logs_is_said_and_only_once(
    capsys: pytest.CaptureFixture[str], log_format: str | None, quiet: bool
) -> None:
    with display("test", quiet=quiet, log_format=log_format):
        logging.getLogger("batchroute").warning("%s cannot be told", "it")
    (told,) = capsys.readouterr().err.splitlines()
    assert "it cannot be told" in told
    assert not logging.getLogger("batchroute").handlers


def test_stacks_keep_their_lines(capsys: pytest.CaptureFixture[str]) -> None:
    with heard(PlainLog("test")):
        logging.getLogger("batchroute").warning("a\n  b\x1b", extra={"event": "stacks"})
    assert capsys.readouterr().err == "test: a\ntest:   b\\x1b\n"
