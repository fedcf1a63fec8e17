"""Parquet to batches: only the used columns, a few thousand rows at a time, whatever the row groups."""

import asyncio
import difflib
import threading
from collections.abc import AsyncGenerator
from contextlib import ExitStack
from datetime import date, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import polars.selectors as cs
from msgspec import Struct, structs

from batchroute.core.errors import InputError
from batchroute.core.records import Batch, Fault, Record, Reject
from batchroute.io.sources.chunks import Chunk, changed
from batchroute.io.sources.files import Identity, SourceFile
from batchroute.io.sources.ids import Identifier, identifier
from batchroute.io.sources.objects import Place

# A panic in polars is a BaseException, which `except Exception` would let through.
_POLARS_ERRORS = (pl.exceptions.PolarsError, pl.exceptions.PanicException)
_EPOCH = date(1970, 1, 1).toordinal()
_SLICE_ROWS = 1 << 16
_SLICE_BYTES = 8 << 20
"""Compressed bytes that one slice may stand for: wide rows make shorter slices."""
_FIRST_ROWS = 256
_GROWTH = 8
_LOOK_ROWS = 1_000
_SMALL_OBJECT = 32 << 20
"""Bytes of an object that is copied at once; of a larger one the first rows are read where it is, for a look at it.

Each slice that polars reads there brings whole row groups over again, and nothing holds it to one version of it.
"""
_OF_STORAGE = "object-store error"  # how polars begins, in OSErrors as a rule
_HELD_BYTES = 64 << 20
"""Bytes of values that one slice, and one batch, should come to. A few kilobytes of Parquet may stand for
gigabytes of text, so slices begin short and grow as their values turn out to be small.
"""


class Table(Struct, frozen=True, kw_only=True):
    """What a Parquet file's footer says of it: all rows, and the types of the columns that are used."""

    rows: int
    schema: dict[str, pl.DataType]
    identifier: Identifier


def open_table(
    file: SourceFile,
    id_column: str | None,
    columns: frozenset[str] | None,
    binary: frozenset[str] = frozenset(),
) -> Table:
    """Read the footer and settle which columns to read; None for all of them. Those in `binary` may hold bytes.

    Raises InputError: parquet_bad, column_missing, column_ambiguous, column_type, column_all_null.
    """
    schema, rows = _footer(file)
    named = identifier(id_column, schema)
    used = {*(schema if columns is None else columns), *named.fields}
    for name in sorted(used):
        _check_column(
            file, schema, name, declared=columns is not None or name == id_column, binary=name in binary
        )
    return Table(rows=rows, schema={name: schema[name] for name in schema if name in used}, identifier=named)


