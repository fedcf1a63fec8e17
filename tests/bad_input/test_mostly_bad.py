"""Where most of an input is bad it is the wrong input: the run stops, if it can before anything is paid for."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from batchroute.report.scans import scan_results
from tests.bad_input.corpus import Case, Expected, Make, check, good, told_by, words_in, write_job

BAD = b"{broken\n"


def file(*parts: bytes) -> Make:
    return lambda folder: (folder / "in.jsonl").write_bytes(b"".join(parts))


def bound(max_bad: float) -> dict[str, Any]:
    return {"input": {"path": "in.jsonl", "id": "id", "max_bad": max_bad}}


def stopped(dead: int) -> Expected:
    return Expected(exit_code=65, word="input_mostly_bad", dead={"json_syntax": dead})


def finished(answered: int, dead: int) -> Expected:
    return Expected(answered=answered, dead={"json_syntax": dead} if dead else {}, exit_code=3 if dead else 0)


CASES: Mapping[str, tuple[Make, dict[str, Any], Expected]] = {
    "the only record": (file(BAD), {}, stopped(1)),
    "three of five": (file(good(2), BAD * 3), {}, stopped(3)),
    "half of them": (file(good(3), BAD * 3), {}, finished(3, 3)),
    "the first hundred": (file(BAD * 100, good(400)), {}, stopped(100)),
    "the first ninety-nine": (file(BAD * 99, good(400)), {}, finished(400, 99)),
    "a hundred later ones": (file(good(1), BAD * 100, good(400, 1)), {}, finished(401, 100)),
    "the first hundred, and a bound that lets half pass": (
        file(BAD * 100, good(400)),
        bound(0.9),
        stopped(100),
    ),
    "none may be": (file(good(400), BAD), bound(0.0), stopped(1)),
    "none may be, and none is": (file(good(200)), bound(0.0), finished(200, 0)),
    "one in ten may be, and is": (file(good(180), BAD * 20), bound(0.1), finished(180, 20)),
    "one in ten may be, and more are": (file(good(179), BAD * 21), bound(0.1), stopped(21)),
    "all may be": (file(BAD * 120), bound(1.0), finished(0, 120)),
}


@pytest.mark.parametrize(("make", "job", "expected"), CASES.values(), ids=CASES)
def test_a_run_goes_on_up_to_its_bound(
    tmp_path: Path, base_url: str, make: Make, job: dict[str, Any], expected: Expected
) -> None:
    told = check(Case(make=make, job=job, expected=expected), tmp_path, base_url)
    assert told.attempts == expected.answered


def test_a_column_that_no_record_has_costs_nothing(tmp_path: Path, base_url: str) -> None:
    file(good(300))(tmp_path)
    told = told_by("run", write_job(tmp_path, base_url, prompt={"user": "{{ txet }}"}), "--json")
    assert (told.exit_code, told.attempts) == (65, 0)
    reason = told.summary["reason"]
    assert "the first 300 records cannot be sent: field_missing 300" in reason
    assert 'in.jsonl:1 (byte 0): the record has no field \'txet\': \'{"id": "0"' in reason


def test_what_turns_bad_later_stops_the_run_and_keeps_what_was_answered(
    tmp_path: Path, base_url: str
) -> None:
    """Records of 32 KiB come in batches of some 128."""
    filler = b"x" * (32 << 10)
    file(good(200).replace(b"question", filler), (BAD[:-1] + filler + b"\n") * 1000)(tmp_path)
    told = told_by("run", write_job(tmp_path, base_url), "--json")
    assert told.exit_code == 65
    assert "[input_mostly_bad]" in told.summary["reason"]
    records = told.summary["records"]
    assert 0 < told.attempts == records["succeeded"] <= 200
    assert records["failed"] == words_in(tmp_path)["json_syntax"] < 500
    answered = scan_results(tmp_path / "out").collect().filter(status="succeeded")
    assert answered.height == records["succeeded"]


def test_nothing_is_sent_before_a_hundred_were_read(tmp_path: Path, base_url: str) -> None:
    """Records of 64 KiB come in batches of some 64: the first batch alone would look good."""
    filler = b"x" * (64 << 10)
    file(good(40).replace(b"question", filler), (BAD[:-1] + filler + b"\n") * 100, good(200, 40))(tmp_path)
    told = told_by("run", write_job(tmp_path, base_url), "--json")
    assert (told.exit_code, told.attempts) == (65, 0)


@pytest.mark.parametrize(("bad", "warned"), [(1, False), (2, True)])
def test_more_than_one_in_a_hundred_is_said(tmp_path: Path, base_url: str, bad: int, warned: bool) -> None:
    file(good(100 - bad), BAD * bad)(tmp_path)
    told = told_by("run", write_job(tmp_path, base_url), "--json")
    assert told.exit_code == 3
    expected = ["2 of 100 records (2.0%) cannot be sent: json_syntax 2"] if warned else []
    assert told.summary["warnings"] == expected


def test_mended_the_same_command_goes_on(tmp_path: Path, base_url: str) -> None:
    file(BAD * 100, good(20))(tmp_path)
    job = write_job(tmp_path, base_url)
    assert told_by("run", job, "--json").exit_code == 65
    file(good(20))(tmp_path)
    told = told_by("run", job, "--json")
    assert (told.exit_code, told.attempts, words_in(tmp_path)) == (0, 20, {})


def test_check_says_the_same(tmp_path: Path, base_url: str) -> None:
    file(BAD * 100, good(400))(tmp_path)
    told = told_by("check", write_job(tmp_path, base_url))
    assert told.exit_code == 65
    assert "[input_mostly_bad]" in told.errors
