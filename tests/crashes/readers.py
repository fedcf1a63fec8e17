"""Somebody who reads the dataset a hundred times a second, whatever becomes of the run that writes it."""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple

import polars as pl

from batchroute.io.manifest import read_manifest
from tests.forks import FORKS, forked

INTERVAL_S = 0.01
COMPLAINTS_KEPT = 5


class Seen(NamedTuple):
    """How often the reader looked, the most rows it saw, and what was wrong."""

    looks: int
    most_rows: int
    complaints: list[str]


@contextmanager
def read_all_the_while(output: Path, said: Path) -> Iterator[list[Seen]]:
    """Read in a process of its own; afterwards the list holds what it saw."""
    here, there = FORKS.Pipe()
    process = forked(_read_until_told, there, output, said=said)
    seen: list[Seen] = []
    try:
        yield seen
        here.send(None)
        seen.append(Seen(*here.recv()))
    finally:
        process.kill()
        process.join()


def _read_until_told(line: Connection, output: Path) -> None:
    looks, most_rows = 0, 0
    complaints: list[str] = []
    while not line.poll(INTERVAL_S):
        looks += 1
        try:
            rows = look(output)
        except Exception as error:  # noqa: BLE001  whatever it is, a reader must not see it
            complaints.append(repr(error))
            continue
        if rows < most_rows:
            complaints.append(f"{most_rows} rows became {rows}")
        most_rows = max(most_rows, rows)
    line.send((looks, most_rows, complaints[:COMPLAINTS_KEPT]))


def look(output: Path) -> int:
    """Read the results by their names, then all that the manifest lists. Returns the rows of the results."""
    rows = 0
    if parts := sorted((output / "results").glob("part-*.parquet")):
        found = pl.concat([pl.read_parquet(part) for part in parts])
        rows = found.height
        assert found["record_id"].n_unique() == rows, "a record stands twice in the results"
        assert found.null_count()["response"].item() == 0, "a row without its answer"
    manifest = read_manifest(output)
    for part in (*manifest.results, *manifest.ledger) if manifest else ():
        content = (output / part.path).read_bytes()
        assert part.may_be(hashlib.sha256(content).hexdigest()), f"{part.path} is not what is listed"
        assert pl.read_parquet(content).height == part.rows, f"{part.path} has other rows than are listed"
    return rows
