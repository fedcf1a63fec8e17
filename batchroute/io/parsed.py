"""Answers as values: the type of their column, derived from a schema, and the way from JSON into it.

What no type of polars can hold becomes text: texts as they are, everything else in JSON's spelling, as with carried
columns. What does not fit its type, as an answer to an earlier schema may not, is null.
"""

from collections.abc import Iterable, Mapping, Sequence
from functools import reduce
from typing import Any

import polars as pl
from msgspec import DecodeError, json

_TEXT = pl.String()
_LEAST, _MOST = -(2**63), 2**63 - 1
_SCALARS: Mapping[str, pl.DataType] = {
    "string": _TEXT,
    "integer": pl.Int64(),
    "number": pl.Float64(),
    "boolean": pl.Boolean(),
}


def labels_type(labels: Iterable[str]) -> pl.DataType:
    """The type of a column of these labels; it sorts in their order."""
    return pl.Enum(list(labels))


def schema_type(schema: Mapping[str, Any]) -> pl.DataType:
    """The type of a column of values that fit a JSON Schema. Every type takes nulls."""
    return _Types(schema).of(schema, ()) or _TEXT


def merged(types: Sequence[pl.DataType]) -> pl.DataType:
    """The type that takes values of all of them; text where they have nothing in common."""
    return reduce(_both, types)


def _both(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    if one == other:
        return one
    if isinstance(one, pl.Struct) and isinstance(other, pl.Struct):
        fields = {field.name: _plain(field.dtype) for field in one.fields}
        for field in other.fields:
            kind = _plain(field.dtype)
            fields[field.name] = _both(fields[field.name], kind) if field.name in fields else kind
        return pl.Struct(fields)
    if isinstance(one, pl.List) and isinstance(other, pl.List):
        return pl.List(_both(_plain(one.inner), _plain(other.inner)))
    return pl.Float64() if one.is_numeric() and other.is_numeric() else _TEXT


def _plain(kind: Any) -> pl.DataType:
    """Polars' types are classes or instances of them."""
    found: pl.DataType = kind() if isinstance(kind, type) else kind
    return found


class _Types:
    """Types of the parts of one schema; None stands for null alone."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root

    def of(self, schema: Any, seen: tuple[str, ...]) -> pl.DataType | None:
        """`seen` are the references that led here: one of them again has no end, and no type."""
        if not isinstance(schema, Mapping):
            return _TEXT
        if isinstance(reference := schema.get("$ref"), str):
            target = None if reference in seen else self._target(reference)
            return _TEXT if target is None else self.of(target, (*seen, reference))
        if "const" in schema:
            return _chosen([schema["const"]])
        if isinstance(schema.get("enum"), list):
            return _chosen(schema["enum"])
        for union in ("anyOf", "oneOf"):
            if union in schema:
                return self._any([self.of(each, seen) for each in schema[union]])
        if "allOf" in schema:
            return self.of(schema["allOf"][0], seen) if len(schema["allOf"]) == 1 else _TEXT
        kinds = schema.get("type", "object" if "properties" in schema else None)
        listed = kinds if isinstance(kinds, list) else [kinds]
        return self._any([self._typed(kind, schema, seen) for kind in listed])

    def _any(self, types: list[pl.DataType | None]) -> pl.DataType | None:
        present = [kind for kind in types if kind is not None]
        return merged(present) if present else None

    def _typed(self, kind: Any, schema: Mapping[str, Any], seen: tuple[str, ...]) -> pl.DataType | None:
        if kind == "null":
            return None
        if kind == "array":
            fixed = "prefixItems" in schema or "items" not in schema
            return _TEXT if fixed else pl.List(self.of(schema["items"], seen) or _TEXT)
        if kind == "object":
            return self._struct(schema, seen)
        return _SCALARS.get(kind, _TEXT) if isinstance(kind, str) else _TEXT

    def _struct(self, schema: Mapping[str, Any], seen: tuple[str, ...]) -> pl.DataType:
        """Of the properties that are named; an object with names of its own choice is text."""
        named = schema.get("properties")
        if not named or isinstance(schema.get("additionalProperties"), Mapping):
            return _TEXT
        return pl.Struct({name: self.of(each, seen) or _TEXT for name, each in named.items()})

    def _target(self, reference: str) -> Any:
        """What a reference within the schema refers to; None for any other."""
        if not reference.startswith("#"):
            return None
        found: Any = self._root
        for step in reference[1:].split("/")[1:]:
            name = step.replace("~1", "/").replace("~0", "~")
            found = found.get(name) if isinstance(found, Mapping) else None
        return found


def _chosen(choices: list[Any]) -> pl.DataType | None:
    """The type of one of some values."""
    present = [choice for choice in choices if choice is not None]
    if not present:
        return None
    kinds = {type(choice) for choice in present}
    if kinds == {str}:
        return pl.Enum(list(dict.fromkeys(present)))
    names = {bool: "boolean", int: "integer", float: "number"}
    if len(kinds) == 1:
        return _SCALARS.get(names.get(kinds.pop(), ""), _TEXT)
    return _SCALARS["number"] if kinds == {int, float} else _TEXT


def parsed_series(name: str, kind: pl.DataType, texts: Sequence[str | None]) -> pl.Series:
    """The column of answers that are JSON texts."""
    values = [None if text is None else fitted(_decoded(text), kind) for text in texts]
    return pl.Series(name, values, dtype=kind, strict=True)


def realigned(column: pl.Series, kind: pl.DataType) -> pl.Series:
    """A column of answers to an earlier form in the type of a later one."""
    if column.dtype == kind:
        return column
    return pl.Series(column.name, [fitted(value, kind) for value in column.to_list()], dtype=kind)


def _decoded(text: str) -> Any:
    try:
        return json.decode(text)
    except DecodeError:
        return None


def fitted(value: Any, kind: Any) -> Any:
    """A value as its type takes it; null where it cannot."""
    if value is None:
        return None
    if isinstance(kind, pl.Struct):
        if not isinstance(value, Mapping):
            return None
        return {field.name: fitted(value.get(field.name), field.dtype) for field in kind.fields}
    if isinstance(kind, pl.List):
        return [fitted(each, kind.inner) for each in value] if isinstance(value, list) else None
    if isinstance(kind, pl.Enum):
        return value if isinstance(value, str) and value in kind.categories else None
    return _scalar(value, kind)


def _scalar(value: Any, kind: pl.DataType) -> Any:
    if kind == pl.String:
        return value if isinstance(value, str) else json.encode(value).decode()
    if kind == pl.Boolean:
        return value if isinstance(value, bool) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number, whole = float(value), int(value)
    except (OverflowError, ValueError):  # beyond 64 bits, or no number at all
        return None
    if kind == pl.Float64:
        return number
    return whole if whole == value and _LEAST <= whole <= _MOST else None
