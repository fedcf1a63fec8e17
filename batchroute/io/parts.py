"""Finished Parquet files. A part is complete as soon as its name is visible, and never changes afterwards."""

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import polars as pl
from msgspec import Struct

from batchroute.core.errors import OutputError

TEMPORARY = ".tmp"
ROUTES_NAME = "routes.parquet"


class Part(Struct, frozen=True, kw_only=True):
    """One file of the dataset, as the manifest lists it. `path` is relative to the output directory."""

    path: str
    rows: int
    sha256: str


def write_part(directory: Path, path: str, frame: pl.DataFrame) -> Part:
    """Write a Parquet file so that a reader sees all of it or nothing. Raises OutputError.

    An existing file of that name is replaced. Mode 0600; the folder is made with 0700.
    """
    digest = _write(
        directory, path, lambda file: frame.write_parquet(file, compression="zstd", compression_level=1)
    )
    return Part(path=path, rows=frame.height, sha256=digest)


def write_bytes(directory: Path, path: str, content: bytes) -> str:
    """Write a small file with the same guarantee; returns its SHA-256."""

    def write(file: Path) -> None:
        file.write_bytes(content)

    return _write(directory, path, write)


def _write(directory: Path, path: str, write: Callable[[Path], object]) -> str:
    target = directory / path
    temporary = directory / TEMPORARY / target.name
    try:
        for folder in (temporary.parent, target.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        write(temporary)
        digest = _synced(temporary)
        temporary.rename(target)
        _sync_directory(target.parent)
    except (OSError, pl.exceptions.PolarsError) as error:
        raise OutputError(f"{target}: {error}. Free space or mend the disk, then run again.") from error
    return digest


def remove(directory: Path, path: str) -> None:
    """Remove a file of the dataset if it is there. Raises OutputError."""
    try:
        (directory / path).unlink(missing_ok=True)
        if (directory / path).parent.exists():
            _sync_directory((directory / path).parent)
    except OSError as error:
        raise OutputError(f"{directory / path}: {error}") from error


def clear_temporary(directory: Path) -> None:
    """Remove what a crash left half written."""
    for left in (directory / TEMPORARY).glob("*"):
        left.unlink()


def _synced(file: Path) -> str:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
