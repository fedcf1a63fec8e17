"""The bytes of an answer as a JSON value, read with patience, or what they are instead of JSON."""

import json as patient
import zlib
from typing import Final, NamedTuple

from msgspec import DecodeError, json

from batchroute.core.responses import ErrorType
from batchroute.providers.limits import Header

MAX_DECODED_BYTES: Final = 16 * 2**20
"""What a compressed body may become."""

_DEFLATED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_EITHER_HEADER: Final = 32 + zlib.MAX_WBITS  # of gzip or of zlib


class BombError(ValueError):
    """The body is larger than MAX_DECODED_BYTES once it is decompressed."""


class Parsed(NamedTuple):
    """A decoded value, or in `fault` the reason why there is none."""

    value: object
    fault: ErrorType | None = None


def parse(body: bytes, header: Header) -> Parsed:
    """Read UTF-8 JSON whatever the headers say, with a BOM, NaN or lone surrogates if need be.

    Nobody asks for a compressed body, but one that comes is paid for: it is decompressed as far as it goes.
    """
    read = _read(body)
    if read.fault is None or not body or not is_encoded(header):
        return read
    try:
        return _read(inflated(body, header))
    except BombError:
        return Parsed(None, ErrorType.DECODE_BOMB)
    except zlib.error:
        return Parsed(None, ErrorType.DECODE_FAILED)


def is_encoded(header: Header) -> bool:
    """Whether the body is said to be compressed in any way."""
    return _encoding(header) != "identity"


def inflated(body: bytes, header: Header) -> bytes:
    """The decompressed body, also when its end is missing. Raises zlib.error, or BombError for too much of it."""
    if _encoding(header) not in _DEFLATED:
        raise zlib.error(f"unknown encoding {_encoding(header)!r}")
    plain = zlib.decompressobj(_EITHER_HEADER).decompress(body, MAX_DECODED_BYTES + 1)
    if len(plain) > MAX_DECODED_BYTES:
        raise BombError(len(body))
    return plain


def _encoding(header: Header) -> str:
    return (header("content-encoding") or "identity").strip().lower()


def _read(body: bytes) -> Parsed:
    try:
        return Parsed(_value(body))
    except RecursionError:
        return Parsed(None, ErrorType.NESTING_TOO_DEEP)
    except ValueError:  # of both parsers, of UTF-8, and of integers that are too long
        return Parsed(None, _fault(body))


def _value(body: bytes) -> object:
    try:
        return json.decode(body)
    except DecodeError:
        return patient.loads(body.decode("utf-8-sig"))


def _fault(body: bytes) -> ErrorType:
    visible = body.removeprefix(b"\xef\xbb\xbf").strip()
    if not visible:
        return ErrorType.EMPTY_BODY
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
