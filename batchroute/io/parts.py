"""Finished Parquet files. A part is complete as soon as its name is visible, and never changes afterwards."""

from pathlib import Path

import polars as pl

from batchroute.io.files import unwritten, write_whole
from batchroute.io.manifest import Part

DEAD_LETTERS = "results/part-failed.parquet"


def part_path(folder: str, number: int) -> str:
    """The name of a part: `folder` is results or ledger, `number` that of the export that wrote it."""
    return f"{folder}/part-{number:05}.parquet"


def write_part(directory: Path, path: str, frame: pl.DataFrame) -> Part:
    """Write a Parquet file so that a reader sees all of it or nothing. Raises OutputError.

    An existing file of that name is replaced. Mode 0600; the folder is made with 0700.
    """

    def write(file: Path) -> None:
        frame.write_parquet(file, compression="zstd", compression_level=1)

    try:
        digest = write_whole(directory, path, write)
    except pl.exceptions.PolarsError as error:
        raise unwritten(directory / path, error) from error
    return Part(path=path, rows=frame.height, sha256=digest)
