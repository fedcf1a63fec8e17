"""Finished Parquet files. A part is complete as soon as its name is visible, and never changes afterwards."""

from pathlib import Path

import polars as pl

from batchroute.core.errors import OutputError
from batchroute.core.money import picodollars
from batchroute.io.files import unwritten, write_whole
from batchroute.io.manifest import Manifest, Part

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


def spent_by_route(directory: Path, manifest: Manifest) -> dict[str, int]:
    """What the attempts of a ledger have cost, in picodollars by route; what is unknown is left out. Raises OutputError."""
    files = [directory / part.path for part in manifest.ledger]
    if not files:
        return {}
    try:
        sums = pl.scan_parquet(files).group_by("route").agg(pl.col("cost_usd").sum()).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        raise OutputError(
            f"{directory}: what was spent cannot be read from the ledger: {error}. See `batchroute verify`."
        ) from error
    return {route: 0 if cost is None else picodollars(cost) for route, cost in sums.iter_rows()}
