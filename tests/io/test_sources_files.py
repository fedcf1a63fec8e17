"""Which files a path stands for, and which are refused before anything is read."""

import gzip
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
import zstandard

from batchroute.core.errors import InputError
from batchroute.io.sources.files import Kind, list_files
from batchroute.io.sources.source import Source, open_source

LINE = b'{"id":"a"}\n'


def opened(path: Path | str) -> Source:
    return open_source(str(path), id_column=None, columns=None)


def refused(path: Path | str) -> InputError:
    with pytest.raises(InputError) as caught:
        opened(path)
    return caught.value


def parquet(path: Path) -> bytes:
    pl.DataFrame({"id": ["a"]}).write_parquet(path)
    return path.read_bytes()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("in.jsonl", Kind.JSONL),
        ("in.ndjson", Kind.JSONL),
        ("IN.JSONL", Kind.JSONL),
        ("in.jsonl.gz", Kind.JSONL_GZIP),
        ("in.ndjson.zst", Kind.JSONL_ZSTD),
    ],
)
def test_the_suffix_tells_the_kind(tmp_path: Path, name: str, kind: Kind) -> None:
    (tmp_path / name).write_bytes(LINE)
    (file,) = list_files(str(tmp_path / name)).files
    assert (file.kind, file.name, file.size) == (kind, name, len(LINE))


def test_a_folder_gives_its_data_files_by_name(tmp_path: Path) -> None:
    for name in ("b.jsonl", "a.jsonl", ".hidden.jsonl", "_temporary.jsonl", "notes.txt"):
        (tmp_path / name).write_bytes(LINE)
    (tmp_path / "folder.jsonl").mkdir()

    source = opened(tmp_path)

    assert [file.name for file in source.files] == ["a.jsonl", "b.jsonl"]
    assert source.warnings == ("notes.txt is no data file and was passed over",)
    assert source.bytes_total == 2 * len(LINE)


def test_a_glob_gives_its_matches_and_names_tell_them_apart(tmp_path: Path) -> None:
    for folder in ("2026", "2025"):
        (tmp_path / folder / "deep").mkdir(parents=True)
        (tmp_path / folder / "in.jsonl").write_bytes(LINE)
    (tmp_path / "2025" / "deep" / "in.jsonl").write_bytes(LINE)

    assert [file.name for file in opened(tmp_path / "*/in.jsonl").files] == ["2025/in.jsonl", "2026/in.jsonl"]
    assert [file.name for file in opened(tmp_path / "**/in.jsonl").files] == [
        "2025/deep/in.jsonl",
        "2025/in.jsonl",
        "2026/in.jsonl",
    ]


def test_a_file_may_be_named_like_a_glob(tmp_path: Path) -> None:
    (tmp_path / "in[1].jsonl").write_bytes(LINE)
    assert [file.name for file in opened(tmp_path / "in[1].jsonl").files] == ["in[1].jsonl"]


def test_a_name_that_is_no_utf8_is_shown_with_escapes(tmp_path: Path) -> None:
    (tmp_path / os.fsdecode(b"caf\xe9.jsonl")).write_bytes(LINE)
    assert [file.name for file in opened(tmp_path).files] == ["caf\\xe9.jsonl"]


async def test_files_are_read_one_after_another(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(b'{"n":1}\n{"n":2}\n')
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(b'{"n":3}\n'))
    pl.DataFrame({"n": [4]}).write_parquet(tmp_path / "c.parquet")

    source = opened(tmp_path)
    batches = [batch async for batch in source.batches()]

    assert [[record.record_id for record in batch.records] for batch in batches] == [
        ["a.jsonl:1", "a.jsonl:2"],
        ["b.jsonl.gz:1"],
        ["c.parquet:1"],
    ]
    assert [record.fields["n"] for batch in batches for record in batch.records] == [1, 2, 3, 4]
    assert (source.rows, source.schema) == (None, None)
    assert source.statistics().files_read == 3
    assert source.statistics().bytes_read == source.bytes_total


