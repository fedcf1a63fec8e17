"""The columns of the output: one schema for every part of a kind, whatever a part happens to hold."""

import datetime as dt
import io
import json
import re
import struct
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from typing import Any

import polars as pl
from msgspec import Struct, structs

from batchroute.core.attempts import Attempt, Reuse
from batchroute.core.errors import OutputError
from batchroute.core.responses import Usage
from batchroute.core.results import PARSED, Result, Status, Totals
from batchroute.io.parsed import parsed_series, realigned

COST = pl.Decimal(38, 12)
TIME = pl.Datetime("us", "UTC")
VECTOR = pl.List(pl.Float32)
"""Whatever their length: a column has one type in all parts, also where a model has come to make longer ones."""

RESULTS: Mapping[str, pl.DataType] = {
    "record_id": pl.String(),
    "status": pl.String(),
    "task": pl.String(),
    "complexity": pl.String(),
    "classified_by": pl.String(),
    "route": pl.String(),
    "model": pl.String(),
    "provider": pl.String(),
    "response": pl.String(),
    "finish_reason": pl.String(),
    "flag": pl.String(),
    "error_type": pl.String(),
    "error_message": pl.String(),
    "attempts": pl.Int32(),
    "failovers": pl.Int32(),
    "escalations": pl.Int32(),
    "input_tokens": pl.Int64(),
    "output_tokens": pl.Int64(),
    "cost_usd": COST,
    "latency_s": pl.Float64(),
    "run_id": pl.String(),
    "finished_at": TIME,
}

LEDGER: Mapping[str, pl.DataType] = {
    "run_id": pl.String(),
    "record_id": pl.String(),
    "attempt": pl.Int32(),
    "purpose": pl.String(),
    "task": pl.String(),
    "complexity": pl.String(),
    "route": pl.String(),
    "model": pl.String(),
    "provider": pl.String(),
    "request_model": pl.String(),
    "response_model": pl.String(),
    "response_id": pl.String(),
    "started_at": TIME,
    "queued_s": pl.Float64(),
    "latency_s": pl.Float64(),
    "outcome": pl.String(),
    "verdict": pl.String(),
    "error_type": pl.String(),
    "flag": pl.String(),
    "http_status": pl.Int16(),
    "finish_reason": pl.String(),
    "input_tokens": pl.Int64(),
    "cached_tokens": pl.Int64(),
    "cache_write_tokens": pl.Int64(),
    "output_tokens": pl.Int64(),
    "reasoning_tokens": pl.Int64(),
    "cost_usd": COST,
    "cost_basis": pl.String(),
    "price_input": COST,
    "price_output": COST,
    "price_cached": COST,
    "price_cache_write": COST,
    "service_tier": pl.String(),
    "lane": pl.String(),
    "model_state": pl.String(),
    "spared_usd": COST,
}

# What an integer in a value stands for in its column: picodollars, and picodollars a token as USD per million.
_PER_MILLION = Decimal("0.000001")
_UNITS = {
    "cost_usd": Decimal("0.000000000001"),
    "spared_usd": Decimal("0.000000000001"),
    "price_input": _PER_MILLION,
    "price_output": _PER_MILLION,
    "price_cached": _PER_MILLION,
    "price_cache_write": _PER_MILLION,
}


def ledger_frame(attempts: Sequence[Attempt]) -> pl.DataFrame:
    """Attempts as ledger columns."""
    return typed(ledger_rows(attempts), LEDGER)


def ledger_rows(attempts: Sequence[Attempt]) -> pl.DataFrame:
    """Attempts as ledger columns, but for what `typed` does."""
    columns = _columns(Attempt, attempts)
    columns |= _columns(Usage, [_UNTOLD if usage is None else usage for usage in columns["usage"]])
    columns["started_at"] = _times(columns["started_at"])
    columns["cost_usd"], columns["spared_usd"] = columns["cost"], columns["spared"]
    return _rows(columns, LEDGER)


