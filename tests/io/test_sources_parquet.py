"""Parquet files to batches: only what is used, exactly, and never a panic."""

import contextlib
import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.errors import InputError
from batchroute.core.records import Record, Reject
from batchroute.io.sources.source import Source, open_source
from batchroute.io.tables import carried_value, results_frame
from tests.builders import result


def source(
    path: Path,
    frame: pl.DataFrame,
    *,
    id_column: str | None = None,
    columns: frozenset[str] | None = None,
    batch_records: int = 4096,
) -> Source:
    frame.write_parquet(path)
    return open_source(str(path), id_column=id_column, columns=columns, batch_records=batch_records)


async def read(opened: Source) -> tuple[list[Record], list[Reject]]:
    batches = [batch async for batch in opened.batches()]
    return [record for batch in batches for record in batch.records], [
        reject for batch in batches for reject in batch.rejects
    ]


def refused(path: Path, **options: Any) -> InputError:
    with pytest.raises(InputError) as caught:
        open_source(str(path), **{"id_column": None, "columns": None, **options})
    return caught.value


async def test_only_used_columns_are_read(tmp_path: Path) -> None:
    frame = pl.DataFrame({"id": [1, 2], "text": ["a", None], "unused": [b"x", b"y"]})
    opened = source(tmp_path / "in.parquet", frame, columns=frozenset({"text"}))

    records, rejects = await read(opened)

    assert not rejects
    assert [(record.record_id, record.line, record.fields) for record in records] == [
        ("1", 1, {"id": 1, "text": "a"}),
        ("2", 2, {"id": 2, "text": None}),
    ]
    assert opened.rows == 2
    assert opened.schema == {"id": pl.Int64(), "text": pl.String()}
    assert opened.statistics().bytes_read == opened.bytes_total


async def test_no_used_column_still_gives_every_record(tmp_path: Path) -> None:
    opened = source(tmp_path / "in.parquet", pl.DataFrame({"a": [1, 2, 3]}), columns=frozenset())
    records, _ = await read(opened)
    assert [(record.record_id, record.fields) for record in records] == [
        ("in.parquet:1", {}),
        ("in.parquet:2", {}),
        ("in.parquet:3", {}),
    ]


@pytest.mark.parametrize("group", [1, 7, 100_000])
async def test_row_groups_do_not_show(tmp_path: Path, group: int) -> None:
    rows = 70_000 if group > 1 else 500
    path = tmp_path / "in.parquet"
    pl.DataFrame({"id": range(rows)}).write_parquet(path, row_group_size=group)

    records, _ = await read(open_source(str(path), id_column="id", columns=None, batch_records=1000))

    assert [record.fields["id"] for record in records] == list(range(rows))
    assert [record.line for record in records] == list(range(1, rows + 1))


async def test_wide_rows_are_read_in_short_slices(tmp_path: Path) -> None:
    texts = [pl.Series([n]).hash(n).cast(pl.String).item() * 20_000 for n in range(40)]
    frame = pl.DataFrame({"id": range(40), "text": texts})
    path = tmp_path / "in.parquet"
    frame.write_parquet(path, compression="uncompressed")

    batches = [batch async for batch in open_source(str(path), id_column="id", columns=None).batches()]

    assert max(len(batch.records) for batch in batches) <= (8 << 20) // 380_000 + 1
    assert [record.fields["text"] for batch in batches for record in batch.records] == texts


