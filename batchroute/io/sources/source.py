"""The source of a job: files in order, read as one stream of batches."""

import tempfile
from collections.abc import AsyncGenerator, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import aclosing
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

from msgspec import Struct, structs

from batchroute.core.errors import InputError
from batchroute.core.records import Batch
from batchroute.io.sources.chunks import Chunk
from batchroute.io.sources.files import Kind, SourceFile, list_files
from batchroute.io.sources.formats import check_format
from batchroute.io.sources.ids import identifier
from batchroute.io.sources.jsonl import read_jsonl
from batchroute.io.sources.parquet import Table, open_table, read_parquet
from batchroute.job.storage import StorageOptions

_AT_ONCE = 8
T = TypeVar("T")


class Statistics(Struct, frozen=True, kw_only=True):
    """How far the latest reading came. Bytes are those on disk, compressed or not."""

    files_read: int = 0
    """Files read to their end."""
    bytes_read: int = 0
    records: int = 0
    rejects: int = 0
    blank_lines: int = 0
    """Lines of JSONL that were skipped."""
    marks: int = 0
    """Lines of JSONL, after a file's first, that begin with a byte order mark."""
    grown: tuple[str, ...] = ()
    """Files that had grown when their reading ended."""


class Source:
    """Where records are read from. It may be read more than once, by one reader at a time.

    `files` are those that are read; of the others only what all have in common is known. `rows` and `schema` are
    known when every file is Parquet, else None; `warnings` are sentences for people.
    """

    def __init__(
        self,
        files: tuple[SourceFile, ...],
        tables: dict[str, Table],
        *,
        id_column: str | None,
        batch_records: int,
        spool: Path,
        warnings: tuple[str, ...] = (),
        since: float | None = None,
    ) -> None:
        whole = len(tables) == len(files)
        self.schema = next(iter(tables.values())).schema if whole else None
        self.whole = since is None
        """Whether all files are read."""
        files = tuple(file for file in files if since is None or file.modified_since(since))
        self.files = files
        self.warnings = warnings
        self.bytes_total = sum(file.size for file in files)
        self.rows = sum(tables[file.name].rows for file in files) if whole else None
        self._tables = tables
        self._identifier = identifier(id_column)
        self._batch_records = batch_records
        self._spool = spool
        self._statistics = Statistics()

    def __repr__(self) -> str:
        return f"<Source files={len(self.files)} bytes={self.bytes_total} {self._statistics}>"

    def statistics(self) -> Statistics:
        return self._statistics

    def remarks(self) -> tuple[str, ...]:
        """Sentences for people on what the latest reading came across."""
        read = self._statistics
        remarks = [
            f"{name} has grown since the run began: the next run reads what is new" for name in read.grown
        ]
        if read.marks:
            remarks.append(
                f"{read.marks:,} line(s) begin with a byte order mark, which was dropped: files were put together"
            )
        if read.files_read == len(self.files) and self.bytes_total and not read.records + read.rejects:
            remarks.append("the input holds no record")
        return tuple(remarks)

    async def batches(self) -> AsyncGenerator[Batch, None]:
        """Every record and reject, in input order; a batch is never empty and never spans two files.

        Raises InputError for what only reading finds: input_changed, input_io, compressed_bad,
        compressed_truncated, compressed_trailing, compressed_bomb, parquet_page. What was yielded before
        stands.
        """
        self._statistics = Statistics()
        for file in self.files:
            before = self._statistics
            try:
                async with aclosing(self._read(file)) as chunks:
                    async for chunk in chunks:
                        self._statistics = _after(self._statistics, chunk, before.bytes_read)
                        if chunk.batch.records or chunk.batch.rejects:
                            yield chunk.batch
            except InputError as error:
                records = self._statistics.records
                raise InputError(
                    f"{error.args[0]} ({records:,} records were read before)", code=error.code
                ) from error
            self._statistics = _at_end(self._statistics, file, before.bytes_read)

    def _read(self, file: SourceFile) -> AsyncGenerator[Chunk, None]:
        if file.kind is Kind.PARQUET:
            return read_parquet(file, self._tables[file.name], self._batch_records, self._spool)
        return read_jsonl(file, self._identifier, self._batch_records)


def open_source(
    path: str,
    *,
    id_column: str | None,
    columns: frozenset[str] | None,
    batch_records: int = 4096,
    since: float | None = None,
    storage: StorageOptions | None = None,
    spool: Path | None = None,
    binary: frozenset[str] = frozenset(),
) -> Source:
    """Find the files of a path (a file, a folder or a glob), check what they hold, and read Parquet footers.

    `columns` are those to read from Parquet beside the id, None for all; JSONL records keep all their fields.
    `batch_records` is the most that a batch holds. With `since`, seconds since the epoch, only files that were last
    modified then or later are read. `storage` tells how to reach a path in object storage; Parquet objects are copied
    to the folder `spool` while they are read, one at a time; by default where temporary files go. Columns in `binary`
    may hold bytes. Raises InputError,
    whose code tells what is unusable, and JobError where what speaks to object storage is not installed.
    """
    listing = list_files(path, storage)
    _for_each(check_format, listing.files)
    parquet = [file for file in listing.files if file.kind is Kind.PARQUET]
    opened = _for_each(lambda file: open_table(file, id_column, columns, binary), parquet)
    tables = {file.name: table for file, table in zip(parquet, opened, strict=True)}
    _check_agreement(tables)
    return Source(
        listing.files,
        tables,
        id_column=id_column,
        batch_records=batch_records,
        spool=spool or Path(tempfile.gettempdir()),
        warnings=_warnings(listing.foreign, listing.files),
        since=since,
    )


def _for_each(look: Callable[[SourceFile], T], files: Sequence[SourceFile]) -> list[T]:
    """A look at every file, in their order; at several objects at once, as each one takes its time on the network."""
    if not any(file.place is not None for file in files):
        return [look(file) for file in files]
    with ThreadPoolExecutor(_AT_ONCE) as lookers:
        return list(lookers.map(look, files))


def _after(statistics: Statistics, chunk: Chunk, bytes_before: int) -> Statistics:
    return Statistics(
        files_read=statistics.files_read,
        bytes_read=bytes_before + chunk.bytes_read,
        records=statistics.records + len(chunk.batch.records),
        rejects=statistics.rejects + len(chunk.batch.rejects),
        blank_lines=statistics.blank_lines + chunk.blank_lines,
        marks=statistics.marks + chunk.marks,
        grown=statistics.grown,
    )


def _at_end(statistics: Statistics, file: SourceFile, bytes_before: int) -> Statistics:
    return structs.replace(
        statistics,
        files_read=statistics.files_read + 1,
        bytes_read=bytes_before + file.size,
        grown=(*statistics.grown, file.name) if file.has_grown() else statistics.grown,
    )


def _check_agreement(tables: dict[str, Table]) -> None:
    """Parquet files of one source must agree on the columns that are used."""
    for (first, table), (second, other) in pairwise(tables.items()):
        for column in table.schema.keys() | other.schema.keys():
            here, there = table.schema.get(column), other.schema.get(column)
            if here != there:
                raise InputError(
                    f"column {column!r} is {here or 'missing'} in {first}, but {there or 'missing'} in {second}",
                    code="schema_conflict",
                )


def _warnings(foreign: Sequence[str], files: Sequence[SourceFile]) -> tuple[str, ...]:
    passed_over = [f"{name} is no data file and was passed over" for name in foreign]
    return (*passed_over, *(f"{file.name} is empty" for file in files if not file.size))