def reused_rows(lines: Sequence[Attempt], reused: Sequence[tuple[int, Reuse, Result]]) -> pl.DataFrame:
    """The lines of records that took answers which were there already, as `ledger_rows`: what they have in common
    stands in one of `lines`, the rest in their results.
    """
    places, reuses, results = zip(*reused, strict=True)
    own = {
        "record_id": [result.record_id for result in results],
        "task": [result.task for result in results],
        "complexity": [result.complexity for result in results],
        "response_model": [reuse.response_model for reuse in reuses],
        "started_at": _times(result.finished_at for result in results),
        "finish_reason": [result.finish_reason for result in results],
        "spared_usd": [reuse.spared for reuse in reuses],
    }
    common = ledger_rows(lines)[list(places)]
    return common.with_columns(_rows(own, {name: LEDGER[name] for name in own}))


def results_frame(results: Sequence[Result], kept: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Results as columns, the carried input columns last; `parsed` is one of them where no input column is."""
    return typed(results_rows(results, kept), RESULTS)


def results_rows(results: Sequence[Result], kept: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Results as columns, but for what `typed` does."""
    columns = _columns(Result, results)
    columns |= _columns(Totals, columns["totals"])
    columns["finished_at"] = _times(columns["finished_at"])
    columns["cost_usd"] = columns["cost"]
    frame = _rows(columns, RESULTS)
    carried = [
        _carried(name, kind, [values.get(name) for values in columns["kept"]])
        if name != PARSED or any(name in values for values in columns["kept"])
        else parsed_series(name, kind, columns["parsed"])
        for name, kind in kept.items()
    ]
    return frame.with_columns(carried) if carried else frame


def typed(rows: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    """Rows of RESULTS or LEDGER with costs and prices in dollars, and times as such: many at a time, and in any thread, as
    Python has no part in it.
    """
    return rows.with_columns(
        *(pl.col(name).cast(TIME) for name, kind in schema.items() if kind == TIME),
        *(
            (pl.col(name).cast(pl.Decimal(38, 0)) * pl.lit(_UNITS[name], dtype=COST)).cast(COST)
            for name in schema
            if name in _UNITS
        ),
    )


TOTALS_COLUMNS = [
    "record_id",
    "attempts",
    "failovers",
    "escalations",
    "input_tokens",
    "output_tokens",
    "cost_usd",
]


def totals_by_id(rows: pl.DataFrame, record_ids: Collection[str]) -> dict[str, Totals]:
    """What the attempts of these records add up to, as rows of results tell it; ids that are not there left out."""
    wanted = rows.filter(pl.col("record_id").is_in(list(record_ids))).select(TOTALS_COLUMNS)
    return {
        record_id: Totals(
            attempts=attempts,
            failovers=failovers,
            escalations=escalations,
            input_tokens=read,
            output_tokens=written,
            cost=None if cost is None else int(cost / _UNITS["cost_usd"]),
        )
        for record_id, attempts, failovers, escalations, read, written, cost in wanted.iter_rows()
    }


ANSWER_COLUMNS = [
    "record_id",
    "status",
    "route",
    "model",
    "provider",
    "response",
    "finish_reason",
    "flag",
    "run_id",
    *TOTALS_COLUMNS[1:],
]


def answers_by_id(rows: pl.DataFrame, record_ids: Collection[str], vector: str | None = None) -> list[Result]:
    """The answers of these records, as rows of results tell them: what they took, and nothing else of their own.

    `vector` is the column of vectors, where those were asked for. A value that has a form is left out.
    """
    wanted = rows.filter(pl.col("record_id").is_in(list(record_ids)))
    totals = totals_by_id(wanted, record_ids)
    return [
        Result(
            record_id=row["record_id"],
            status=Status(row["status"]),
            task=None,
            complexity=None,
            classified_by=None,
            route=row["route"],
            model=row["model"],
            provider=row["provider"],
            response=row["response"],
            finish_reason=row["finish_reason"],
            flag=row["flag"],
            error_type=None,
            error_message=None,
            totals=totals[row["record_id"]],
            latency_s=None,
            run_id=row["run_id"],
            finished_at=0.0,
            kept={} if vector is None else {vector: _packed_vector(row[vector])},
        )
        for row in wanted.iter_rows(named=True)
    ]


def _packed_vector(values: list[float]) -> bytes:
    """As an answer gives it: little-endian 32-bit floats."""
    return struct.pack(f"<{len(values)}f", *values)


def replaced_rows(
    rows: pl.DataFrame, results: Sequence[Result], kept: Mapping[str, pl.DataType]
) -> pl.DataFrame:
    """Rows of results with the later ones of the same records in the places of the earlier ones.

    Of one that was asked again in vain only the totals are new: its answer stands. Columns that only one of the
    two runs kept stay, with nulls.
    """
    new = results_frame(results, kept)
    answered = new.filter(pl.col("status") != Status.FAILED.value)
    in_vain = new.filter(pl.col("status") == Status.FAILED.value).select(TOTALS_COLUMNS)
    if PARSED in rows.columns and PARSED in new.columns:
        rows = rows.with_columns(realigned(rows[PARSED], new[PARSED].dtype))
    places = rows.select("record_id").with_row_index("place")
    standing = _with_totals(rows.join(answered, on="record_id", how="anti"), in_vain)
    both = pl.concat([standing, answered], how="diagonal_relaxed")
    return both.join(places, on="record_id").sort("place").drop("place")


def _with_totals(rows: pl.DataFrame, totals: pl.DataFrame) -> pl.DataFrame:
    """The rows, those among them that there are totals for with these."""
    if totals.is_empty():
        return rows
    untouched = rows.join(totals, on="record_id", how="anti")
    touched = rows.drop(TOTALS_COLUMNS[1:]).join(totals, on="record_id")
    return pl.concat([untouched, touched.select(rows.columns)])


class _Untold(Struct):
    """Stands for the usage of an attempt that has none: every count is null."""

    input_tokens: None = None
    output_tokens: None = None
    cached_tokens: None = None
    cache_write_tokens: None = None
    reasoning_tokens: None = None


_UNTOLD = _Untold()


def _columns(kind: type[Struct], rows: Sequence[Struct]) -> dict[str, list[Any]]:
    """The fields of the rows, each as a list."""
    names = kind.__struct_fields__
    if not rows:
        return {name: [] for name in names}
    return dict(zip(names, map(list, zip(*map(structs.astuple, rows), strict=True)), strict=True))


def _times(seconds: Any) -> list[int]:
    return [round(at * 1e6) for at in seconds]


def _rows(columns: Mapping[str, Any], schema: Mapping[str, pl.DataType]) -> pl.DataFrame:
    return pl.DataFrame([_series(name, columns[name], kind) for name, kind in schema.items()])


def _series(name: str, values: list[Any], kind: pl.DataType) -> pl.Series:
    return pl.Series(name, values, dtype=pl.Int64 if name in _UNITS or kind == TIME else kind)


def carried_value(value: Any) -> Any:
    """A kept value of a Parquet column in the form in which it goes through the journal; `results_frame` revives it.

    What is finer than Python's microseconds comes as ISO 8601 text and stays so.
    """
    if value is None or isinstance(value, str | bool | float | bytes):
        return value
    if isinstance(value, int):
        return value if -(2**63) <= value < 2**64 else str(value)
    if isinstance(value, dt.datetime):
        return (value.astimezone(dt.UTC) if value.tzinfo else value).isoformat()
    if isinstance(value, dt.timedelta):
        return str(value // dt.timedelta(microseconds=1))
    if isinstance(value, list | dict):
        return carried_text(value)
    return str(value)


def carried_text(value: Any) -> str | None:
    """A kept value of a JSONL record as text: strings as they are, everything else in JSON's spelling."""
    return (
        value
        if value is None or isinstance(value, str)
        else json.dumps(value, ensure_ascii=False, default=str)
    )


def kept_types(names: Sequence[str], schema: Mapping[str, pl.DataType] | None) -> dict[str, pl.DataType]:
    """The types of carried input columns: those of a Parquet input; text for JSONL, whose values have none.

    Nested columns are carried as their JSON text.
    """
    if schema is None:
        return {name: pl.String() for name in names}
    return {name: pl.String() if schema[name].is_nested() else schema[name] for name in names}


def packed_types(types: Mapping[str, pl.DataType]) -> str:
    """Types of columns as text, for the state."""
    packed = io.BytesIO()
    pl.DataFrame(schema=dict(types)).write_ipc(packed)
    return packed.getvalue().hex()


def unpacked_types(text: str) -> dict[str, pl.DataType]:
    """What `packed_types` has packed."""
    return dict(pl.read_ipc(io.BytesIO(bytes.fromhex(text))).schema)


def _carried(name: str, kind: pl.DataType, values: list[Any]) -> pl.Series:
    """A carried column from values that have been through the journal, where dates and decimals became text.

    Raises OutputError where an earlier run kept values of another type under this name.
    """
    try:
        if isinstance(kind, pl.Decimal | pl.Date | pl.Time | pl.Datetime | pl.Duration):
            return _revived(pl.Series(name, values, dtype=pl.String), kind)
        if kind == VECTOR:
            return _vectors(name, values)
        if kind.is_integer():
            values = [int(value) if isinstance(value, str) else value for value in values]
        return pl.Series(name, values, dtype=kind, strict=True)
    except (TypeError, ValueError, pl.exceptions.PolarsError) as error:
        raise OutputError(
            f"kept column {name!r} is {kind} in this input, but was of another type in an earlier run. "
            "Finish that run with its own input, or start over with --fresh."
        ) from error


def _vectors(name: str, values: list[Any]) -> pl.Series:
    """Vectors from their bytes: 32-bit floats, least significant byte first."""
    widths = {len(value) // 4 for value in values if value is not None}
    if len(widths) == 1:
        packed = pl.Series(name, values, dtype=pl.Binary)
        return packed.bin.reinterpret(dtype=pl.Array(pl.Float32, widths.pop()), endianness="little").cast(
            VECTOR
        )
    numbers = [None if value is None else struct.unpack(f"<{len(value) // 4}f", value) for value in values]
    return pl.Series(name, numbers, dtype=VECTOR)


def _revived(text: pl.Series, kind: pl.DataType) -> pl.Series:
    if isinstance(kind, pl.Datetime):
        unit, zone = kind.time_unit, kind.time_zone
        parsed = text.str.to_datetime(time_unit=unit, time_zone="UTC" if zone else None, strict=True)
        return parsed.dt.convert_time_zone(zone) if zone else parsed
    if isinstance(kind, pl.Date):
        return text.str.to_date("%Y-%m-%d", strict=True)
    if isinstance(kind, pl.Time):
        return text.str.to_time("%H:%M:%S%.f", strict=True)
    if isinstance(kind, pl.Duration):
        tick = {"ms": 10**6, "us": 10**3, "ns": 1}[kind.time_unit]
        ticks = [None if duration is None else _nanoseconds(duration) // tick for duration in text]
        return pl.Series(text.name, ticks, dtype=pl.Int64).cast(kind)
    return text.cast(kind, strict=True)


_DURATION = re.compile(r"(-?)P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.(\d{1,9}))?S)?)?", re.ASCII)


def _nanoseconds(duration: str) -> int:
    """Of a whole number of microseconds, or of ISO 8601, as a source gives what is finer. Raises ValueError."""
    told = _DURATION.fullmatch(duration)
    if told is None:
        return int(duration) * 1_000
    sign, days, hours, minutes, seconds, fraction = told.groups("0")
    whole = ((int(days) * 24 + int(hours)) * 60 + int(minutes)) * 60 + int(seconds)
    return (whole * 10**9 + int(fraction.ljust(9, "0"))) * (-1 if sign == "-" else 1)
