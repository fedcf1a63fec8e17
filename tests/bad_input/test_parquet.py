"""Parquet files that are bad, and odd ones that are not."""

import datetime as dt
import io
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.report.scans import scan_results
from tests.bad_input.corpus import Case, Expected, Make, check


def written(frame: pl.DataFrame, **options: Any) -> bytes:
    buffer = io.BytesIO()
    frame.write_parquet(buffer, **options)
    return buffer.getvalue()


def file(content: bytes, name: str = "in.parquet") -> Make:
    return lambda folder: (folder / name).write_bytes(content)


def frame(*texts: Any, dtype: Any = None, **columns: list[Any]) -> pl.DataFrame:
    ids = [str(number) for number in range(len(texts))]
    return pl.DataFrame({"id": ids, "text": pl.Series(texts, dtype=dtype), **columns})


def two(first: pl.DataFrame, second: pl.DataFrame) -> Make:
    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        first.write_parquet(folder / "in/a.parquet")
        second.write_parquet(folder / "in/b.parquet")

    return make


PLAIN = {"compression": "uncompressed", "statistics": False}
WHOLE = written(frame("aaaa", "bbbb"), **PLAIN)
FOOTER = int.from_bytes(WHOLE[-8:-4], "little")

REFUSED: Mapping[str, tuple[bytes, str]] = {
    "B76 empty": (b"", "parquet_bad"),
    "B76 under 12 bytes": (b"PAR1PAR1", "parquet_bad"),
    "B77 cut by a byte": (WHOLE[:-1], "parquet_bad"),
    "B77 cut in half": (WHOLE[: len(WHOLE) // 2], "parquet_bad"),
    "B77 cut to its head": (WHOLE[:4], "parquet_bad"),
    "B77 bad magic": (b"PAR2" + WHOLE[4:], "parquet_bad"),
    "B77 bad magic at the end": (WHOLE[:-4] + b"PAR2", "parquet_bad"),
    "B78 footer length": (WHOLE[:-8] + b"\xff\xff\xff\x7f" + WHOLE[-4:], "parquet_bad"),
    "B78 footer length 0": (WHOLE[:-8] + bytes(4) + WHOLE[-4:], "parquet_bad"),
    "B78 metadata": (WHOLE[: -8 - FOOTER] + b"\xff" * FOOTER + WHOLE[-8:], "parquet_bad"),
    "B80 page": (WHOLE[:4] + b"\xff" * 40 + WHOLE[44:], "parquet_page"),
    "B81 encrypted": (b"PARE" + WHOLE[4:-4] + b"PARE", "parquet_encrypted"),
    "B88 column missing": (written(frame("a").rename({"text": "txet"})), "column_missing"),
    "B88 id missing": (written(frame("a").rename({"id": "key"})), "column_missing"),
    "B89 names twice": (written(frame("a", texu=["b"]), **PLAIN).replace(b"texu", b"text"), "column_ambiguous"),
    "B89 names but for case": (written(frame("a", TEXT=["b"])), "column_ambiguous"),
    "B92 Null": (written(frame(None, None)), "column_all_null"),
    "B92 all null": (written(frame(None, None, dtype=pl.String)), "input_mostly_bad"),
    "B93 binary": (written(frame(b"a", b"b")), "column_type"),
    "B94 list": (written(frame(["a"], ["b"])), "column_type"),
    "B94 struct": (written(frame({"a": "x"}, {"a": "y"})), "column_type"),
    "B95 not UTF-8 in the page": (WHOLE.replace(b"bbbb", b"b\xff\xffb"), "parquet_page"),
}  # fmt: skip

DEAD: Mapping[str, tuple[pl.DataFrame, str]] = {
    "B57 null": (frame("a", "b", None, dtype=pl.String), "field_null"),
    "B59 empty": (frame("a", "b", ""), "prompt_empty"),
    "B67 repeated id": (frame("a", "b", "c").with_columns(id=pl.Series(["0", "1", "1"])), "id_duplicate"),
    "B67 no id": (frame("a", "b", "c").with_columns(id=pl.Series(["0", "1", None])), "id_missing"),
    "B96 out of range": (frame(0, 1, 2**31 - 1, dtype=pl.Int32).cast({"text": pl.Date}), "value_range"),
    "B97 NaN": (frame(1.0, 2.0, float("nan")), "value_nonfinite"),
    "B97 infinity": (frame(1.0, 2.0, float("-inf")), "value_nonfinite"),
}

READ: Mapping[str, tuple[pl.DataFrame, dict[str, Any], list[str]]] = {
    "B83 zero rows": (frame("a").head(0), {}, []),
    "B84 many row groups": (frame(*"abcdefgh"), {"row_group_size": 1}, [*"abcdefgh"]),
    "B85 categories": (frame("a", "b", "a", dtype=pl.Categorical), {}, ["a", "a", "b"]),
    "B86 decimal": (frame(Decimal("1.10"), Decimal("-0.05"), dtype=pl.Decimal(38, 2)), {}, ["-0.05", "1.10"]),
    "B86 128 bits": (frame(2**100, dtype=pl.Int128), {}, [str(2**100)]),
    "B86 64 bits without sign": (frame(2**64 - 1, dtype=pl.UInt64), {}, [str(2**64 - 1)]),
    "B87 10,000 columns": (frame("a", **{f"c{number}": [1] for number in range(9_998)}), {}, ["a"]),
    "B94 dotted": (frame({"a": "x"}), {"prompt": "{{ text.a }}"}, ['{"a":"x"}']),
    "B96 date": (frame(dt.date(2024, 2, 29)), {}, ["2024-02-29"]),
    "B61 true": (frame(True), {}, ["true"]),
}


@pytest.mark.parametrize(("content", "word"), REFUSED.values(), ids=REFUSED)
def test_a_bad_file_is_refused_before_anything_is_sent(
    tmp_path: Path, base_url: str, content: bytes, word: str
) -> None:
    job = {"input": {"path": "in.parquet", "id": "id"}}
    dead = {"field_null": 2} if word == "input_mostly_bad" else {}
    expected = Expected(exit_code=65, word=word, dead=dead)
    told = check(Case(make=file(content), job=job, expected=expected), tmp_path, base_url)
    assert told.attempts == 0


@pytest.mark.parametrize(("content", "word"), DEAD.values(), ids=DEAD)
def test_a_bad_row_is_a_dead_letter_with_its_place(
    tmp_path: Path, base_url: str, content: pl.DataFrame, word: str
) -> None:
    job = {"input": {"path": "in.parquet", "id": "id"}}
    expected = Expected(answered=2, dead={word: 1}, exit_code=3)
    check(Case(make=file(written(content)), job=job, expected=expected), tmp_path, base_url)
    (message,) = scan_results(tmp_path / "out").collect().filter(status="failed")["error_message"]
    assert message.startswith("in.parquet:3: ")


@pytest.mark.parametrize(("content", "options", "texts"), READ.values(), ids=READ)
def test_an_odd_file_is_read(
    tmp_path: Path, base_url: str, content: pl.DataFrame, options: dict[str, Any], texts: list[str]
) -> None:
    how = dict(options)
    job = {
        "input": {"path": "in.parquet", "id": "id"},
        "prompt": {"user": how.pop("prompt", "{{ text }}")},
    }
    expected = Expected(answered=len(texts), warning=None if texts else "holds no record")
    check(Case(make=file(written(content, **how)), job=job, expected=expected), tmp_path, base_url)


def test_files_that_disagree_on_a_used_column_are_refused(tmp_path: Path, base_url: str) -> None:
    expected = Expected(exit_code=65, word="schema_conflict")
    case = Case(make=two(frame("a"), frame(1)), job={"input": {"path": "in", "id": "id"}}, expected=expected)
    check(case, tmp_path, base_url)


def test_files_may_disagree_on_other_columns(tmp_path: Path, base_url: str) -> None:
    other = frame("b", more=[1]).with_columns(id=pl.lit("z"))
    case = Case(
        make=two(frame("a"), other), job={"input": {"path": "in", "id": "id"}}, expected=Expected(answered=2)
    )
    check(case, tmp_path, base_url)


def test_the_name_of_a_folder_is_no_column(tmp_path: Path, base_url: str) -> None:
    def make(folder: Path) -> None:
        (folder / "text=other").mkdir()
        frame("a").write_parquet(folder / "text=other/in.parquet")

    job = {"input": {"path": "text=other", "id": "id"}}
    check(Case(make=make, job=job, expected=Expected(answered=1)), tmp_path, base_url)
