"""Whole files that are bad, and odd ones that are not: what is refused is refused before anything is sent."""

import bz2
import gzip
import io
import json
import lzma
import os
import socket
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from tests.bad_input.corpus import Case, Expected, Make, check, good

BOM = b"\xef\xbb\xbf"
PRETTY = json.dumps({"id": "a", "text": "t"}, indent=2).encode() + b"\n"
zstd = zstandard.ZstdCompressor().compress


def one(content: bytes, name: str = "in.jsonl") -> Make:
    """A single file."""
    return lambda folder: (folder / name).write_bytes(content)


def several(**files: bytes) -> Make:
    """Files of a folder `in`; two underscores stand for the full stop."""

    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        for name, content in files.items():
            (folder / "in" / name.replace("__", ".")).write_bytes(content)

    return make


def made_by(make: Callable[[Path], object], path: str = "in.jsonl") -> Make:
    """Something else than a file, in its place."""
    return lambda folder: make(folder / path)


def table(frame: pl.DataFrame, write: str) -> bytes:
    buffer = io.BytesIO()
    getattr(frame, write)(buffer)
    return buffer.getvalue()


def zipped(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("in.jsonl", content)
    return buffer.getvalue()


def linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


def bound(path: Path) -> None:
    """A socket that has a name and no listener."""
    with socket.socket(socket.AF_UNIX) as one_end:
        previous = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            one_end.bind(path.name)
        finally:
            os.chdir(previous)


def twins(link: Callable[[Path, Path], None]) -> Make:
    def make(folder: Path) -> None:
        (folder / "in").mkdir()
        (folder / "in/a.jsonl").write_bytes(good(2))
        link(folder / "in/b.jsonl", folder / "in/a.jsonl")

    return make


def sparse(size: int) -> Make:
    def make(folder: Path) -> None:
        (folder / "in.jsonl").write_bytes(good(3))
        os.truncate(folder / "in.jsonl", size)

    return make


def path(name: str) -> dict[str, Any]:
    return {"input": {"path": name, "id": "id"}}


def refused(word: str) -> Expected:
    return Expected(exit_code=65, word=word)


FRAME = pl.DataFrame({"id": ["0", "1"], "text": ["a", "b"]})
GZ, ZST = gzip.compress(good(50)), zstd(good(50))
BLANK = (b" " * (1 << 20) + b"\n") * 200

REFUSED: Mapping[str, tuple[Make, str, str]] = {
    "B1 missing": (several(), "nowhere.jsonl", "input_missing"),
    "B1 missing folder": (several(), "nowhere/in.jsonl", "input_missing"),
    "B2 glob without matches": (several(), "in/*.jsonl", "input_missing"),
    "B2 empty folder": (several(), "in", "input_missing"),
    "B2 folder of hidden files": (several(_a__jsonl=good(1)), "in", "input_missing"),
    "B2 folder of foreign files": (several(a__csv=b"a,b\n"), "in", "input_missing"),
    "B1 link to nothing": (made_by(linked("gone")), "in.jsonl", "input_missing"),
    "B4 loop of links": (made_by(linked("in.jsonl")), "in.jsonl", "input_unreadable"),
    "B5 FIFO": (made_by(os.mkfifo), "in.jsonl", "input_not_regular"),
    "B5 socket": (made_by(bound), "in.jsonl", "input_not_regular"),
    "B6 /dev/zero": (made_by(linked("/dev/zero")), "in.jsonl", "input_not_regular"),
    "B6 /dev/null": (made_by(linked("/dev/null")), "in.jsonl", "input_not_regular"),
    "B7 hard link": (twins(lambda new, old: new.hardlink_to(old)), "in", "input_duplicate_file"),
    "B7 symbolic link": (twins(lambda new, old: new.symlink_to(old)), "in/*", "input_duplicate_file"),
    "B10 Parquet within": (one(table(FRAME, "write_parquet")), "in.jsonl", "input_format"),
    "B10 gzip within": (one(GZ), "in.jsonl", "input_format"),
    "B10 zstd within": (one(ZST), "in.jsonl", "input_format"),
    "B10 plain in gz": (one(good(3), "in.jsonl.gz"), "in.jsonl.gz", "input_format"),
    "B10 plain in zst": (one(good(3), "in.jsonl.zst"), "in.jsonl.zst", "input_format"),
    "B10 JSONL in parquet": (one(good(3), "in.parquet"), "in.parquet", "parquet_bad"),
    "B11 CSV": (one(table(FRAME, "write_csv"), "in.csv"), "in.csv", "input_format"),
    "B11 CSV within": (one(table(FRAME, "write_csv")), "in.jsonl", "input_format"),
    "B11 ZIP": (one(zipped(good(3))), "in.jsonl", "input_format"),
    "B11 Arrow": (one(table(FRAME, "write_ipc")), "in.jsonl", "input_format"),
    "B11 Avro": (one(table(FRAME, "write_avro")), "in.jsonl", "input_format"),
    "B11 Excel of old": (one(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)), "in.jsonl", "input_format"),
    "B11 plain text": (one(b"Dear all,\nplease answer.\n"), "in.jsonl", "input_format"),
    "B11 HTML": (one(b"<!DOCTYPE html>\n<html></html>\n"), "in.jsonl", "input_format"),
    "B11 YAML": (one(b"- id: a\n  text: t\n"), "in.jsonl", "input_format"),
    "B12 bzip2": (one(bz2.compress(good(3))), "in.jsonl", "input_format"),
    "B12 bzip2 by its suffix": (one(bz2.compress(good(3)), "in.jsonl.bz2"), "in.jsonl.bz2", "input_format"),
    "B12 xz": (one(lzma.compress(good(3))), "in.jsonl", "input_format"),
    "B12 brotli": (one(bytes(range(139, 255)) * 20), "in.jsonl", "input_format"),
    "B13 gzip twice": (one(gzip.compress(GZ), "in.jsonl.gz"), "in.jsonl.gz", "input_format"),
    "B13 gzip in zstd": (one(zstd(GZ), "in.jsonl.zst"), "in.jsonl.zst", "input_format"),
    "B14 array": (one(b'[{"id":"a","text":"t"},{"id":"b","text":"t"}]'), "in.jsonl", "json_array_file"),
    "B14 array over lines": (one(b'[\n{"id":"a"},\n{"id":"b"}\n]\n'), "in.jsonl", "json_array_file"),
    "B14 long array": (one(b'[{"id":"' + b"x" * 99_999 + b'"}]'), "in.jsonl", "json_array_file"),
    "B15 pretty": (one(PRETTY * 3), "in.jsonl", "json_pretty_file"),
    "B15 pretty, compressed": (one(gzip.compress(PRETTY), "in.jsonl.gz"), "in.jsonl.gz", "json_pretty_file"),
    "B15 pretty with CRLF": (one(PRETTY.replace(b"\n", b"\r\n")), "in.jsonl", "json_pretty_file"),
    "B16 UTF-16": (one(good(3).decode().encode("utf-16")), "in.jsonl", "encoding_utf16"),
    "B16 UTF-16 little": (one(good(3).decode().encode("utf-16-le")), "in.jsonl", "encoding_utf16"),
    "B16 UTF-16 big": (one(good(3).decode().encode("utf-16-be")), "in.jsonl", "encoding_utf16"),
    "B16 UTF-32": (one(good(3).decode().encode("utf-32")), "in.jsonl", "encoding_utf16"),
    "B16 UTF-32 big": (one(good(3).decode().encode("utf-32-be")), "in.jsonl", "encoding_utf16"),
    "B23 CR": (one(good(3).replace(b"\n", b"\r")), "in.jsonl", "line_bare_cr"),
    "B46 empty gzip": (one(b"", "in.jsonl.gz"), "in.jsonl.gz", "compressed_bad"),
    "B46 empty zstd": (one(b"", "in.jsonl.zst"), "in.jsonl.zst", "compressed_bad"),
    "B47 gzip CRC": (one(GZ[:-8] + bytes(8), "in.jsonl.gz"), "in.jsonl.gz", "compressed_bad"),
    "B47 gzip data": (one(GZ[:20] + b"\xff" * 20 + GZ[40:], "in.jsonl.gz"), "in.jsonl.gz", "compressed_bad"),
    "B47 zstd data": (one(ZST[:9] + b"\xff" * 20, "in.jsonl.zst"), "in.jsonl.zst", "compressed_bad"),
    "B48 gzip cut": (one(GZ[:-1], "in.jsonl.gz"), "in.jsonl.gz", "compressed_truncated"),
    "B48 gzip cut early": (one(GZ[:30], "in.jsonl.gz"), "in.jsonl.gz", "compressed_truncated"),
    "B48 zstd cut": (one(ZST[:-1], "in.jsonl.zst"), "in.jsonl.zst", "compressed_truncated"),
    "B49 junk": (one(GZ + b"junk", "in.jsonl.gz"), "in.jsonl.gz", "compressed_trailing"),
    "B49 junk after zstd": (one(ZST + b"junk", "in.jsonl.zst"), "in.jsonl.zst", "compressed_trailing"),
    "B50 bomb": (one(gzip.compress(BLANK), "in.jsonl.gz"), "in.jsonl.gz", "compressed_bomb"),
    "B50 zstd bomb": (one(zstd(BLANK), "in.jsonl.zst"), "in.jsonl.zst", "compressed_bomb"),
}

