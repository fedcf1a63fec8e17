"""JSONL files, plain and compressed, from real files to batches."""

import gzip
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path

import psutil
import pytest
import zstandard

from batchroute.core.errors import InputError
from batchroute.core.records import Batch, Record, Reject
from batchroute.io.sources.source import Source, open_source

THREE = b'{"id":"a","text":"x"}\n{"id":"b","text":"y"}\n{"id":"c","text":"z"}\n'


def zstd(plain: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(plain)


COMPRESSED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "zst": zstd}


def source(path: Path, payload: bytes, id_column: str | None = None, batch_records: int = 4096) -> Source:
    path.write_bytes(payload)
    return open_source(str(path), id_column=id_column, columns=None, batch_records=batch_records)


async def read(opened: Source) -> tuple[list[Record], list[Reject]]:
    batches = [batch async for batch in opened.batches()]
    return [record for batch in batches for record in batch.records], [
        reject for batch in batches for reject in batch.rejects
    ]


async def refusal(opened: Source) -> str:
    with pytest.raises(InputError) as caught:
        await read(opened)
    return caught.value.code


async def test_records_keep_their_line_and_rejects_stand_between_them(tmp_path: Path) -> None:
    opened = source(tmp_path / "in.jsonl", b'\xef\xbb\xbf{"id":"a"}\r\n\n{"id":\n   \n{"id":"b"}')

    records, rejects = await read(opened)

    assert [(record.record_id, record.file, record.line) for record in records] == [
        ("a", "in.jsonl", 1),
        ("b", "in.jsonl", 5),
    ]
    assert [(reject.record_id, reject.fault.error_type) for reject in rejects] == [
        ("in.jsonl:3", "json_syntax")
    ]
    statistics = opened.statistics()
    assert (statistics.records, statistics.rejects, statistics.blank_lines) == (2, 1, 2)
    assert statistics.bytes_read == opened.bytes_total
    assert statistics.files_read == 1


@pytest.mark.parametrize(
    ("id_column", "line", "expected"),
    [
        (None, b'{"custom_id":"c","id":"i"}', "c"),
        (None, b'{"custom_id":null,"id":"i"}', "i"),
        (None, b'{"id":7}', "7"),
        (None, b'{"text":"x"}', "in.jsonl:1"),
        (None, b'{"id":" "}', "in.jsonl:1"),
        ("key", b'{"key":" a\\n","id":"i"}', " a\n"),
        ("key", b'{"key":1}', "1"),
        ("key", b'{"key":true}', "true"),
        ("key", b'{"key":1.50}', "1.5"),
        ("key", b'{"key":1180591620717411303424}', "1180591620717411303424"),
        ("key", b'{"key":{"a":[1,"\\u00e9"]}}', '{"a":[1,"é"]}'),
    ],
)
async def test_the_id_is_text(tmp_path: Path, id_column: str | None, line: bytes, expected: str) -> None:
    records, _ = await read(source(tmp_path / "in.jsonl", line, id_column))
    assert [record.record_id for record in records] == [expected]


@pytest.mark.parametrize("line", [b'{"id":"i"}', b'{"key":null}', b'{"key":""}', b'{"key":" \\t"}'])
async def test_a_declared_id_must_be_there(tmp_path: Path, line: bytes) -> None:
    records, rejects = await read(source(tmp_path / "in.jsonl", line, "key"))
    assert not records
    assert [reject.fault.error_type for reject in rejects] == ["id_missing"]


@pytest.mark.parametrize("batch_records", [1, 2, 3, 7, 4096])
async def test_batches_hold_all_records_in_order(tmp_path: Path, batch_records: int) -> None:
    payload = b"".join(b'{"id":"r%d"}\n' % number for number in range(20))
    opened = source(tmp_path / "in.jsonl", payload, batch_records=batch_records)

    batches = [batch async for batch in opened.batches()]

    assert [record.record_id for batch in batches for record in batch.records] == [f"r{n}" for n in range(20)]
    assert max(len(batch.records) for batch in batches) == min(batch_records, 20)
    assert [record.line for batch in batches for record in batch.records] == list(range(1, 21))


@pytest.mark.parametrize("suffix", ["jsonl", "jsonl.gz"])
async def test_a_bad_line_is_found_at_its_offset(tmp_path: Path, suffix: str) -> None:
    lines = [b'{"id":"%d"}' % at if at % 7 else b"{broken %d" % at + b"x" * at for at in range(1, 400)]
    text = b"\r\n\n".join(lines)
    path = tmp_path / f"in.{suffix}"
    path.write_bytes(gzip.compress(text) if suffix.endswith("gz") else text)

    found = []
    async for batch in open_source(str(path), id_column=None, columns=None, batch_records=10).batches():
        for reject in batch.rejects:
            assert batch.offsets is not None
            found.append(text[batch.offsets.of(reject.line) :].split(b"\r", 1)[0])

    assert found == [line for line in lines if line.startswith(b"{broken")]


