"""The record_id: the caller's id as text, or none."""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import date, time
from decimal import Decimal
from typing import Any

from msgspec import Struct

from batchroute.core.excerpts import excerpt_of
from batchroute.core.records import Fault

CUSTOMARY = ("custom_id", "id")
"""Where an id is looked for when the job declares no column; OpenAI's Batch API calls it custom_id."""


class Identifier(Struct, frozen=True):
    """Which fields may hold the id, in order. A declared one must; otherwise file and line will do."""

    fields: tuple[str, ...]
    required: bool = False

    def read(self, fields: Mapping[str, Any]) -> str | None:
        """The id of a record with these fields; None where it is missing, null or blank."""
        for name in self.fields:
            value = fields.get(name)
            if type(value) is str:
                if value and not value.isspace():
                    return value
            elif value is not None:
                return id_text(value)
        return None

    def read_all(self, rows: Sequence[Mapping[str, Any]]) -> list[str | None]:
        """The ids of records that all have the same fields."""
        if len(self.fields) != 1:
            return [self.read(fields) for fields in rows]
        name = self.fields[0]
        return [
            value
            if type(value := fields.get(name)) is str and value and not value.isspace()
            else self.read(fields)
            for fields in rows
        ]

    def missing(self, fields: Mapping[str, Any]) -> Fault:
        """Why a record without a declared id cannot be sent."""
        said = f"the declared id {self.fields[0]!r} is missing, null or blank"
        return Fault("id_missing", f"{said}: {excerpt_of(fields)}")


def identifier(id_column: str | None, known: Collection[str] | None = None) -> Identifier:
    """By the declared column, else by the customary ones; `known` columns settle at once which it is."""
    if id_column is not None:
        return Identifier((id_column,), required=True)
    if known is None:
        return Identifier(CUSTOMARY)
    return Identifier(tuple(name for name in CUSTOMARY if name in known)[:1])


def id_text(value: Any) -> str:
    """One text for one value: 1 and "1" are the same id; true, 1.5 and objects are spelled as in JSON."""
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, date | time):
        return value.isoformat()
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
