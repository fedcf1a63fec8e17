"""Answers to a request with a JSON Schema: JSON that fits it, or visibly does not."""

from functools import lru_cache
from json import JSONDecodeError, JSONDecoder
from typing import Any

from msgspec import json

from batchroute.providers.simulator import labels
from batchroute.providers.simulator.answers import facts, subject
from batchroute.providers.simulator.prompts import Prompt

_DEEPEST = 12
_TOLD = "JSON Schema:"


@lru_cache(maxsize=64)  # a job has few system messages
def told(system: str) -> dict[str, Any] | None:
    """The schema that instructions hold in their words; None where they hold none."""
    _, found, after = system.partition(_TOLD)
    try:
        schema, _ = JSONDecoder().raw_decode(after.strip()) if found else (None, 0)
    except (JSONDecodeError, RecursionError):
        return None
    return schema if isinstance(schema, dict) else None


def around(text: str, shape: int) -> str:
    """What a model that was told in words says: one time in four with a code fence and a sentence around it."""
    return f"Here is the JSON:\n```json\n{text}\n```" if shape % 4 == 0 else text


def write(schema: dict[str, Any], prompt: Prompt, *, able: bool, shape: int) -> str:
    """A JSON text for this schema. A model that is not able breaks off, or leaves a field out."""
    filled = fill(_expanded(schema, schema.get("$defs", {}), 0), prompt)
    if able:
        return json.encode(filled).decode()
    if isinstance(filled, dict) and filled and shape % 2:
        needed = [name for name in schema.get("required", ()) if name in filled]
        del filled[needed[-1] if needed else next(reversed(filled))]
        return json.encode(filled).decode()
    whole = json.encode(filled).decode()
    return whole[: max(1, len(whole) * 2 // 3)]


def _expanded(part: Any, named: Any, depth: int) -> Any:
    """The schema with what it refers to in its place, as deep as anything is filled."""
    if isinstance(part, list):
        return [_expanded(each, named, depth + 1) for each in part]
    if not isinstance(part, dict) or depth > 2 * _DEEPEST:
        return part
    reference = part.get("$ref")
    if isinstance(reference, str) and isinstance(named, dict):
        return _expanded(named.get(reference.removeprefix("#/$defs/")), named, depth + 1)
    return {key: _expanded(value, named, depth + 1) for key, value in part.items() if key != "$defs"}


def fill(schema: Any, prompt: Prompt, depth: int = 0) -> Any:
    """A value that the schema allows, as far as its types and choices tell; taken from the prompt where it can."""
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    for union in ("anyOf", "oneOf"):
        if isinstance(variants := schema.get(union), list) and variants:
            return fill(variants[0], prompt, depth + 1)
    if isinstance(choices := schema.get("enum"), list) and choices:
        return _choice(choices, prompt)
    return schema["const"] if "const" in schema else _typed(schema, prompt, depth)


def _typed(schema: dict[str, Any], prompt: Prompt, depth: int) -> Any:
    kinds = schema.get("type", "object" if "properties" in schema else "string")
    kind = kinds[0] if isinstance(kinds, list) and kinds else kinds
    if kind == "object":
        parts = schema.get("properties")
        named = parts.items() if isinstance(parts, dict) else ()
        return {name: fill(part, prompt, depth + 1) for name, part in named}
    if kind == "array":
        return [fill(schema["items"], prompt, depth + 1)] if "items" in schema else []
    return _scalar(kind, schema, prompt)


def _scalar(kind: object, schema: dict[str, Any], prompt: Prompt) -> Any:
    if kind in ("integer", "number"):
        numbers = facts(prompt.text[:400])["numbers"]
        whole = [number for number in numbers if kind == "number" or isinstance(number, int)]
        return _within(whole[0] if whole else 1, schema)
    if kind == "boolean":
        return len(prompt.text) % 2 == 0
    return None if kind == "null" else subject(prompt.text)


def _within(number: Any, schema: dict[str, Any]) -> Any:
    low, high = schema.get("minimum"), schema.get("maximum")
    if isinstance(low, int | float):
        number = max(number, low)
    return min(number, high) if isinstance(high, int | float) else number


def _choice(choices: list[Any], prompt: Prompt) -> Any:
    words = [choice for choice in choices if isinstance(choice, str)]
    return labels.right(words, prompt) if words else choices[0]