@pytest.mark.parametrize("name", ["absent.jsonl", "absent-*.jsonl", "folder", "x\0.jsonl", "n" * 300])
def test_nothing_there_is_said(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder").mkdir()
    assert refused(f"{tmp_path}/{name}").code == "input_missing"


def test_a_folder_of_other_files_says_which_kinds_are_read(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"a,b\n")
    error = refused(tmp_path)
    assert error.code == "input_missing"
    assert "table.csv" in str(error)
    assert ".parquet" in str(error)


def test_a_loop_of_links_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").symlink_to(tmp_path / "in.jsonl")
    assert refused(tmp_path / "in.jsonl").code == "input_unreadable"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_bytes(LINE)
    (tmp_path / "in.jsonl").chmod(0)
    assert refused(tmp_path / "in.jsonl").code == "input_unreadable"


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def link_to_zeros(path: Path) -> None:
    path.symlink_to("/dev/zero")


@pytest.mark.parametrize("make", [make_fifo, make_socket, link_to_zeros])
def test_only_regular_files_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None]
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket is short
    make(Path("in.jsonl"))
    assert refused("in.jsonl").code == "input_not_regular"
    assert refused(tmp_path).code == "input_not_regular"


def hard_link(first: Path, second: Path) -> None:
    second.hardlink_to(first)


def soft_link(first: Path, second: Path) -> None:
    second.symlink_to(first)


@pytest.mark.parametrize("link", [hard_link, soft_link])
def test_the_same_file_twice_is_refused(tmp_path: Path, link: Callable[[Path, Path], None]) -> None:
    (tmp_path / "a.jsonl").write_bytes(LINE)
    link(tmp_path / "a.jsonl", tmp_path / "b.jsonl")
    error = refused(tmp_path)
    assert error.code == "input_duplicate_file"
    assert "a.jsonl" in str(error)
    assert "b.jsonl" in str(error)


