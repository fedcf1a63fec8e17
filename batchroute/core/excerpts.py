"""What stands in the input around a byte, as a message may show it anywhere."""

import json
from collections.abc import Mapping
from typing import Any

LONGEST = 200
"""Bytes of the longest excerpt, its quotes included."""
_BEFORE = 30
_WIDE = LONGEST - 2
_NARROW = (LONGEST - 2) // len(r"\xff")


def excerpt(text: bytes, at: int = 0) -> str:
    """The text around a byte, quoted, everything but printable ASCII escaped; less of it where much is escaped."""
    start = max(0, at - _BEFORE)
    shown = repr(text[start : start + _WIDE])[1:]
    return shown if len(shown) <= LONGEST else repr(text[start : start + _NARROW])[1:]


def excerpt_of(fields: Mapping[str, Any]) -> str:
    """The beginning of a record's fields, as JSON, quoted; readable in any script."""
    shortest = {
        name: value[:LONGEST] if isinstance(value, str | bytes) else value for name, value in fields.items()
    }
    shown = printable(json.dumps(shortest, ensure_ascii=False, default=str)[:_WIDE])
    return f"'{shown.encode()[:_WIDE].decode(errors='ignore')}'"


def storable(text: str) -> str:
    """Text without halves of characters, which JSON can hold and no file takes."""
    return text.encode(errors="replace").decode()


def printable(text: str) -> str:
    """Text without anything that could steer a terminal or break the line."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
