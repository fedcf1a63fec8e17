"""A JSON Schema as strict mode takes it: a copy that says the same in fewer words, or none.

What it takes: developers.openai.com/api/docs/guides/structured-outputs, "Supported schemas" (2026-02): the root is an
object; every object closes itself with `additionalProperties: false` and requires all its properties; `allOf`, `not`,
`if`, `then`, `else`, `dependentRequired` and `dependentSchemas` are refused.
"""

from collections.abc import Mapping
from typing import Any, Final

_NULL: Final = {"type": "null"}
_ONLY_NARROWS: Final = frozenset(
    {
        *(
            "$schema",
            "$id",
            "$comment",
            "title",
            "default",
            "examples",
            "deprecated",
            "readOnly",
            "writeOnly",
        ),
        *("minLength", "maxLength", "uniqueItems", "minProperties", "maxProperties", "contentEncoding"),
        *("contains", "minContains", "maxContains", "contentMediaType"),
    }
)
"""Left out of the copy: the answer is held against the declared schema anyway."""
_AS_IT_STANDS: Final = frozenset(
    {
        *("type", "enum", "const", "description", "$ref", "pattern", "format", "minItems", "maxItems"),
        *("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"),
    }
)
_MOST_PROPERTIES: Final = 5000
_DEEPEST: Final = 10


class _LooseError(Exception):
    """Something in the schema has no strict counterpart."""


def strict(schema: Mapping[str, Any]) -> dict[str, Any] | None:
    """The copy; None where strict mode cannot say the same.

    A property that may be missing has to be there and may be null instead: whoever reads the answer takes such a
    null as missing.
    """
    if schema.get("type") != "object" or "anyOf" in schema:
        return None
    try:
        copy = _strict(schema, 0)
    except _LooseError:
        return None
    return copy if _properties(copy) <= _MOST_PROPERTIES else None


def _strict(schema: Any, depth: int) -> dict[str, Any]:
    if not isinstance(schema, dict) or depth > 2 * _DEEPEST:
        raise _LooseError
    copy: dict[str, Any] = {}
    for keyword, value in schema.items():
        if keyword in _AS_IT_STANDS:
            copy[keyword] = value
        elif keyword == "anyOf":
            copy[keyword] = [_strict(each, depth + 1) for each in value]
        elif keyword == "items":
            copy[keyword] = _strict(value, depth + 1)
        elif keyword in {"$defs", "definitions"}:
            copy[keyword] = {name: _strict(each, depth + 1) for name, each in value.items()}
        elif keyword not in _ONLY_NARROWS and keyword not in {
            "properties",
            "required",
            "additionalProperties",
        }:
            raise _LooseError
    return {**copy, **_closed(schema, depth)} if _is_object(schema) else copy


def _is_object(schema: Mapping[str, Any]) -> bool:
    kinds = schema.get("type")
    return kinds == "object" or (isinstance(kinds, list) and "object" in kinds) or "properties" in schema


def _closed(schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
    """The properties of an object that has these and no others."""
    properties = schema.get("properties")
    if not properties or schema.get("additionalProperties", False) is not False:
        raise _LooseError
    required = schema.get("required", [])
    if any(name not in properties for name in required):
        raise _LooseError
    return {
        "properties": {
            name: _strict(each, depth + 1) if name in required else _or_null(_strict(each, depth + 1))
            for name, each in properties.items()
        },
        "required": list(properties),
        "additionalProperties": False,
    }


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    if "anyOf" in schema:
        choices = schema["anyOf"]
        return schema if _NULL in choices else {**schema, "anyOf": [*choices, _NULL]}
    kinds = schema.get("type")
    if kinds == "null" or (isinstance(kinds, list) and "null" in kinds):
        return schema
    return {"anyOf": [schema, _NULL]}


def _properties(schema: Any) -> int:
    if isinstance(schema, list):
        return sum(map(_properties, schema))
    if not isinstance(schema, dict):
        return 0
    return len(schema.get("required", ())) + sum(map(_properties, schema.values()))
