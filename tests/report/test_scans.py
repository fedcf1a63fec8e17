from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from batchroute.core.errors import OutputError
from batchroute.io.files import STORE_NAME
from batchroute.io.parts import write_part
from batchroute.io.tables import LEDGER, RESULTS, ledger_frame, results_frame
from batchroute.report.routes import write_routes
from batchroute.report.scans import scan_ledger, scan_results, scan_routes
from tests.builders import attempt, result


def test_all_parts_are_one_frame(tmp_path: Path) -> None:
    for number, record_id in enumerate("xyz", 1):
        write_part(tmp_path, f"results/part-{number:05}.parquet", results_frame([result(record_id)], {}))
        write_part(tmp_path, f"ledger/part-{number:05}.parquet", ledger_frame([attempt(record_id)]))
    assert scan_results(tmp_path).collect()["record_id"].to_list() == ["x", "y", "z"]
    assert scan_ledger(str(tmp_path)).collect()["record_id"].to_list() == ["x", "y", "z"]


def test_before_the_first_part_there_are_the_columns(tmp_path: Path) -> None:
    (tmp_path / STORE_NAME).touch()
    assert dict(scan_results(tmp_path).collect_schema()) == dict(RESULTS)
    assert dict(scan_ledger(tmp_path).collect_schema()) == dict(LEDGER)
    assert scan_results(tmp_path).collect().is_empty()


def test_parts_that_kept_other_columns_are_one_frame_too(tmp_path: Path) -> None:
    for number, (record_id, kept) in enumerate({"x": "source", "y": "lang"}.items(), 1):
        frame = results_frame([result(record_id, kept={kept: "here"})], {kept: pl.String()})
        write_part(tmp_path, f"results/part-{number:05}.parquet", frame)
    found = scan_results(tmp_path).select("record_id", "source", "lang").collect()
    assert found.rows() == [("x", "here", None), ("y", None, "here")]


def test_a_ledger_part_from_before_a_column_came_is_scanned_with_the_others(tmp_path: Path) -> None:
    """The prices of cached tokens came after the first parts had been written."""
    frame = ledger_frame([attempt("x", price_cached=5)])
    write_part(tmp_path, "ledger/part-00001.parquet", frame.drop("price_cached", "price_cache_write"))
    write_part(tmp_path, "ledger/part-00002.parquet", frame)
    prices = scan_ledger(tmp_path).collect()["price_cached"].to_list()
    assert prices == [None, Decimal("0.000005")]


def test_a_name_with_wildcards_is_a_name(tmp_path: Path) -> None:
    folder = tmp_path / "out[1]*"
    write_part(folder, "results/part-00001.parquet", results_frame([result("x")], {}))
    assert scan_results(folder).collect().height == 1


def test_what_is_no_part_is_left_alone(tmp_path: Path) -> None:
    write_part(tmp_path, "results/part-00001.parquet", results_frame([result("x")], {}))
    (tmp_path / "results/notes.parquet").write_text("mine")
    assert scan_results(tmp_path).collect().height == 1


@pytest.mark.parametrize("scan", [scan_ledger, scan_results])
@pytest.mark.parametrize("name", ["nope", "file", "empty", "out/results"])
def test_what_is_no_output_is_refused(tmp_path: Path, scan: Callable[..., pl.LazyFrame], name: str) -> None:
    """A mistyped name was an empty frame: nothing spent, nothing failed."""
    write_part(tmp_path / "out", "results/part-00001.parquet", results_frame([result("x")], {}))
    (tmp_path / "file").touch()
    (tmp_path / "empty").mkdir()

    for asked in ((name,), ("out", name)):
        with pytest.raises(OutputError, match=f"{name} holds no manifest: no run has begun there. Name"):
            scan(*(tmp_path / each for each in asked))


def test_routes_are_there_only_after_a_run(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no run has ended"):
        scan_routes(tmp_path)


def test_many_directories_are_one_frame(tmp_path: Path) -> None:
    for name in "ab":
        write_part(tmp_path / name, "results/part-00001.parquet", results_frame([result(name)], {}))
        write_part(tmp_path / name, "ledger/part-00001.parquet", ledger_frame([attempt(name)]))
        write_routes(tmp_path / name, None)
    both = (tmp_path / "a", str(tmp_path / "b"))
    assert scan_results(*both).collect()["record_id"].to_list() == ["a", "b"]
    assert scan_ledger(*both).collect()["record_id"].to_list() == ["a", "b"]
    assert scan_routes(*both).collect()["records"].to_list() == [1, 1]


def test_columns_that_a_version_did_not_write_are_null_and_later_ones_left_out(tmp_path: Path) -> None:
    old, new = ledger_frame([attempt("x")]).drop("lane", "model_state"), ledger_frame([attempt("y")])
    write_part(tmp_path, "ledger/part-00001.parquet", old.with_columns(pl.col("input_tokens").cast(pl.Int32)))
    write_part(tmp_path, "ledger/part-00002.parquet", new.with_columns(mood=pl.lit("fine")))
    found = scan_ledger(tmp_path).collect()
    assert dict(found.schema) == dict(LEDGER)
    assert found.select("record_id", "lane", "input_tokens").rows() == [("x", None, 10), ("y", "online", 10)]


def test_results_of_an_earlier_version_have_nulls(tmp_path: Path) -> None:
    write_part(tmp_path, "results/part-00001.parquet", results_frame([result("x")], {}).drop("flag"))
    assert scan_results(tmp_path).select("record_id", "flag").collect().rows() == [("x", None)]


def test_what_was_kept_as_a_number_here_and_as_text_there_is_text(tmp_path: Path) -> None:
    for number, (kind, value) in enumerate({pl.Int64(): 7, pl.String(): "seven"}.items(), 1):
        frame = results_frame([result(f"r{number}", kept={"n": value})], {"n": kind})
        write_part(tmp_path, f"results/part-{number:05}.parquet", frame)
    assert scan_results(tmp_path).collect()["n"].to_list() == ["7", "seven"]
