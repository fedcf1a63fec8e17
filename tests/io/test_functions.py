"""Functions that stand beside a job file."""

from pathlib import Path

import pytest

from batchroute.core.errors import JobError
from batchroute.io.functions import import_function


def test_the_file_beside_the_job_wins_over_a_package_of_its_name(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def label(records): return ['mine' for _ in records]\n")

    assert import_function("json:label", tmp_path)([{}]) == ["mine"]


def test_two_folders_may_have_modules_of_the_same_name(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "rules.py").write_text(f"def label(records): return [{folder!r}]\n")

    assert [import_function("rules:label", tmp_path / folder)([]) for folder in ("a", "b")] == [["a"], ["b"]]


def test_a_module_in_a_folder_may_import_what_stands_beside_the_job(tmp_path: Path) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "words_of_the_house.py").write_text("LABEL = 'chat'\n")
    (tmp_path / "rules" / "tasks.py").write_text(
        "from words_of_the_house import LABEL\ndef label(records): return [LABEL]\n"
    )

    assert import_function("rules.tasks:label", tmp_path)([]) == ["chat"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("import nothing_of_this_name", "cannot be imported from .*ModuleNotFoundError"),
        ("label = 5", "is not a function of"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(0)", "SystemExit: 0"),
        (None, "cannot be imported from .*FileNotFoundError"),
    ],
)
def test_what_cannot_be_had_is_a_fault_of_the_job(tmp_path: Path, source: str | None, message: str) -> None:
    if source is not None:
        (tmp_path / "rules.py").write_text(source)

    with pytest.raises(JobError, match=rf"python:rules.*{message}.*\[job_function\]"):
        import_function("rules:label", tmp_path)
