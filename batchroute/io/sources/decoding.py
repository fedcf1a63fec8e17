"""Lines to fields. The fast decoder gives the verdicts of the careful one, which is the law."""

import json
import math
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn, TypeAlias

import msgspec

from batchroute.core.excerpts import excerpt
from batchroute.core.records import Fault
from batchroute.io.sources.lines import Dropped, Line

MAX_DEPTH = 64
MAX_KEYS = 1_000
MAX_DIGITS = 4_300  # as CPython's own limit of int(), whatever the environment sets
_SHOWN = 60
_BLANKS = " \t\r\n"  # RFC 8259's whitespace, no more
BOM = b"\xef\xbb\xbf"
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"?')
_SPACED_COLON = re.compile(rb":(?<=[ \t\r]:)")  # a colon first: nine times as fast as blanks first
_SPACED_KEY = re.compile(rb'"[ \t\r]+:')
_BRACKET = re.compile(r"[\[\]{}]")

Fields: TypeAlias = dict[str, Any]

_decode = msgspec.json.Decoder(Fields).decode


class _Refused(Exception):  # noqa: N818 - it never leaves this module
    def __init__(self, error_type: str, message: str) -> None:
        super().__init__(message)
        self._error_type = error_type

    def fault(self, line: bytes) -> Fault:
        return Fault(self._error_type, f"{self}: {excerpt(line)}")


class Decoded(NamedTuple):
    """What lines hold: for each one its fields, the fault that makes it a reject, or None where it is blank."""

    values: list[Fields | Fault | None]
    marks: int = 0
    """Lines that begin with a byte order mark, which was passed over."""


def decode_lines(lines: Sequence[Line]) -> Decoded:
    """Decode lines one by one in effect, all at once where that can be. Never raises.

    Numbers keep their value: integers of any size, floats as Python reads them.
    """
    fast = _decode_plain(lines)
    if fast is not None:
        return Decoded(fast)
    marks = sum(isinstance(line, bytes) and line.startswith(BOM) for line in lines)
    return Decoded([_decode_line(line) for line in lines], marks)


def _decode_plain(lines: Sequence[Line]) -> list[Fields | Fault | None] | None:
    """All lines at once when they are clean objects, as nearly always; None to look at each.

    A decoder that keeps the last of two equal keys hides the first, so the keys that came out are counted
    against the keys that stand in the text. Every key is followed by `":` unless blanks come between, so
    equal counts prove that none was hidden.
    """
    try:
        decoded = [_decode(line) for line in lines]  # type: ignore[arg-type]  # what was dropped is refused as a TypeError
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, TypeError):
        return None
    text = b"\n".join(lines)  # type: ignore[arg-type]  # only bytes passed the decoder
    widths = list(map(len, decoded))
    written = text.count(b'":')
    flat = sum(widths) == written
    if (not flat and sum(map(_keys_in, decoded)) != written) or _has_spaced_key(text):
        return None
    if max(widths, default=0) > MAX_KEYS or (
        (not flat or text.count(b"[") + 2 > MAX_DEPTH) and not all(map(_is_shallow, lines))
    ):
        return None
    return decoded  # type: ignore[return-value]  # a list of fields is one of fields and faults


def _decode_line(line: Line) -> Fields | Fault | None:
    if isinstance(line, Dropped):
        return line.fault
    if not line or line.isspace() or not line.removeprefix(BOM).strip():
        return None
    try:
        fields = _decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return _read_carefully(line)
    if _is_shallow(line) and len(fields) <= MAX_KEYS and _keys_in(fields) == _keys_written(line):
        return fields
    return _read_carefully(line)


def _is_shallow(line: Line) -> bool:
    return line.count(b"[") + line.count(b"{") <= MAX_DEPTH  # type: ignore[union-attr]  # only bytes come here