READ: Mapping[str, tuple[Make, str, Expected]] = {
    "B8 folder": (
        several(b__jsonl=good(1), a__ndjson=good(1, 1), _c__jsonl=b"x", __d__jsonl=b"x", e__md=b"x"),
        "in",
        Expected(answered=2, warning="e.md is no data file"),
    ),
    "B9 empty": (one(b""), "in.jsonl", Expected(warning="is empty")),
    "B9 blank lines": (one(b"\n \r\n\t\n"), "in.jsonl", Expected(warning="holds no record")),
    "B9 a mark alone": (one(BOM), "in.jsonl", Expected(warning="holds no record")),
    "B9 empty member": (
        one(gzip.compress(b""), "in.jsonl.gz"),
        "in.jsonl.gz",
        Expected(warning="holds no record"),
    ),
    "B18 mark at the start": (one(BOM + good(2)), "in.jsonl", Expected(answered=2)),
    "B19 CRLF": (one(good(3).replace(b"\n", b"\r\n")), "in.jsonl", Expected(answered=3)),
    "B20 no newline at the end": (one(good(3).rstrip()), "in.jsonl", Expected(answered=3)),
    "B22 marks of files put together": (
        one(BOM + good(2) + BOM + good(2, 2)),
        "in.jsonl",
        Expected(answered=4, warning="1 line(s) begin with a byte order mark"),
    ),
    "B24 blank lines between": (one(good(1) + b"\n \n" + good(1, 1)), "in.jsonl", Expected(answered=2)),
    "B25 a million blank lines": (one(good(1) + b" \n" * 10**6), "in.jsonl", Expected(answered=1)),
    "B26 torn end": (
        one(good(3) + b'{"id":"3","te'),
        "in.jsonl",
        Expected(answered=3, dead={"json_syntax": 1}, exit_code=3),
    ),
    "B31 a hole of a tebibyte": (
        sparse(1 << 40),
        "in.jsonl",
        Expected(answered=3, dead={"line_nul_tail": 1}, exit_code=3),
    ),
    "B45 several members": (one(GZ + gzip.compress(good(2, 50)), "in.jsonl.gz"), "in.jsonl.gz", Expected(answered=52)),
    "B45 several frames": (one(ZST + zstd(good(2, 50)), "in.jsonl.zst"), "in.jsonl.zst", Expected(answered=52)),
    "B49 padding": (one(GZ + bytes(512), "in.jsonl.gz"), "in.jsonl.gz", Expected(answered=50)),
    "B62 ids by place": (
        several(a__jsonl=b'{"text":"a"}\n{"text":"b"}', b__jsonl=b'{"text":"c"}'),
        "in/*.jsonl",
        Expected(answered=3),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("make", "name", "word"), REFUSED.values(), ids=REFUSED)
def test_a_bad_file_is_refused_before_anything_is_sent(
    tmp_path: Path, base_url: str, make: Make, name: str, word: str
) -> None:
    told = check(Case(make=make, job=path(name), expected=refused(word)), tmp_path, base_url)
    assert told.attempts == 0


@pytest.mark.parametrize(("make", "name", "expected"), READ.values(), ids=READ)
def test_an_odd_file_is_read(
    tmp_path: Path, base_url: str, make: Make, name: str, expected: Expected
) -> None:
    job = path(name) if expected.answered != 3 or name != "in/*.jsonl" else {"input": {"path": name}}
    check(Case(make=make, job=job, expected=expected), tmp_path, base_url)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_refused(tmp_path: Path, base_url: str) -> None:
    def make(folder: Path) -> None:
        (folder / "in.jsonl").write_bytes(good(1))
        (folder / "in.jsonl").chmod(0)

    check(Case(make=make, job={}, expected=refused("input_unreadable")), tmp_path, base_url)
