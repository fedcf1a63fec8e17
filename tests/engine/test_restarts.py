"""Starting over: nothing is removed before it is sure that the run in its place can begin."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.errors import BatchrouteError, InputError, OutputError
from batchroute.engine.pipeline import Options
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import always, answer

FRESH = Options(fresh=True)


def ran(folder: Path, options: Options | None = None, **fields: Any) -> Ran:
    fine = always(answer())
    return run_virtually(folder, scripts={"a": fine, "b": fine}, options=options, **fields)


def files(folder: Path) -> dict[str, bytes]:
    return {str(file): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def dataset(folder: Path) -> dict[str, bytes]:
    """An output of ten records, and what its files hold."""
    write_records(folder / "in.jsonl", records(10))
    assert ran(folder).ended.succeeded == 10
    return {name: held for name, held in files(folder / "out").items() if not name.endswith(".lock")}


def assert_as_it_was(folder: Path, before: dict[str, bytes]) -> None:
    after = files(folder / "out")
    assert {name: after.get(name) for name in before} == before


def test_a_fresh_run_starts_over(tmp_path: Path) -> None:
    dataset(tmp_path)
    again = ran(tmp_path, FRESH)
    assert (len(again.provider.log), again.results.height, again.ledger.height) == (10, 10, 10)


@pytest.mark.parametrize(
    "refused",
    [
        pytest.param({"budget": {"usd": 1}, "prompt": {"user": "{{ text }}"}}, id="no limit of the output"),
        pytest.param({"budget": {"usd": 1}, "models": {"a": model("a", price=None)}}, id="no price"),
        pytest.param({"deadline": "2020-01-01T00:00:00+00:00"}, id="too late"),
    ],
)
def test_a_job_that_is_refused_removes_nothing(tmp_path: Path, refused: dict[str, Any]) -> None:
    before = dataset(tmp_path)
    one: dict[str, Any] = {"models": {"a": model("a")}, "routes": {"default": {"models": ["a"]}}}
    with pytest.raises(BatchrouteError):
        ran(tmp_path, FRESH, **(one | refused))
    assert_as_it_was(tmp_path, before)


def test_a_column_that_is_not_there_removes_nothing(tmp_path: Path) -> None:
    before = dataset(tmp_path)
    pl.DataFrame(records(10)).write_parquet(tmp_path / "in.parquet")
    with pytest.raises(BatchrouteError, match="absent"):
        ran(
            tmp_path,
            FRESH,
            input={"path": str(tmp_path / "in.parquet"), "id": "id"},
            output={"path": str(tmp_path / "out"), "keep": ["absent"]},
        )
    assert_as_it_was(tmp_path, before)


def good(count: int, start: int = 0) -> list[str]:
    return [json.dumps(record) for record in records(start + count)[start:]]


BAD = "{broken"
INPUTS: dict[str, tuple[list[str], Options, dict[str, Any]]] = {
    "all good": (good(300), FRESH, {}),
    "no record at all": ([], FRESH, {}),
    "the first hundred": ([BAD] * 100 + good(400), FRESH, {}),
    "the first ninety-nine": ([BAD] * 99 + good(400), FRESH, {}),
    "three of five": (good(2) + [BAD] * 3, FRESH, {}),
    "half of them": (good(3) + [BAD] * 3, FRESH, {}),
    "an id again and again": (good(1) * 200, FRESH, {}),
    "no text": ([json.dumps({"id": f"x{number}"}) for number in range(5)], FRESH, {}),
    "no text where nothing is asked for": (
        [json.dumps({"id": f"x{number}", "task": "chat"}) for number in range(5)],
        Options(fresh=True, only=("task=code",)),
        {"classify": [{"column": "task"}]},
    ),
    "bad only after the limit": (good(2) + [BAD] * 8, Options(fresh=True, limit=2), {}),
    "bad up to the limit": ([BAD] * 2 + good(8), Options(fresh=True, limit=2), {}),
}


@pytest.mark.parametrize(("lines", "options", "fields"), INPUTS.values(), ids=INPUTS)
def test_what_would_stop_a_run_before_it_sends_anything_is_found_before_anything_is_removed(
    tmp_path: Path, lines: list[str], options: Options, fields: dict[str, Any]
) -> None:
    (tmp_path / "empty").mkdir()
    before = dataset(tmp_path)
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    given = {"input": {"path": str(tmp_path / "in.jsonl"), "id": "id"}, **fields}

    alone = ran(tmp_path / "empty", options, **given)  # nothing is there to be removed
    if alone.ended.exit_code == InputError.exit_code:
        assert not alone.provider.log
        with pytest.raises(InputError) as refused:
            ran(tmp_path, options, **given)
        assert str(refused.value) == str(alone.ended.reason)
        assert_as_it_was(tmp_path, before)
    else:
        again = ran(tmp_path, options, **given)
        assert again.ended.exit_code == alone.ended.exit_code
        assert again.results.sort("record_id")["record_id"].equals(
            alone.results.sort("record_id")["record_id"]
        )


def test_a_damaged_file_removes_nothing(tmp_path: Path) -> None:
    before = dataset(tmp_path)
    (tmp_path / "in.jsonl.gz").write_bytes(b"\x1f\x8b\x08\x00 torn")
    with pytest.raises(InputError, match="compressed"):
        ran(tmp_path, FRESH, input={"path": str(tmp_path / "in.jsonl.gz"), "id": "id"})
    assert_as_it_was(tmp_path, before)


@pytest.mark.parametrize("options", [Options(), FRESH])
def test_the_output_of_another_job_is_refused_and_stays(tmp_path: Path, options: Options) -> None:
    before = dataset(tmp_path)
    with pytest.raises(OutputError, match=r"results of job 'test', this is 'other' \(output_foreign\)"):
        ran(tmp_path, options, job="other")
    assert_as_it_was(tmp_path, before)
