"""Finished Parquet files. A part is complete as soon as its name is visible.

It never changes afterwards but by being replaced as a whole: when answers in it were asked for again, one rename
puts the new ones where the old ones were, so that no reader finds a record twice or not at all.
"""

import hashlib
import io
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import polars as pl

from batchroute.core.errors import OutputError
from batchroute.core.money import picodollars
from batchroute.core.results import Result, Totals
from batchroute.io.files import draft, place, unwritten
from batchroute.io.manifest import Manifest, Part
from batchroute.io.tables import ANSWER_COLUMNS, TOTALS_COLUMNS, answers_by_id, replaced_rows, totals_by_id

DEAD_LETTERS = "results/part-failed.parquet"


def part_path(folder: str, number: int) -> str:
    """The name of a part: `folder` is results or ledger, `number` that of the export that wrote it."""
    return f"{folder}/part-{number:05}.parquet"


def write_part(directory: Path, path: str, frame: pl.DataFrame) -> Part:
    """Write a Parquet file so that a reader sees all of it or nothing. Raises OutputError.

    An existing file of that name is replaced. Mode 0600; the folder is made with 0700.
    """
    part = _draft(directory, path, frame)
    place(directory, path)
    return part


def draft_replacement(
    directory: Path, path: str, results: Sequence[Result], kept: Mapping[str, pl.DataType]
) -> Part:
    """Write what a part is with these results in the place of the earlier ones; `place` replaces it.

    Returns the part as it is, with its replacement. Raises OutputError.
    """
    content = _read(directory, path)
    frame = replaced_rows(pl.read_parquet(io.BytesIO(content)), results, kept)
    drafted = _draft(directory, path, frame)
    listed = hashlib.sha256(content).hexdigest()
    return Part(path=path, rows=frame.height, sha256=listed, replacement=drafted.sha256)


def read_totals(directory: Path, path: str, record_ids: Collection[str]) -> dict[str, Totals]:
    """What the attempts of these records in a part of results add up to. Raises OutputError."""
    return totals_by_id(
        pl.read_parquet(io.BytesIO(_read(directory, path)), columns=TOTALS_COLUMNS), record_ids
    )


def read_answers(
    directory: Path, path: str, record_ids: Collection[str], vector: str | None = None
) -> list[Result]:
    """The answers of these records in a part of results, with the vectors in this column. Raises OutputError."""
    columns = ANSWER_COLUMNS if vector is None else [*ANSWER_COLUMNS, vector]
    return answers_by_id(
        pl.read_parquet(io.BytesIO(_read(directory, path)), columns=columns), record_ids, vector
    )


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


def _draft(directory: Path, path: str, frame: pl.DataFrame) -> Part:
    def write(file: Path) -> None:
        frame.write_parquet(file, compression="zstd", compression_level=1)

    try:
        digest = draft(directory, path, write)
    except pl.exceptions.PolarsError as error:
        raise unwritten(directory / path, error) from error
    return Part(path=path, rows=frame.height, sha256=digest)


def _read(directory: Path, path: str) -> bytes:
    try:
        return (directory / path).read_bytes()
    except OSError as error:
        raise OutputError(
            f"{directory / path} cannot be read: {error.strerror}. Put it back, then run again."
        ) from error
