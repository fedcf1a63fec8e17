"""The output as lazy frames, whatever parts there are, of one or many directories."""

from collections.abc import Iterable, Mapping
from functools import partial
from pathlib import Path

import polars as pl

from batchroute.core.results import PARSED
from batchroute.io.files import ROUTES_NAME
from batchroute.io.manifest import holds_dataset, without_manifest
from batchroute.io.parsed import realigned
from batchroute.io.tables import LEDGER, RESULTS

STRETCH = 32
"""Parts: 800,000 attempts, as exports write them."""

_GROWN = pl.ScanCastOptions(integer_cast="upcast", float_cast="upcast", missing_struct_fields="insert")


def scan_results(directory: str | Path, *more: str | Path) -> pl.LazyFrame:
    """One row a finished record, the carried input columns last; null where a run or version had no such column.

    A column that was carried as one type here and as another there has the type that holds both. Without a row before
    the first part is there; raises OutputError for a directory that is no output.
    """
    parts = _alike(
        [pl.scan_parquet(part, glob=False) for part in _parts(_outputs(directory, *more), "results")]
    )
    # runs that kept other columns left parts of another width
    return pl.concat([pl.LazyFrame(schema=dict(RESULTS)), *parts], how="diagonal_relaxed")


def _alike(parts: list[pl.LazyFrame]) -> list[pl.LazyFrame]:
    """Parts whose column of answers has one type: that of the latest, where the job has changed its response."""
    types = [part.collect_schema().get(PARSED) for part in parts]
    latest = next((kind for kind in reversed(types) if kind is not None), None)
    return [
        part
        if latest is None or kind is None or kind == latest
        else part.with_columns(
            pl.col(PARSED).map_batches(partial(realigned, kind=latest), return_dtype=latest)
        )
        for part, kind in zip(parts, types, strict=True)
    ]


def scan_ledger(directory: str | Path, *more: str | Path) -> pl.LazyFrame:
    """One row an attempt, also of failed ones.

    Columns that a part lacks because an earlier version wrote it are null; those that only a later one knows are left out.
    Without a row before the first part is there; raises OutputError for a directory that is no output.
    """
    return _scan(_parts(_outputs(directory, *more), "ledger"), LEDGER)


def ledger_parts(directory: str | Path) -> list[pl.LazyFrame]:
    """The ledger's parts one by one; an empty one where there are none."""
    parts = [_scan([part], LEDGER) for part in _parts((directory,), "ledger")]
    return parts or [pl.LazyFrame(schema=dict(LEDGER))]


def ledger_stretches(directory: str | Path, *more: str | Path) -> list[pl.LazyFrame]:
    """The same lines as `scan_ledger`, some parts at a time: what grows with their length can be held for each."""
    parts = _parts((directory, *more), "ledger")
    return [_scan(parts[first : first + STRETCH], LEDGER) for first in range(0, max(1, len(parts)), STRETCH)]


def scan_routes(directory: str | Path, *more: str | Path) -> pl.LazyFrame:
    """One row per route and model of each directory, over all its runs.

    Raises FileNotFoundError where no run has ended yet.
    """
    paths = [Path(each) / ROUTES_NAME for each in (directory, *more)]
    for path in paths:
        if not path.exists():
            raise FileNotFoundError(f"{path} is missing: no run has ended in this directory")
    return pl.concat([pl.scan_parquet(path, glob=False) for path in paths], how="diagonal_relaxed")


def scan_own_results(directory: str | Path, *more: str | Path) -> pl.LazyFrame:
    """The columns of results that are ours, without what was carried: much faster over many parts."""
    return _scan(_parts((directory, *more), "results"), RESULTS)


def _scan(parts: list[Path], schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    if not parts:
        return pl.LazyFrame(schema=dict(schema))
    return pl.scan_parquet(
        parts,
        glob=False,
        schema=dict(schema),
        missing_columns="insert",
        extra_columns="ignore",
        cast_options=_GROWN,
    )


def _outputs(*directories: str | Path) -> list[Path]:
    """These directories, each of which a run has written to: a name that is mistyped has not cost nothing."""
    outputs = [Path(directory) for directory in directories]
    for output in outputs:
        if not holds_dataset(output):
            raise without_manifest(output)
    return outputs


def _parts(directories: Iterable[str | Path], folder: str) -> list[Path]:
    return [
        part
        for directory in directories
        for part in sorted((Path(directory) / folder).glob("part-*.parquet"))
    ]
