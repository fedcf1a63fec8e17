"""Whether a file holds what its suffix says, told from its first bytes before anything is paid for."""

import json
import re

import msgspec

from batchroute.core.errors import InputError
from batchroute.io.sources.compression import is_gzip, is_zstd, members
from batchroute.io.sources.files import Kind, SourceFile, unreadable
from batchroute.io.sources.objects import Place

_HEAD = 64 << 10
_FOOT = 4
_STEP = 1 << 10
_SMALLEST_PARQUET = 12
_SIGNATURES = {
    b"PAR1": "Parquet",
    b"PARE": "encrypted Parquet",
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an Excel workbook",
    b"ARROW1": "Arrow",
    b"FEA1": "Feather",
    b"Obj\x01": "Avro",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"SQLite format 3\x00": "an SQLite database",
    b"%PDF-": "a PDF",
}
_UTF16 = re.compile(rb'\xff\xfe|\xfe\xff|\0\0\xfe\xff|\0{1,3}[{\["\s]|[{\["\s]\0', re.DOTALL)
_BARE_CR = re.compile(rb"\}[ \t]*\r[ \t]*\{")  # JSON has no raw CR inside a string
_BOM = b"\xef\xbb\xbf"


def check_format(file: SourceFile) -> None:
    """Read the head of a file. Raises InputError: input_unreadable, input_format, encoding_utf16,
    json_array_file, json_pretty_file, line_bare_cr, compressed_bad, parquet_bad, parquet_encrypted; of an object
    also input_changed, input_io.
    """
    head, foot = _ends(file) if file.place is None else _object_ends(file.place)
    if file.kind is Kind.PARQUET:
        _check_parquet(file, head, foot)
    else:
        _check_text(file, *_plain_head(file, head))


def _ends(file: SourceFile) -> tuple[bytes, bytes]:
    try:
        with file.path.open("rb") as stream:
            head = stream.read(_HEAD)
            stream.seek(max(0, file.size - _FOOT))
            return head, stream.read(_FOOT)
    except OSError as error:
        raise unreadable(file.name, error) from error


def _object_ends(place: Place) -> tuple[bytes, bytes]:
    size = place.stored.size
    head = place.read(0, min(_HEAD, size))
    return head, head[-_FOOT:] if size <= _HEAD else place.read(size - _FOOT, _FOOT)


def _check_parquet(file: SourceFile, head: bytes, foot: bytes) -> None:
    if foot == b"PARE":
        raise InputError(f"{file.name} is encrypted Parquet. Decrypt it first", code="parquet_encrypted")
    if head[:4] != b"PAR1":
        _refuse_signature(file, head)
    if file.size < _SMALLEST_PARQUET or head[:4] != b"PAR1" or foot != b"PAR1":
        raise InputError(
            f"{file.name} is cut or no Parquet file: it must begin and end with PAR1", code="parquet_bad"
        )


def _plain_head(file: SourceFile, head: bytes) -> tuple[bytes, bool]:
    """The first bytes of the text, and whether they are all of it."""
    compressed = members(file)
    if compressed is None:
        return head, file.size <= len(head)
    begins = is_gzip if file.kind is Kind.JSONL_GZIP else is_zstd
    if not head:
        raise InputError(f"{file.name} is empty, which is no compressed file", code="compressed_bad")
    if not begins(head):
        raise InputError(f"{file.name} is not compressed as its suffix says. Rename it", code="input_format")
    plain = b""
    for start in range(0, len(head), _STEP):
        plain += b"".join(compressed.pieces(head[start : start + _STEP]))
        if len(plain) >= _HEAD:
            return plain[:_HEAD], False
    return plain, file.size <= len(head)


def _check_text(file: SourceFile, head: bytes, whole: bool) -> None:
    _refuse_signature(file, head)
    if _UTF16.match(head):
        raise InputError(
            f"{file.name} is UTF-16 or UTF-32. Convert it: iconv -t UTF-8", code="encoding_utf16"
        )
    lines = _full_lines(head.removeprefix(_BOM), whole)
    if not lines or (_is_json(lines[0]) and lines[0][:1] != b"["):
        return
    if _BARE_CR.search(lines[0]):
        raise InputError(
            f"{file.name} ends its lines with CR alone. Convert it: mac2unix", code="line_bare_cr"
        )
    if lines[0].startswith(b"["):
        _refuse_array(file, lines)
    elif lines[0].startswith(b"{"):
        _refuse_pretty(file, lines, whole)
    elif not any(line.startswith(b"{") or _is_json(line) for line in lines):
        raise _no_json(file, lines[0])


def _full_lines(head: bytes, whole: bool) -> list[bytes]:
    """The lines that are not blank, without the one that is cut where the head ends unless it is the only one."""
    lines = head.split(b"\n")
    if not whole and len(lines) > 1:
        lines.pop()
    return [line.strip() for line in lines if line and not line.isspace()]


def _refuse_signature(file: SourceFile, head: bytes) -> None:
    for signature, what in _SIGNATURES.items():
        if head.startswith(signature):
            raise InputError(
                f"{file.name} holds {what}, not what its suffix says. Rename or convert it",
                code="input_format",
            )


def _refuse_array(file: SourceFile, lines: list[bytes]) -> None:
    """Refuse one array over the file; a line that holds an array among others is that line's fault."""
    if _is_json(lines[0]):
        over_the_file = len(lines) == 1
    else:
        over_the_file = len(lines) == 1 or not _is_json(lines[1]) or lines[-1].endswith(b"]")
    if over_the_file:
        raise InputError(
            f"{file.name} is one JSON array. Write one object a line: jq -c '.[]'", code="json_array_file"
        )


def _refuse_pretty(file: SourceFile, lines: list[bytes], whole: bool) -> None:
    text = b"\n".join(lines).decode(errors="replace")
    try:
        _, end = json.JSONDecoder().raw_decode(text)
        pretty = "\n" in text[:end]
    except (ValueError, RecursionError):
        pretty = not whole and lines[0] == b"{"
    if pretty:
        raise InputError(
            f"{file.name} spreads objects over several lines. Write one object a line: jq -c .",
            code="json_pretty_file",
        )


def _no_json(file: SourceFile, first: bytes) -> InputError:
    table = any(mark in first for mark in (b",", b";", b"\t"))
    hint = "It looks like CSV: convert it, polars.read_csv(...).write_ndjson(...)" if table else "Convert it"
    return InputError(f"{file.name} has no line of JSON. {hint}", code="input_format")


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True