def _keys_written(line: bytes) -> int:
    r"""At least as many as the line has keys; -1 where that is not easily told.

    `":` inside a string is written `\":`, which a key ends with only if its last character is a backslash.
    """
    if _has_spaced_key(line):
        return -1
    quoted = line.count(b'\\":')
    if quoted and b'\\\\"' in line:
        return -1
    return line.count(b'":') - quoted


def _has_spaced_key(text: bytes) -> bool:
    return _SPACED_COLON.search(text) is not None and _SPACED_KEY.search(text) is not None


def _keys_in(value: Fields) -> int:
    keys = 0
    pending: list[Any] = [value]
    while pending:
        part = pending.pop()
        if type(part) is dict:
            keys += len(part)
            part = part.values()
        pending += [inner for inner in part if type(inner) is dict or type(inner) is list]
    return keys


def _read_carefully(line: bytes) -> Fields | Fault:
    """The standard library's parser, with every liberty it takes refused."""
    text = line.removeprefix(BOM)
    marked = len(line) - len(text)
    try:
        decoded = text.decode()
        _check_depth(decoded)
        return _parse(decoded, marked)
    except UnicodeDecodeError as error:
        at = marked + error.start
        return Fault(
            "line_utf8", f"byte {at} of the line (0x{line[at]:02x}) is not UTF-8: {excerpt(line, at)}"
        )
    except json.JSONDecodeError as error:
        at = marked + len(error.doc[: error.pos].encode())
        return Fault("json_syntax", f"{error.msg} at byte {at} of the line: {excerpt(line, at)}")
    except _Refused as refused:
        return refused.fault(line)


def _parse(text: str, marked: int) -> Fields:
    begin = len(text) - len(text.lstrip(_BLANKS))
    if text.startswith("\0", begin):
        raise _Refused("line_nul_tail", "zero bytes instead of a record: the file was not written to its end")
    value, end = _CAREFUL.raw_decode(text, begin)
    rest = text[end:].strip(_BLANKS)
    if rest and not rest.strip("\0"):
        raise _Refused("line_nul_tail", "zero bytes after the record: the file was not written to its end")
    if rest:
        at = marked + len(text[:end].encode())
        raise _Refused(
            "json_trailing_data", f"more follows after the JSON value, which ends at byte {at} of the line"
        )
    if not isinstance(value, dict):
        raise _Refused("record_not_object", f"a record is a JSON object, but this is {_kind(value)}")
    if len(value) > MAX_KEYS:
        raise _Refused(
            "record_too_wide", f"the record has {len(value):,} keys; at most {MAX_KEYS:,} are read"
        )
    if "\\u" in text:
        _check_surrogates(value)
    return value


def _check_depth(text: str) -> None:
    depth = 0
    for bracket in _BRACKET.finditer(_STRING.sub("", text)):
        depth += 1 if bracket[0] in "[{" else -1
        if depth > MAX_DEPTH:
            raise _Refused("json_depth", f"values are nested deeper than {MAX_DEPTH}")


def _check_surrogates(value: Fields) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        raise _Refused(
            "text_surrogate", f"\\u{code:04x} is half of a character, and no text can hold it"
        ) from error


def _distinct(pairs: list[tuple[str, Any]]) -> Fields:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise _Refused("json_duplicate_key", f"the key {twice[:_SHOWN]!r} is there twice")
    return fields


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise _Refused("json_number_range", f"an integer has more than {MAX_DIGITS:,} digits")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _Refused("json_nonfinite", f"{digits[:_SHOWN]} is larger than any float")
    return number


def _constant(name: str) -> NoReturn:
    raise _Refused("json_nonfinite", f"{name} is no JSON number")


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "an array"
    if isinstance(value, str):
        return "a string"
    return "null" if value is None else "a boolean" if isinstance(value, bool) else "a number"


_CAREFUL = json.JSONDecoder(
    object_pairs_hook=_distinct, parse_int=_integer, parse_float=_float, parse_constant=_constant
)
