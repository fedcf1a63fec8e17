"""A batch of records as columns, for the stages that judge it."""

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import polars as pl

from batchroute.core.excerpts import storable
from batchroute.core.records import Record

Texts: TypeAlias = Callable[[Sequence[Record]], list[str | None]]
"""Reads the text that a prompt shows, for each of the records; None where there is none."""


class Columns:
    """The records, or some rows of them, as columns that are each read once."""

    def __init__(self, records: Sequence[Record], text: Texts) -> None:
        self._records = records
        self._text = text
        self._read: dict[str | None, pl.Series] = {}
        self._rows: pl.Series | None = None

    def __len__(self) -> int:
        return len(self._records) if self._rows is None else len(self._rows)

    def at(self, rows: pl.Series) -> "Columns":
        """These rows of the whole batch; what is read of a column is read for all, and shared."""
        some = Columns(self._records, self._text)
        some._read = self._read
        some._rows = None if len(rows) == len(self._records) else rows
        return some

    def texts(self, name: str | None) -> pl.Series:
        """A column as text; None is the text that the prompt shows. What is no plain value counts as missing."""
        if name not in self._read:
            self._read[name] = _series(
                self._text(self._records)
                if name is None
                else [record.fields.get(name) for record in self._records]
            )
        column = self._read[name]
        return column if self._rows is None else column.gather(self._rows)

    def records(self) -> Sequence[Record]:
        """The records of these rows."""
        if self._rows is None:
            return self._records
        return [self._records[row] for row in self._rows]


def _series(values: list[Any]) -> pl.Series:
    """A text column; what is neither text nor a plain value counts as missing."""
    try:
        return pl.Series(values, dtype=pl.String)
    except (TypeError, UnicodeEncodeError):
        return pl.Series([text_of(value) for value in values], dtype=pl.String)


def text_of(value: Any) -> str | None:
    """A plain value as text that can be stored; None for lists and objects."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, str):
        return storable(value)
    return None