PRETTY = json.dumps({"id": "a", "text": "b"}, indent=2).encode()


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        pytest.param("in.csv", b"id,text\n1,a\n", "input_format", id="B11 CSV"),
        pytest.param("in.jsonl", b"id,text\n1,a\n", "input_format", id="B10 CSV within"),
        pytest.param("in.jsonl", b"some words\nand more\n", "input_format", id="B11 plain text"),
        pytest.param("in.jsonl", b"PK\x03\x04....", "input_format", id="B11 ZIP or XLSX"),
        pytest.param("in.jsonl", b"ARROW1\0\0", "input_format", id="B11 Arrow"),
        pytest.param("in.jsonl", b"PAR1....PAR1", "input_format", id="B10 Parquet within"),
        pytest.param("in.jsonl", gzip.compress(LINE), "input_format", id="B10 gzip within"),
        pytest.param("in.jsonl", b"BZh91AY&SY", "input_format", id="B12 bzip2"),
        pytest.param("in.jsonl", b"\xfd7zXZ\x00..", "input_format", id="B12 xz"),
        pytest.param("in.jsonl", bytes(range(129, 250)) * 9, "input_format", id="B12 unknown binary"),
        pytest.param("in.jsonl.gz", LINE, "input_format", id="B10 plain within gz"),
        pytest.param("in.jsonl.zst", gzip.compress(LINE), "input_format", id="B10 gzip within zst"),
        pytest.param("in.jsonl.gz", gzip.compress(gzip.compress(LINE)), "input_format", id="B13 twice"),
        pytest.param("in.jsonl.gz", b"", "compressed_bad", id="B46 gzip"),
        pytest.param("in.jsonl.zst", b"", "compressed_bad", id="B46 zstd"),
        pytest.param("in.jsonl.gz", b"\x1f\x8b" + b"\xff" * 40, "compressed_bad", id="B47 gzip header"),
        pytest.param(
            "in.jsonl.zst", b"\x28\xb5\x2f\xfd" + b"\xff" * 40, "compressed_bad", id="B47 zstd header"
        ),
        pytest.param("in.jsonl", b'[{"id":"a"},{"id":"b"}]', "json_array_file", id="B14 one line"),
        pytest.param("in.jsonl", b'[\n{"id":"a"},\n{"id":"b"}\n]\n', "json_array_file", id="B14 lines"),
        pytest.param("in.jsonl", b'[\n{"id":"a"}\n]\n', "json_array_file", id="B14 one record"),
        pytest.param("in.jsonl", b'[{"id":"a"},\n {"id":"b"}]\n', "json_array_file", id="B14 hanging"),
        pytest.param(
            "in.jsonl", b'[{"t":"' + b"x" * 99_999, "json_array_file", id="B14 longer than the head"
        ),
        pytest.param("in.jsonl", PRETTY, "json_pretty_file", id="B15"),
        pytest.param("in.jsonl.gz", gzip.compress(PRETTY), "json_pretty_file", id="B15 compressed"),
        pytest.param(
            "in.jsonl", b"{\n" + b'"a":1,\n' * 99_999, "json_pretty_file", id="B15 longer than the head"
        ),
        pytest.param("in.jsonl", '{"id":"a"}\n'.encode("utf-16"), "encoding_utf16", id="B16 BOM"),
        pytest.param("in.jsonl", '{"id":"a"}\n'.encode("utf-16-le"), "encoding_utf16", id="B16 little"),
        pytest.param("in.jsonl", '{"id":"a"}\n'.encode("utf-16-be"), "encoding_utf16", id="B16 big"),
        pytest.param("in.jsonl", '{"id":"a"}\n'.encode("utf-32-be"), "encoding_utf16", id="B16 UTF-32"),
        pytest.param("in.jsonl", b'{"id":"a"}\r{"id":"b"}\r', "line_bare_cr", id="B23"),
        pytest.param("in.parquet", b"", "parquet_bad", id="B76 empty"),
        pytest.param("in.parquet", b"PAR1PAR1", "parquet_bad", id="B76 short"),
        pytest.param("in.parquet", LINE, "parquet_bad", id="B10 JSONL within"),
        pytest.param("in.parquet", b"PK\x03\x04........", "input_format", id="B10 ZIP within"),
        pytest.param("in.parquet", b"PARE............PARE", "parquet_encrypted", id="B81"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_refused(
    tmp_path: Path, name: str, content: bytes, code: str
) -> None:
    (tmp_path / name).write_bytes(content)
    error = refused(tmp_path / name)
    assert error.code == code
    assert name in str(error)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"", id="B9 empty"),
        pytest.param(b"\n \n", id="B9 blank"),
        pytest.param(b'{"id":\n{"id":"b"}\n', id="torn first line"),
        pytest.param(b'# comment\n{"id":"b"}\n', id="comment first"),
        pytest.param(b'[1,2]\n{"id":"b"}\n', id="B34 an array among objects"),
        pytest.param(b'[1,2\n{"id":"b"}\n', id="a torn array among objects"),
        pytest.param(b"1\n2\n", id="numbers"),
        pytest.param(b'{"a":1}{"b":2}\n', id="B33 two on a line"),
        pytest.param(b'{"a":"' + b"x" * 200_000 + b'"}', id="longer than the head"),
        pytest.param(b"\xef\xbb\xbf" + LINE, id="B18 BOM"),
        pytest.param(b"\0" * 100 + b"\n" + LINE, id="B30 zeros first"),
        pytest.param(b'{"a":"\xff"}\n', id="B17 not UTF-8"),
        pytest.param(b'{"a":1e400}\n{"a":1}\n', id="B36"),
    ],
)
def test_single_bad_lines_refuse_no_file(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "in.jsonl").write_bytes(content)
    (tmp_path / "in.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(content))
    assert len(opened(tmp_path).files) == 2


def test_a_parquet_file_cut_anywhere_is_refused(tmp_path: Path) -> None:
    whole = parquet(tmp_path / "whole.parquet")
    for size in range(len(whole)):
        (tmp_path / "in.parquet").write_bytes(whole[:size])
        assert refused(tmp_path / "in.parquet").code == "parquet_bad", size
