"""Types of answers: derived from schemas, and what becomes of values that have none."""

import io
from typing import Any

import polars as pl
import pytest
from msgspec import json

from batchroute.io.parsed import labels_type, merged, parsed_series, realigned, schema_type

TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "below": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
}
TYPES: list[tuple[dict[str, Any], Any]] = [
    ({"type": "string"}, pl.String),
    ({"type": "integer"}, pl.Int64),
    ({"type": "number"}, pl.Float64),
    ({"type": "boolean"}, pl.Boolean),
    ({"type": ["integer", "null"]}, pl.Int64),
    ({"anyOf": [{"type": "null"}, {"type": "number"}]}, pl.Float64),
    ({"anyOf": [{"type": "integer"}, {"type": "number"}]}, pl.Float64),
    ({"type": ["integer", "string"]}, pl.String),
    ({"enum": ["low", "high", None]}, pl.Enum(["low", "high"])),
    ({"enum": [1, 2]}, pl.Int64),
    ({"enum": ["a", 1]}, pl.String),
    ({"const": True}, pl.Boolean),
    ({"type": "null"}, pl.String),
    ({}, pl.String),
    ({"type": "array"}, pl.String),
    ({"type": "array", "items": {"type": ["integer", "null"]}}, pl.List(pl.Int64)),
    ({"type": "array", "prefixItems": [{"type": "integer"}], "items": False}, pl.String),
    ({"type": "object"}, pl.String),
    ({"type": "object", "additionalProperties": {"type": "integer"}}, pl.String),
    ({"properties": {"a": {"type": "array", "items": {"properties": {"b": {"type": "boolean"}}}}}},
     pl.Struct({"a": pl.List(pl.Struct({"b": pl.Boolean}))})),
    (TREE, pl.Struct({"name": pl.String, "below": pl.List(pl.String)})),
    ({"$ref": "#/$defs/gone"}, pl.String),
    ({"allOf": [{"type": "integer"}]}, pl.Int64),
]  # fmt: skip


@pytest.mark.parametrize(("schema", "kind"), TYPES)
def test_a_schema_has_a_type_and_nulls_of_it_survive_parquet(schema: dict[str, Any], kind: Any) -> None:
    found = schema_type(schema)
    assert found == kind

    file = io.BytesIO()
    parsed_series("parsed", found, [None, None]).to_frame().write_parquet(file)
    file.seek(0)
    back = pl.read_parquet(file)["parsed"]
    assert (back.dtype, back.null_count()) == (kind, 2)


VALUES: list[tuple[Any, Any, Any]] = [
    (3, pl.Float64(), 3.0),
    (3.0, pl.Int64(), 3),
    (3.5, pl.Int64(), None),
    (2**70, pl.Int64(), None),
    (10**400, pl.Int64(), None),
    (10**400, pl.Float64(), None),
    (10**300, pl.Float64(), 1e300),
    (True, pl.Int64(), None),
    ("a", pl.Int64(), None),
    ({"x": [1]}, pl.String(), '{"x":[1]}'),
    ("as it is", pl.String(), "as it is"),
    ("other", pl.Enum(["low"]), None),
    ("low", pl.Enum(["low"]), "low"),
    ([1, None], pl.List(pl.Int64), [1, None]),
    ({"a": 1, "more": 2}, pl.Struct({"a": pl.Int64, "b": pl.String}), {"a": 1, "b": None}),
    ("no object", pl.Struct({"a": pl.Int64}), None),
]


@pytest.mark.parametrize(("value", "kind", "fitted"), VALUES)
def test_a_value_takes_its_type_or_is_null(value: Any, kind: pl.DataType, fitted: Any) -> None:
    assert parsed_series("parsed", kind, [json.encode(value).decode()]).to_list() == [fitted]


def test_forms_of_several_routes_share_a_type() -> None:
    one, other = pl.Struct({"a": pl.Int64, "b": pl.String}), pl.Struct({"a": pl.Float64, "c": pl.Boolean})

    assert merged([one, other]) == pl.Struct({"a": pl.Float64, "b": pl.String, "c": pl.Boolean})
    assert merged([one, labels_type(["x"])]) == pl.String
    assert merged([labels_type(["x"]), labels_type(["x"])]) == pl.Enum(["x"])
    assert merged([pl.List(one), pl.List(one)]) == pl.List(one)


def test_values_of_an_earlier_type_are_taken_over_where_they_can_be() -> None:
    earlier = pl.Series(
        "parsed", [{"a": 1, "b": "x"}, None], dtype=pl.Struct({"a": pl.Int64, "b": pl.String})
    )
    later = pl.Struct({"a": pl.String, "c": pl.Boolean})

    assert realigned(earlier, later).to_list() == [{"a": "1", "c": None}, None]
