"""The one JSON value in what a model said, with whatever it said around it."""

import re
from json import JSONDecodeError, JSONDecoder
from typing import Any, Final

from msgspec import DecodeError, json

_FENCED: Final = re.compile(r"```[\w+-]*[ \t]*\r?\n(.*?)```", re.DOTALL)
_OPENING: Final = re.compile(r"[{\[]")
_MOST_TRIES: Final = 50
_MOST_CHARS: Final = 1 << 20


class NoJsonError(ValueError):
    """There is no JSON value in the text, or more than one."""


def json_in(text: str) -> Any:
    """The value: the text itself, what its one code fence holds, or the one object or list in its prose.

    Raises NoJsonError.
    """
    try:
        return json.decode(text)
    except (DecodeError, RecursionError, UnicodeEncodeError) as error:
        broken = error
    fenced = _decoded(_FENCED.findall(text))
    found = fenced or _loose(text)
    if len(found) == 1:
        return found[0]
    if found:
        raise NoJsonError("there is more than one JSON value in it")
    raise NoJsonError(f"it is not JSON: {broken}")


def _decoded(texts: list[str]) -> list[Any]:
    found = []
    for text in texts:
        try:
            found.append(json.decode(text))
        except (DecodeError, RecursionError, UnicodeEncodeError):
            continue
    return found


def _loose(text: str) -> list[Any]:
    """The objects and lists that stand in the text, outermost ones only."""
    found: list[Any] = []
    decoder, at = JSONDecoder(parse_constant=_no_number), 0
    for _ in range(_MOST_TRIES if len(text) <= _MOST_CHARS else 0):
        opening = _OPENING.search(text, at)
        if opening is None:
            break
        try:
            value, at = decoder.raw_decode(text, opening.start())
        except (JSONDecodeError, RecursionError, ValueError):
            at = opening.end()
        else:
            found.append(value)
    return found


def _no_number(name: str) -> Any:
    raise ValueError(name)
