"""The bytes of an answer as a JSON value, read with patience, or what they are instead of JSON."""

import json as patient
from typing import NamedTuple

from msgspec import DecodeError, json

from batchroute.core.responses import ErrorType
from batchroute.providers.limits import Header


class Parsed(NamedTuple):
    """A decoded value, or in `fault` the reason why there is none."""

    value: object
    fault: ErrorType | None = None


def parse(body: bytes, header: Header) -> Parsed:
    """Read UTF-8 JSON whatever the content type says, with a BOM, NaN or lone surrogates if need be."""
    try:
        return Parsed(_value(body))
    except RecursionError:
        return Parsed(None, ErrorType.NESTING_TOO_DEEP)
    except ValueError:  # of both parsers, of UTF-8, and of integers that are too long
        return Parsed(None, _fault(body, header))


def _value(body: bytes) -> object:
    try:
        return json.decode(body)
    except DecodeError:
        return patient.loads(body.decode("utf-8-sig"))


def _fault(body: bytes, header: Header) -> ErrorType:
    visible = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not visible:
        return ErrorType.EMPTY_BODY
    if (header("content-encoding") or "identity").strip().lower() != "identity":
        return ErrorType.DECODE_FAILED
    if visible.startswith((b"data:", b"event:", b":")):
        return ErrorType.UNEXPECTED_STREAM
    if visible.startswith(b"<"):
        return ErrorType.HTML_BODY
    return ErrorType.NOT_JSON if _is_utf8(visible) else ErrorType.BODY_NOT_UTF8


def _is_utf8(octets: bytes) -> bool:
    try:
        octets.decode()
    except UnicodeDecodeError:
        return False
    return True
