"""Input that changes while a run reads it: what was read before stands, and nothing is read that was not there."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from batchroute.core.responses import Outcome
from tests.builders import records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Sent, answer

COUNT = 600
FILLER = "question " * (4 << 10)
"""With it there is more than is read before the first request leaves."""


def run_while(folder: Path, change: Callable[[Path], object]) -> Ran:
    """A run during whose first request the input is changed."""
    path = write_records(folder / "in.jsonl", records(COUNT, filler=FILLER))
    asked: list[Sent] = []

    def script(sent: Sent) -> tuple[float, Outcome]:
        if not asked:
            change(path)
        asked.append(sent)
        return 0.01, answer()

    return run_virtually(folder, scripts={"a": script, "b": script})


def append(path: Path) -> None:
    with path.open("a") as file:
        file.write(json.dumps({"id": "late", "text": "t"}) + "\n")


def replace(path: Path) -> None:
    other = write_records(path.with_name("other"), records(COUNT, filler=FILLER))
    other.replace(path)


def rewrite(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content.replace(b"question", b"QUESTION"))
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda path: os.truncate(path, path.stat().st_size // 2), id="B52 shrinks"),
        pytest.param(lambda path: os.truncate(path, 0), id="B52 is emptied"),
        pytest.param(rewrite, id="B52 is edited"),
        pytest.param(replace, id="B53 is replaced"),
        pytest.param(lambda path: path.unlink(), id="B53 is removed"),
    ],
)
def test_a_file_that_changes_stops_the_run_and_what_was_answered_stands(
    tmp_path: Path, change: Callable[[Path], object]
) -> None:
    ran = run_while(tmp_path, change)

    assert ran.ended.exit_code == 65
    assert "in.jsonl" in str(ran.ended.reason)
    assert str(ran.ended.reason).endswith(("[input_changed]", "[input_io]"))
    assert ran.ended.succeeded == ran.results.height > 0
    assert ran.ended.failed == 0


def test_what_is_appended_waits_for_the_next_run(tmp_path: Path) -> None:
    ran = run_while(tmp_path, append)

    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, COUNT)
    (warning,) = ran.ended.warnings
    assert warning == "in.jsonl has grown since the run began: the next run reads what is new"