@pytest.mark.parametrize(
    ("columns", "id_column", "expected"),
    [
        ({"custom_id": ["c", None], "id": ["i", "j"]}, None, ["c", "in.parquet:2"]),
        ({"id": ["i", " "]}, None, ["i", "in.parquet:2"]),
        ({"id": [True, False]}, "id", ["true", "false"]),
        ({"id": [1.0, 2.5]}, "id", ["1.0", "2.5"]),
        ({"id": [Decimal("1.10"), Decimal("2.00")]}, "id", ["1.10", "2.00"]),
        ({"id": [dt.date(2026, 1, 2), dt.date(1, 1, 1)]}, "id", ["2026-01-02", "0001-01-01"]),
        ({"id": [{"a": 1}, {"a": 2}]}, "id", ['{"a":1}', '{"a":2}']),
    ],
)
async def test_the_id_is_text(
    tmp_path: Path, columns: dict[str, Any], id_column: str | None, expected: list[str]
) -> None:
    records, _ = await read(source(tmp_path / "in.parquet", pl.DataFrame(columns), id_column=id_column))
    assert [record.record_id for record in records] == expected


async def test_a_declared_id_must_be_there_in_each_row(tmp_path: Path) -> None:
    frame = pl.DataFrame({"key": ["a", None, " ", "d"]})
    records, rejects = await read(source(tmp_path / "in.parquet", frame, id_column="key"))
    assert [(record.record_id, record.line) for record in records] == [("a", 1), ("d", 4)]
    assert [(reject.record_id, reject.fault.error_type) for reject in rejects] == [
        ("in.parquet:2", "id_missing"),
        ("in.parquet:3", "id_missing"),
    ]


@pytest.mark.parametrize(
    "series",
    [
        pl.Series([2**64 - 1, None], dtype=pl.UInt64),
        pl.Series([2**100, -(2**100)], dtype=pl.Int128),
        pl.Series([Decimal("12345678901234567890.12"), None], dtype=pl.Decimal(38, 2)),
        pl.Series(["a", None], dtype=pl.Categorical()),
        pl.Series([dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999999)]),  # noqa: DTZ001
        pl.Series([dt.datetime(2026, 1, 1, tzinfo=dt.UTC), None], dtype=pl.Datetime("us", "UTC")),
        pl.Series([[1, 2], None]),
        pl.Series([{"a": [{"b": "c"}]}, None]),
        pl.Series(["\0 \u2028 \U0001f600", ""]),
        pl.Series([float("nan"), 1e-320]),
    ],
    ids=lambda series: str(series.dtype),
)
async def test_values_come_out_as_polars_holds_them(tmp_path: Path, series: pl.Series) -> None:
    records, _ = await read(source(tmp_path / "in.parquet", pl.DataFrame({"v": series})))
    assert repr([record.fields["v"] for record in records]) == repr(series.to_list())


NOON = 1_774_782_000 * 10**9
FINER = [
    (pl.Datetime("ns"), [NOON + 1, NOON], ["2026-03-29T11:00:00.000000001", dt.datetime(2026, 3, 29, 11)]),  # noqa: DTZ001
    (
        pl.Datetime("ns", "Europe/Berlin"),
        [NOON + 1, NOON],
        ["2026-03-29T11:00:00.000000001+00:00", dt.datetime(2026, 3, 29, 11, tzinfo=dt.UTC)],
    ),
    (pl.Time(), [86_399_999_999_999, 1_000], ["23:59:59.999999999", dt.time(0, 0, 0, 1)]),
    (pl.Duration("ns"), [-1, 2_000], ["-PT0.000000001S", dt.timedelta(microseconds=2)]),
]


@pytest.mark.parametrize(("kind", "ticks", "values"), FINER, ids=lambda it: str(it)[:28])
async def test_a_time_finer_than_python_holds_stays_whole_as_text(
    tmp_path: Path, kind: pl.DataType, ticks: list[int], values: list[Any]
) -> None:
    times = pl.Series([*ticks, None]).cast(kind)
    records, _ = await read(source(tmp_path / "in.parquet", pl.DataFrame({"t": times})))
    assert [record.fields["t"] for record in records] == [*values, None]