async def test_a_line_after_a_hole_is_found_at_its_offset(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id":"a"}\n')
    with path.open("r+b") as stream:
        stream.seek(1 << 30)
        stream.write(b"\n{broken\n")

    async for batch in open_source(str(path), id_column=None, columns=None).batches():
        assert [batch.place(reject.file, reject.line) for reject in batch.rejects] == [
            "in.jsonl:2 (byte 11)",
            f"in.jsonl:3 (byte {(1 << 30) + 1})",
        ]


async def test_reading_again_gives_the_same(tmp_path: Path) -> None:
    opened = source(tmp_path / "in.jsonl", THREE)
    assert await read(opened) == await read(opened)
    assert opened.statistics().records == 3


async def test_lines_that_span_blocks_stay_whole(tmp_path: Path) -> None:
    texts = ["x" * random.Random(number).randrange(300_000) for number in range(40)]
    payload = "".join(json.dumps({"id": str(n), "text": text}) + "\n" for n, text in enumerate(texts))

    records, rejects = await read(source(tmp_path / "in.jsonl", payload.encode()))

    assert not rejects
    assert [record.fields["text"] for record in records] == texts


async def test_long_lines_make_small_batches(tmp_path: Path) -> None:
    payload = b"".join(b'{"id":"r%d","text":"%b"}\n' % (number, b"x" * 100_000) for number in range(200))
    batches = [batch async for batch in source(tmp_path / "in.jsonl", payload).batches()]
    assert sum(len(batch.records) for batch in batches) == 200
    assert max(len(batch.records) for batch in batches) < 60


async def test_a_line_over_the_limit_is_not_buffered(tmp_path: Path) -> None:
    payload = b'{"id":"a"}\n{"id":"' + b"x" * (64 << 20) + b'"}\n{"id":"c"}\n'
    opened = source(tmp_path / "in.jsonl", payload)
    del payload

    tracemalloc.start()
    records, rejects = await read(opened)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert [record.record_id for record in records] == ["a", "c"]
    assert [(reject.line, reject.fault.error_type) for reject in rejects] == [(2, "line_too_long")]
    assert peak < 40 << 20


async def test_a_terabyte_hole_is_one_reject(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id":"a"}\n')
    with path.open("r+b") as stream:
        stream.truncate(1 << 40)
        stream.seek(1 << 40)
        stream.write(b'\n{"id":"b"}\n')

    records, rejects = await read(open_source(str(path), id_column=None, columns=None))

    assert [(record.record_id, record.line) for record in records] == [("a", 1), ("b", 3)]
    assert [(reject.line, reject.fault.error_type) for reject in rejects] == [(2, "line_nul_tail")]


async def test_a_hole_may_end_the_file(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    path.write_bytes(b'{"id":"a"}\n')
    os.truncate(path, 1 << 40)

    opened = open_source(str(path), id_column=None, columns=None)
    records, rejects = await read(opened)

    assert [record.record_id for record in records] == ["a"]
    assert [(reject.line, reject.fault.error_type) for reject in rejects] == [(2, "line_nul_tail")]
    assert opened.statistics().bytes_read == 1 << 40


@pytest.mark.parametrize("payload", [b"", b"\n\n", b" \n" * 50_000])
async def test_a_file_without_lines_gives_nothing(tmp_path: Path, payload: bytes) -> None:
    opened = source(tmp_path / "in.jsonl", payload)
    assert await read(opened) == ([], [])
    assert opened.statistics().blank_lines == payload.count(b"\n")
    assert opened.warnings == (() if payload else ("in.jsonl is empty",))


@pytest.mark.parametrize("suffix", COMPRESSED)
async def test_compressed_files_read_as_plain_ones(tmp_path: Path, suffix: str) -> None:
    compress = COMPRESSED[suffix]
    second = b"".join(b'{"id":"r%d","text":"%d"}\n' % (n, n * 7919) for n in range(100_000))
    path = tmp_path / f"in.jsonl.{suffix}"

    opened = source(path, compress(THREE) + compress(second) + compress(b"") + b"\0" * 5000)
    records, rejects = await read(opened)

    assert not rejects
    assert [record.record_id for record in records] == ["a", "b", "c", *(f"r{n}" for n in range(100_000))]
    assert records[-1].line == 100_003
    assert opened.statistics().bytes_read == path.stat().st_size


async def test_a_skippable_zstd_frame_is_skipped(tmp_path: Path) -> None:
    skippable = b"\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"
    records, _ = await read(source(tmp_path / "in.jsonl.zst", skippable + zstd(THREE) + skippable))
    assert len(records) == 3


@pytest.mark.parametrize("suffix", COMPRESSED)
async def test_a_compressed_file_cut_anywhere_is_refused(tmp_path: Path, suffix: str) -> None:
    whole = COMPRESSED[suffix](THREE)
    for size in range(4, len(whole)):
        opened = source(tmp_path / f"in.jsonl.{suffix}", whole[:size])
        assert await refusal(opened) == "compressed_truncated", size


async def test_a_cut_file_tells_how_many_records_were_readable(tmp_path: Path) -> None:
    payload = b"".join(b'{"id":"r%d","text":"%d"}\n' % (n, n * 7919) for n in range(200_000))
    opened = source(tmp_path / "in.jsonl.gz", gzip.compress(payload)[:-8], batch_records=1000)

    with pytest.raises(InputError, match=r"\(200,000 records were read before\)") as caught:
        await read(opened)

    assert caught.value.code == "compressed_truncated"


@pytest.mark.parametrize("suffix", COMPRESSED)
@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        pytest.param(
            lambda whole: whole[:-4] + bytes([whole[-4] ^ 1]) + whole[-3:], "compressed_bad", id="B47"
        ),
        pytest.param(lambda whole: whole + b"junk", "compressed_trailing", id="B49 junk"),
        pytest.param(lambda whole: whole + b"j", "compressed_trailing", id="B49 one byte"),
        pytest.param(lambda whole: whole + b"\0\0" + whole, "compressed_trailing", id="B49 after padding"),
    ],
)
async def test_damage_is_refused(
    tmp_path: Path, suffix: str, damage: Callable[[bytes], bytes], expected: str
) -> None:
    path = tmp_path / f"in.jsonl.{suffix}"
    path.write_bytes(damage(COMPRESSED[suffix](THREE)))
    with pytest.raises(InputError) as caught:  # at the opening, or where reading finds it
        await read(open_source(str(path), id_column=None, columns=None))
    assert caught.value.code == expected


@pytest.mark.parametrize("suffix", COMPRESSED)
async def test_a_bomb_is_refused_before_it_fills_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"in.jsonl.{suffix}"
    path.write_bytes(COMPRESSED[suffix](b'{"id":"a"}\n' + b" " * (300 << 20)))

    tracemalloc.start()
    with pytest.raises(InputError) as caught:  # at the opening, or where reading finds it
        await read(open_source(str(path), id_column=None, columns=None))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert caught.value.code == "compressed_bomb"
    assert peak < 100 << 20


async def test_what_is_appended_after_opening_waits_for_the_next_run(tmp_path: Path) -> None:
    path = tmp_path / "in.jsonl"
    opened = source(path, THREE)
    with path.open("ab") as stream:
        stream.write(b'{"id":"late"}\n')

    records, _ = await read(opened)

    assert [record.record_id for record in records] == ["a", "b", "c"]


def shrink(path: Path) -> None:
    os.truncate(path, 10)


def replace(path: Path) -> None:
    other = path.with_suffix(".new")
    other.write_bytes(THREE)
    other.replace(path)


def edit(path: Path) -> None:
    status = path.stat()
    path.write_bytes(THREE.replace(b"x", b"X"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))


@pytest.mark.parametrize("change", [shrink, replace, edit])
async def test_a_file_changed_after_opening_is_refused(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "in.jsonl"
    opened = source(path, THREE)
    change(path)
    assert await refusal(opened) == "input_changed"


@pytest.mark.parametrize("change", [shrink, replace])
async def test_a_file_changed_while_it_is_read_is_refused(
    tmp_path: Path, change: Callable[[Path], None]
) -> None:
    path = tmp_path / "in.jsonl"
    opened = source(
        path, b"".join(b'{"id":"r%d"}\n' % number for number in range(200_000)), batch_records=1000
    )
    seen: list[Batch] = []

    async def read_and_change() -> None:
        async with aclosing(opened.batches()) as batches:
            async for batch in batches:
                if not seen:
                    change(path)
                seen.append(batch)

    with pytest.raises(InputError) as caught:
        await read_and_change()

    assert caught.value.code == "input_changed"
    assert opened.statistics().records == sum(len(batch.records) for batch in seen) > 50_000


async def test_a_reader_that_leaves_early_leaves_no_open_file(tmp_path: Path) -> None:
    opened = source(tmp_path / "in.jsonl", THREE * 100_000, batch_records=10)

    async with aclosing(opened.batches()) as batches:
        await anext(batches)

    open_files = {str(open_file.path) for open_file in psutil.Process().open_files()}
    assert str(tmp_path / "in.jsonl") not in open_files
