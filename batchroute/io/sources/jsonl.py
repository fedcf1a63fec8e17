"""JSONL to batches: blocks of bytes, lines, fields, records. Memory is bounded by a few blocks."""

import asyncio
import errno
import os
from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple

import aiofiles

from batchroute.core.records import Batch, Fault, Offsets, Record, Reject
from batchroute.io.sources.chunks import Chunk, changed, damaged
from batchroute.io.sources.compression import members
from batchroute.io.sources.decoding import BOM, decode_lines
from batchroute.io.sources.files import Kind, SourceFile
from batchroute.io.sources.ids import Identifier
from batchroute.io.sources.lines import Line, Splitter
from batchroute.io.sources.objects import PIECE, Place

BLOCK = 1 << 20
_MAX_HELD = 4 << 20
"""Bytes of lines after which a batch is closed, however few they are."""


class _Block(NamedTuple):
    payload: bytes
    bytes_read: int
    """Of the file, up to here."""
    zeros: int = 0
    """Zero bytes that follow it and were passed over."""


class _Lines(NamedTuple):
    lines: Sequence[Line]
    size: int
    bytes_read: int


async def read_jsonl(
    file: SourceFile, identifier: Identifier, batch_records: int
) -> AsyncGenerator[Chunk, None]:
    """Read one file as it was at opening; what was appended since is left for the next run.

    Raises InputError: input_changed, input_io, compressed_bad, compressed_truncated, compressed_trailing and
    compressed_bomb.
    """
    reader = _Reader(file.name, identifier)
    held: list[Line] = []
    size = 0
    async with aclosing(_lines(file)) as found:
        async for lines, line_bytes, bytes_read in found:
            held += lines
            size += line_bytes
            full = len(held) if size >= _MAX_HELD else len(held) - len(held) % batch_records
            for chunk in reader.chunks(held[:full], batch_records, bytes_read):
                yield chunk
            del held[:full]
            size = size if not full else 0
    for chunk in reader.chunks(held, batch_records, file.size):
        yield chunk


class _Reader:
    """Numbers the lines of one file and makes records of them."""

    def __init__(self, file: str, identifier: Identifier) -> None:
        self._file = file
        self._identifier = identifier
        self._line = 1
        self._offset = 0

    def chunks(self, lines: Sequence[Line], batch_records: int, bytes_read: int) -> Iterator[Chunk]:
        for start in range(0, len(lines), batch_records):
            yield self._chunk(lines[start : start + batch_records], bytes_read)

    def _chunk(self, lines: Sequence[Line], bytes_read: int) -> Chunk:
        records: list[Record] = []
        rejects: list[Reject] = []
        decoded = decode_lines(lines)
        for line, fields in enumerate(decoded.values, self._line):
            if type(fields) is dict:
                self._admit(line, fields, records, rejects)
            elif type(fields) is Fault:
                rejects.append(Reject(file=self._file, line=line, fault=fields))
        starts_marked = bool(decoded.marks) and self._line == 1 and _is_marked(lines[0])
        lengths = list(map(len, lines))
        offsets = Offsets(first_line=self._line, start=self._offset, lengths=lengths)
        self._line += len(lines)
        self._offset += sum(lengths) + len(lines)
        return Chunk(
            batch=Batch(records=records, rejects=rejects, offsets=offsets),
            bytes_read=bytes_read,
            blank_lines=len(lines) - len(records) - len(rejects),
            marks=decoded.marks - starts_marked,
        )

    def _admit(self, line: int, fields: dict[str, Any], records: list[Record], rejects: list[Reject]) -> None:
        record_id = self._identifier.read(fields)
        if record_id is None:
            if self._identifier.required:
                rejects.append(Reject(file=self._file, line=line, fault=self._identifier.missing(fields)))
                return
            record_id = f"{self._file}:{line}"
        records.append(Record(record_id, self._file, line, fields))


def _is_marked(line: Line) -> bool:
    return isinstance(line, bytes) and line.startswith(BOM)


async def _lines(file: SourceFile) -> AsyncGenerator[_Lines, None]:
    splitter = Splitter()
    async with aclosing(_pieces(file)) as pieces:
        async for piece, bytes_read, zeros in pieces:
            yield _Lines(splitter.feed(piece, zeros), len(piece), bytes_read)
    yield _Lines(splitter.end(), 0, file.size)


async def _pieces(file: SourceFile) -> AsyncGenerator[_Block, None]:
    """Plain bytes. Decompression leaves the event loop alone: zlib and zstd release the interpreter."""
    compressed = members(file)
    blocks_of = _blocks(file) if file.place is None else _object_blocks(file.place)
    async with aclosing(blocks_of) as blocks:
        async for block in blocks:
            if compressed is None:
                yield block
                continue
            pieces = compressed.pieces(block.payload)
            while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
                yield _Block(piece, block.bytes_read)
    if compressed is not None:
        compressed.close()


async def _blocks(file: SourceFile) -> AsyncGenerator[_Block, None]:
    """The bytes that the file had at opening."""
    try:
        async with aiofiles.open(file.path, "rb", buffering=0) as stream:
            _check_same(file, os.fstat(stream.fileno()))
            position = 0
            while position < file.size:
                block = await stream.read(min(BLOCK, file.size - position))
                if not block:
                    raise changed(file)
                position += len(block)
                zeros = 0
                if file.kind is Kind.JSONL and not block.strip(b"\0"):
                    zeros = min(file.size, await _end_of_hole(stream, position, file.size)) - position
                position += zeros
                yield _Block(block, position, zeros)
        _check_same(file, file.path.stat())
    except OSError as error:
        raise damaged(file, error) from error


async def _object_blocks(place: Place) -> AsyncGenerator[_Block, None]:
    """The bytes of one version of an object, part after part: a slow reader keeps no connection open."""
    for start in range(0, place.stored.size, PIECE):
        part = await asyncio.to_thread(place.read, start, min(PIECE, place.stored.size - start))
        for at in range(0, len(part), BLOCK):
            block = part[at : at + BLOCK]
            yield _Block(block, start + at + len(block))


async def _end_of_hole(stream: Any, position: int, end: int) -> int:
    """Where data goes on after zero bytes: a sparse file may have terabytes of nothing."""
    try:
        return int(await stream.seek(position, os.SEEK_DATA))
    except OSError as error:
        if error.errno == errno.ENXIO:  # nothing but a hole up to the end
            return end
        raise


def _check_same(file: SourceFile, status: os.stat_result) -> None:
    if not file.holds(status):
        raise changed(file)