@pytest.mark.parametrize(
    ("kind", "least", "most"),
    [
        (pl.Time(), 0, 86_400 * 10**9 - 1),
        (pl.Duration("ns"), -(2**63) + 1, 2**63 - 1),
        (pl.Duration("us"), -(2**63) + 1, 2**63 - 1),
        (pl.Duration("ms"), -999_999_999 * 86_400_000, 999_999_999 * 86_400_000),
        (pl.Datetime("ns"), -(2**63) + 1, 2**63 - 1),
        (pl.Datetime("ns", "UTC"), -(2**63) + 1, 2**63 - 1),
        (pl.Datetime("ns", "Europe/Amsterdam"), -(2**62), 2**62),  # before 1937 its offsets had seconds
        (pl.Datetime("us", "Europe/Amsterdam"), -(2**52), 2**52),
    ],
    ids=str,
)
@given(share=st.floats(0, 1), coarse=st.sampled_from([1, 7, 1_000, 10**9]))
async def test_a_kept_time_reaches_the_results_to_the_last_digit(
    tmp_path_factory: pytest.TempPathFactory,
    kind: pl.DataType,
    least: int,
    most: int,
    share: float,
    coarse: int,
) -> None:
    """Times, durations and times with a zone were cut to microseconds."""
    between = least + int((most - least) * share) // coarse * coarse
    times = pl.Series("t", [least, most, min(between, most), None, 0], dtype=pl.Int64).cast(kind)
    records, rejects = await read(source(tmp_path_factory.mktemp("t") / "in.parquet", times.to_frame()))
    kept = [carried_value(record.fields["t"]) for record in records]
    carried = results_frame([result(kept={"t": value}) for value in kept], {"t": kind})["t"]

    assert not rejects
    assert carried.dtype == kind
    assert carried.to_physical().to_list() == times.to_physical().to_list()


async def test_a_short_float_is_spelled_as_short_as_it_can_be(tmp_path: Path) -> None:
    """It would be 0.10000000149011612 in a prompt."""
    floats = pl.Series([0.1, 1 / 3, 3.4e38, None, float("inf")], dtype=pl.Float32)
    records, _ = await read(source(tmp_path / "in.parquet", pl.DataFrame({"f": floats})))
    read_back = [record.fields["f"] for record in records]
    assert read_back == [0.1, 0.33333334, 3.4e38, None, float("inf")]
    assert results_frame([result(kept={"f": value}) for value in read_back], {"f": pl.Float32()})["f"].equals(
        floats.rename("f")
    )


async def test_a_duration_that_python_has_not_is_the_fault_of_its_row(tmp_path: Path) -> None:
    durations = pl.Series([2**62, 0, -(2**62)]).cast(pl.Duration("ms"))
    records, rejects = await read(source(tmp_path / "in.parquet", pl.DataFrame({"d": durations})))
    assert [record.line for record in records] == [2]
    assert [(reject.line, reject.fault.error_type) for reject in rejects] == [
        (1, "value_range"),
        (3, "value_range"),
    ]


async def test_a_date_that_python_has_not_is_the_fault_of_its_row(tmp_path: Path) -> None:
    frame = pl.DataFrame(
        {
            "d": pl.Series([0, 2**31 - 1, None, 1, 2], dtype=pl.Int32).cast(pl.Date),
            "t": pl.Series([0, 0, 0, 2**62, None]).cast(pl.Datetime("us")),
        }
    )
    records, rejects = await read(source(tmp_path / "in.parquet", frame))
    assert [record.line for record in records] == [1, 3, 5]
    assert [(reject.line, reject.fault.error_type) for reject in rejects] == [
        (2, "value_range"),
        (4, "value_range"),
    ]


FRAME = pl.DataFrame({"id": ["a"], "text": ["b"], "Text": ["c"], "blob": [b"d"], "none": [None]})


