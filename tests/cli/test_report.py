import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest

from tests.cli.jobs import write_job
from tests.cli.processes import batchroute
from tests.report.books import write_output
from tests.test_startup import COMMAND, imported_by


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return write_output(tmp_path / "out")


def test_report_is_text_on_stdout(output: Path) -> None:
    ran = batchroute("report", output)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.startswith("batchroute report: test\n\n4 records answered in 6 attempts and 2 runs")


@pytest.mark.parametrize(
    ("kind", "begins"), [("md", "# batchroute report"), ("json", '{"outputs"'), ("html", "<!DOCTYPE html>")]
)
def test_report_is_written_to_a_file_as_asked(output: Path, tmp_path: Path, kind: str, begins: str) -> None:
    file = tmp_path / "report"
    ran = batchroute("report", output, output, "--format", kind, "-o", file)

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert file.read_text().startswith(begins)
    assert list(tmp_path.glob(".*")) == []


def test_report_is_of_a_time(output: Path) -> None:
    ran = batchroute(
        "report", output, "--since", "2027-01-17T00:00Z", "--until", "2027-01-18T00:00Z", "--format", "json"
    )

    assert json.loads(ran.stdout, parse_float=Decimal)["totals"]["cost_usd"] == Decimal("0.007")


def test_savings_are_against_the_model_asked_for(output: Path) -> None:
    ran = batchroute("report", output, "--baseline", "small", "--format", "json")

    assert json.loads(ran.stdout)["baseline"]["model"] == "small"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--baseline", "nobody"], 2, "no price is known of the baseline 'nobody'"),
        (["--since", "2027-01-17", "--until", "2027-01-17"], 2, "--since must be before --until"),
        (["--since", "yesterday"], 2, "must be a date"),
        (["-o", "no/such/folder/report.txt"], 74, "the report cannot be written"),
    ],
)
def test_what_cannot_be_done_is_told_in_a_line(
    output: Path, arguments: list[str], code: int, said: str
) -> None:
    ran = batchroute("report", output, *arguments)

    assert ran.returncode == code
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


def test_a_directory_without_a_run_is_told(tmp_path: Path) -> None:
    ran = batchroute("report", tmp_path)

    assert (ran.returncode, ran.stdout) == (74, "")
    assert "no run has begun there" in ran.stderr


def test_report_agrees_with_the_summary_of_the_run(tmp_path: Path) -> None:
    ran = json.loads(batchroute("run", write_job(tmp_path), "--json").stdout, parse_float=Decimal)
    told = json.loads(batchroute("report", tmp_path / "out", "--format", "json").stdout, parse_float=Decimal)

    for name in ("attempts", "failovers", "cost_usd", "input_tokens", "output_tokens", "baseline_cost_usd"):
        assert told["totals"][name] == ran[name]


def test_report_needs_neither_a_client_nor_a_drawing_library(output: Path) -> None:
    imported = imported_by(*COMMAND, "report", str(output), "--format", "html")

    assert "polars" in imported
    assert imported & {"altair", "httpx2", "openai", "pydantic", "rich", "uvloop", "vl_convert"} == set()


def test_the_package_lends_its_report_without_an_import_of_its_own() -> None:
    code = "import batchroute, sys; assert 'polars' not in sys.modules; print(batchroute.report.savings.__name__)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout == "savings\n"