async def read_parquet(
    file: SourceFile, table: Table, batch_records: int, spool: Path
) -> AsyncGenerator[Chunk, None]:
    """Read one file; an object through a copy of it in the folder `spool`, save for the first rows of a large one.

    Raises InputError: input_changed, parquet_page; of an object also input_io, and NoRoomError or OutputError where
    there is no place for the copy.
    """
    await asyncio.to_thread(_check_same, file)
    most = _most_rows(file, table)
    rows, wanted = 0, min(_FIRST_ROWS if file.place is None else _LOOK_ROWS, most)
    with ExitStack() as copies:
        while rows < table.rows:
            if file.place is not None and (rows or file.size <= _SMALL_OBJECT):
                file = await _brought(file, file.place, spool)
                copies.callback(file.path.unlink, missing_ok=True)
            part = await asyncio.to_thread(_read_slice, file, table, rows, wanted)
            if not part.height:
                raise changed(file)
            affordable = max(1, _HELD_BYTES * part.height // max(1, _value_bytes(part)))
            for frame in part.iter_slices(min(batch_records, affordable)):
                batch = _batch(frame, file.name, rows + 1, table)
                rows += frame.height
                yield Chunk(batch=batch, bytes_read=file.size * rows // table.rows)
            wanted = min(most, affordable, wanted * _GROWTH)
        await asyncio.to_thread(_check_same, file)


async def _brought(file: SourceFile, place: Place, spool: Path) -> SourceFile:
    """The file with a copy of the object in its place."""
    unwanted = threading.Event()
    try:
        path = await asyncio.to_thread(place.bring, spool, unwanted)
    finally:
        unwanted.set()
    return structs.replace(file, path=path, identity=Identity.of(path.stat()), place=None)


def _most_rows(file: SourceFile, table: Table) -> int:
    row_bytes = max(1, file.size // max(1, table.rows))
    return max(1, min(_SLICE_ROWS, _SLICE_BYTES // row_bytes))


def _value_bytes(frame: pl.DataFrame) -> int:
    """What the values come to once each stands for itself: equal texts may share their bytes until then."""
    texts = frame.select(cs.string().str.len_bytes().sum())
    sizes: tuple[int, ...] = texts.row(0) if texts.height else ()
    return int(frame.estimated_size()) + sum(sizes)


def _scan(file: SourceFile) -> pl.LazyFrame:
    if file.place is None:
        return pl.scan_parquet(file.path, glob=False, hive_partitioning=False)
    return pl.scan_parquet(
        file.place.url,
        glob=False,
        hive_partitioning=False,
        storage_options=file.place.polars_options(),
        credential_provider=None,
    )


def _footer(file: SourceFile) -> tuple[dict[str, pl.DataType], int]:
    try:
        scan = _scan(file)
        schema = dict(scan.collect_schema())
        return schema, int(scan.select(pl.len()).collect().item())
    except (*_POLARS_ERRORS, OSError) as error:
        _refuse_unread(file, error)
        said = _first_line(error)
        if "more than one occurrence" in said or isinstance(error, pl.exceptions.DuplicateError):
            raise InputError(f"{file.name} names a column twice: {said}", code="column_ambiguous") from error
        raise InputError(f"{file.name} is damaged or no Parquet file: {said}", code="parquet_bad") from error


def _check_column(
    file: SourceFile, schema: dict[str, pl.DataType], name: str, *, declared: bool, binary: bool
) -> None:
    if name not in schema:
        near = difflib.get_close_matches(name, schema, n=3, cutoff=0.5) or list(schema)[:10]
        raise InputError(
            f"{file.name} has no column {name!r}. It has {', '.join(map(repr, near))}", code="column_missing"
        )
    if not declared:
        return
    twins = [other for other in schema if other.casefold() == name.casefold() and other != name]
    if twins:
        raise InputError(
            f"{file.name} has both {name!r} and {twins[0]!r}. Rename one", code="column_ambiguous"
        )
    if schema[name] == pl.Null:
        raise InputError(f"{file.name}: column {name!r} holds nothing but null", code="column_all_null")
    if schema[name] == pl.Binary and not binary:
        raise InputError(
            f"{file.name}: column {name!r} is binary, not text. Decode it first", code="column_type"
        )


def _read_slice(file: SourceFile, table: Table, start: int, rows: int) -> pl.DataFrame:
    """The next rows of the used columns.

    A slice at a time, not one stream over the file: polars' stream decodes row groups ahead of its reader,
    which held 300 to 400 MiB of a million rows of 240 bytes where slices held 100 to 160 at the same speed.
    """
    # With no column at all rows could not be counted, so one is read for its length.
    columns = cs.by_name(*table.schema) if table.schema else pl.first()
    try:
        return _scan(file).slice(start, rows).select(columns).collect(engine="in-memory")
    except (*_POLARS_ERRORS, OSError) as error:
        _refuse_unread(file, error)
        raise _bad_page(file.name, error) from error


def _batch(frame: pl.DataFrame, file: str, first: int, table: Table) -> Batch:
    faults: dict[int, Fault] = {}
    try:
        columns = [_values(frame[name], faults) for name in table.schema]
    except _POLARS_ERRORS as error:
        raise _bad_page(file, error) from error
    # column by column: a dict from each row's own zip takes five times as long
    rows: list[dict[str, Any]] = [{} for _ in range(frame.height)]
    for name, values in zip(table.schema, columns, strict=True):
        for fields, value in zip(rows, values, strict=True):
            fields[name] = value
    ids = table.identifier.read_all(rows)
    if table.identifier.required and None in ids:
        for row, record_id in enumerate(ids):
            if record_id is None:
                faults[row] = table.identifier.missing(rows[row])
    records = [
        Record(record_id or f"{file}:{line}", file, line, fields)
        for line, (record_id, fields) in enumerate(zip(ids, rows, strict=True), first)
    ]
    if not faults:
        return Batch(records=records, rejects=[])
    return Batch(
        records=[record for row, record in enumerate(records) if row not in faults],
        rejects=[Reject(file=file, line=first + row, fault=faults[row]) for row in sorted(faults)],
    )


def _values(series: pl.Series, faults: dict[int, Fault]) -> list[Any]:
    """Python's values of a column. Dates and times that Python has no value for are faults of their rows."""
    if isinstance(series.dtype, pl.Date | pl.Datetime | pl.Duration):
        series = _possible(series, faults)
    if series.dtype == pl.Float32:  # the shortest number that it is: 0.1, and not 0.10000000149011612
        series = series.cast(pl.String).cast(pl.Float64)
    zone = getattr(series.dtype, "time_zone", None)
    values = series.to_list() if zone is None else _zoned(series, ZoneInfo(zone))
    if isinstance(series.dtype, pl.Time) or getattr(series.dtype, "time_unit", None) == "ns":
        return _exact(series, values)
    return values


def _possible(series: pl.Series, faults: dict[int, Fault]) -> pl.Series:
    possible = series.to_physical().is_between(*_python_range(series.dtype))
    said = (
        "a duration of more than 999,999,999 days"
        if isinstance(series.dtype, pl.Duration)
        else "a date outside the years 1 to 9999"
    )
    for row in (~possible).fill_null(value=False).arg_true():
        faults[row] = Fault("value_range", f"column {series.name!r} has {said}")
    return series.to_frame().select(pl.when(possible).then(pl.first())).to_series()


def _python_range(dtype: pl.DataType) -> tuple[int, int]:
    """Days since 1970 or ticks that Python has a value for, less a day at each end for time zones."""
    first, last = date.min.toordinal() - _EPOCH, date.max.toordinal() - _EPOCH
    if not isinstance(dtype, pl.Datetime | pl.Duration):
        return first, last
    ticks = 86_400 * {"ms": 10**3, "us": 10**6, "ns": 10**9}[dtype.time_unit]
    lowest, highest = (first + 1) * ticks, last * ticks - 1
    if isinstance(dtype, pl.Duration):
        lowest, highest = timedelta.min.days * ticks, timedelta.max.days * ticks
    elif dtype.time_zone is None:
        lowest, highest = first * ticks, (last + 1) * ticks - 1
    return max(lowest, -(2**63)), min(highest, 2**63 - 1)


def _zoned(series: pl.Series, zone: ZoneInfo) -> list[Any]:
    """By Python's rules of the zone: polars gives its own rules' local time, which are others for early years."""
    values = series.dt.convert_time_zone("UTC").to_list()
    return [None if value is None else value.astimezone(zone) for value in values]


def _exact(series: pl.Series, values: list[Any]) -> list[Any]:
    """Python's times end at microseconds: of a column in nanoseconds, what is finer stays whole as ISO 8601 text.

    In UTC where there is a zone: the offset of a zone's early years may have seconds, which the text leaves out.
    """
    finer = series.to_physical() % 1_000 != 0
    if not finer.any():
        return values
    zoned = isinstance(series.dtype, pl.Datetime) and series.dtype.time_zone is not None
    texts = (series.dt.convert_time_zone("UTC") if zoned else series).dt.to_string("iso:strict")
    return [text if fine else value for fine, text, value in zip(finer, texts, values, strict=True)]


def _bad_page(file: str, error: BaseException) -> InputError:
    return InputError(f"{file} is damaged: {_first_line(error)}", code="parquet_page")


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0][:200]


def _refuse_unread(file: SourceFile, error: BaseException) -> None:
    """Raise where it was not what the file holds that let polars down: for an object InputError.

    What polars tells of a storage that fails repeats the answer of the server, which may hold a credential.
    """
    if file.place is None:
        if isinstance(error, OSError):
            raise error
    elif isinstance(error, OSError) or _OF_STORAGE in str(error):
        _check_same(file)
        raise InputError(
            f"{file.name} cannot be read from {file.place.url}: {type(error).__name__}", code="input_io"
        ) from None


def _check_same(file: SourceFile) -> None:
    try:
        same = file.unchanged(file.path.stat()) if file.place is None else file.place.unchanged()
    except OSError:
        same = False
    if not same:
        raise changed(file)