@pytest.mark.parametrize(
    ("options", "code", "hint"),
    [
        ({"id_column": "ids"}, "column_missing", "'id'"),
        ({"columns": frozenset({"txet"})}, "column_missing", "'text'"),
        ({"columns": frozenset({"text"})}, "column_ambiguous", "'Text'"),
        ({"columns": frozenset({"blob"})}, "column_type", "'blob'"),
        ({"columns": frozenset({"none"})}, "column_all_null", "'none'"),
    ],
)
def test_a_column_that_cannot_be_used_is_refused(
    tmp_path: Path, options: dict[str, Any], code: str, hint: str
) -> None:
    FRAME.write_parquet(tmp_path / "in.parquet")
    error = refused(tmp_path / "in.parquet", **options)
    assert error.code == code
    assert hint in str(error)


def test_unused_columns_may_be_anything(tmp_path: Path) -> None:
    FRAME.write_parquet(tmp_path / "in.parquet")
    assert open_source(str(tmp_path / "in.parquet"), id_column="id", columns=frozenset()).schema == {
        "id": pl.String()
    }


def test_a_pattern_is_the_name_of_a_column_like_any_other(tmp_path: Path) -> None:
    pl.DataFrame({"^a.*$": [1], "ab": [2]}).write_parquet(tmp_path / "in.parquet")
    opened = open_source(str(tmp_path / "in.parquet"), id_column="^a.*$", columns=frozenset())
    assert opened.schema == {"^a.*$": pl.Int64()}


def test_files_must_agree_on_used_columns_only(tmp_path: Path) -> None:
    pl.DataFrame({"id": [1], "x": [1]}).write_parquet(tmp_path / "a.parquet")
    pl.DataFrame({"id": [2], "x": ["1"]}).write_parquet(tmp_path / "b.parquet")

    assert open_source(str(tmp_path), id_column="id", columns=frozenset()).rows == 2
    error = refused(tmp_path, columns=frozenset({"x"}))
    assert error.code == "schema_conflict"
    assert "a.parquet" in str(error)
    assert "b.parquet" in str(error)


async def test_no_rows_give_no_batch(tmp_path: Path) -> None:
    opened = source(tmp_path / "in.parquet", pl.DataFrame({"id": []}, schema={"id": pl.String}))
    assert [batch async for batch in opened.batches()] == []
    assert opened.rows == 0


async def test_a_folder_name_adds_no_column(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    records, _ = await read(source(tmp_path / "day=1" / "in.parquet", pl.DataFrame({"day": [7]})))
    assert [record.fields for record in records] == [{"day": 7}]


async def test_a_page_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    pl.DataFrame({"id": [f"r{number}" for number in range(1000)]}).write_parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4] + b"\xff" * 200 + whole[204:])
    with pytest.raises(InputError) as caught:
        await read(open_source(str(path), id_column=None, columns=None))
    assert caught.value.code == "parquet_page"


async def test_a_replaced_file_is_refused(tmp_path: Path) -> None:
    opened = source(tmp_path / "in.parquet", pl.DataFrame({"id": ["a"]}))
    pl.DataFrame({"id": ["a", "b"]}).write_parquet(tmp_path / "new.parquet")
    (tmp_path / "new.parquet").replace(tmp_path / "in.parquet")
    with pytest.raises(InputError) as caught:
        await read(opened)
    assert caught.value.code == "input_changed"


@given(st.integers(0, 2000), st.integers(0, 255))
async def test_a_damaged_footer_is_a_refusal_and_never_a_panic(
    tmp_path_factory: pytest.TempPathFactory, at: int, byte: int
) -> None:
    path = tmp_path_factory.mktemp("damage") / "in.parquet"
    pl.DataFrame({"id": ["a", "b"], "n": [1, 2]}).write_parquet(path)
    damaged = bytearray(path.read_bytes())
    # Not in the pages: a wrong length of their levels makes polars 2.1 itself abort the process, which nothing catches.
    footer = 8 + int.from_bytes(damaged[-8:-4], "little")
    damaged[-1 - at % footer] = byte
    path.write_bytes(damaged)
    # pyo3's PanicException would pass through this: it is no Exception.
    with contextlib.suppress(InputError):
        await read(open_source(str(path), id_column=None, columns=None))
