"""The SQL stage: an expression over columns of the input, for all records at once."""

from collections.abc import Sequence
from typing import Any, Final

import polars as pl

from batchroute.core.errors import JobError
from batchroute.core.records import Record
from batchroute.job.expressions import parsed
from batchroute.routing.columns import Columns, text_of

_UNFIT: Final = (pl.exceptions.PolarsError, TypeError)

_NUMBERS: Final = {bool: pl.Boolean(), int: pl.Int64(), float: pl.Float64()}
_LARGEST: Final = 2**63


class Expression:
    """One expression. JSON has no columns of one type, so records are taken together whose values are of the same types.

    A value that is null has none; it is taken as text where the expression needs a type. What cannot be computed
    for a record's types (a number is compared with the text "n/a") is null for it.
    """

    def __init__(self, sql: str, *, stage: str) -> None:
        self._stage = stage
        self._sql = sql
        self._expression = parsed(sql)
        self._columns = tuple(dict.fromkeys(self._expression.meta.root_names()))
        self._works = False

    def values(self, columns: Columns, dtype: pl.DataType) -> pl.Series:
        """The expression's value for each record, as this type; null where there is none.

        Raises JobError where it could not yet be computed for any record at all.
        """
        records = columns.records()
        found = pl.repeat(None, len(records), dtype=dtype, eager=True)
        refused: Exception | None = None
        for kinds, rows in self._groups(records).items():
            try:
                values = self._computed([records[row] for row in rows], kinds).cast(dtype, strict=False)
            except _UNFIT as error:
                refused = error
                continue
            self._works = True
            found = found.scatter(rows, values)
        if refused is not None and not self._works:
            raise JobError(
                f"{self._stage}: {self._sql!r} cannot be computed: {str(refused).splitlines()[0]}. "
                "Compare numbers with numbers, TRY_CAST(column AS DOUBLE) where the input has them as text [job_sql]"
            )
        return found

    def _groups(self, records: Sequence[Record]) -> dict[tuple[type | None, ...], list[int]]:
        groups: dict[tuple[type | None, ...], list[int]] = {}
        for row, record in enumerate(records):
            fields = record.fields
            groups.setdefault(tuple(_kind(fields.get(name)) for name in self._columns), []).append(row)
        return groups

    def _computed(self, records: Sequence[Record], kinds: tuple[type | None, ...]) -> pl.Series:
        frame = pl.DataFrame(
            [
                _column(name, kind, [record.fields.get(name) for record in records])
                for name, kind in zip(self._columns, kinds, strict=True)
            ]
        )
        try:
            return frame.select(self._expression).to_series()
        except _UNFIT:
            if None not in kinds:
                raise
            return (
                frame.with_columns(pl.selectors.by_dtype(pl.Null).cast(pl.String))
                .select(self._expression)
                .to_series()
            )


def _kind(value: Any) -> type | None:
    """bool, int, float or str; None for what has no value. Lists and objects have none that SQL could compare."""
    kind = type(value)
    if kind is int and not -_LARGEST <= value < _LARGEST:
        return float
    return kind if kind in _NUMBERS else str if text_of(value) is not None else None


def _column(name: str, kind: type | None, values: list[Any]) -> pl.Series:
    if kind is None:
        return pl.repeat(None, len(values), dtype=pl.Null, eager=True).alias(name)
    if kind is str:
        return pl.Series(name, [text_of(value) for value in values], dtype=pl.String)
    return pl.Series(name, values, dtype=_NUMBERS[kind], strict=False)
