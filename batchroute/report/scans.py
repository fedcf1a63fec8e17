"""The output as lazy frames, whatever parts there are."""

from functools import partial
from pathlib import Path

import polars as pl

from batchroute.io.files import ROUTES_NAME
from batchroute.io.parsed import realigned
from batchroute.io.tables import LEDGER, RESULTS
from batchroute.job.forms import PARSED


def scan_results(directory: str | Path) -> pl.LazyFrame:
    """One row a finished record, the carried input columns last."""
    parts = _alike([pl.scan_parquet(part, glob=False) for part in _parts(directory, "results")])
    # runs that kept other columns left parts of another width
    return pl.concat(parts, how="diagonal") if parts else pl.LazyFrame(schema=dict(RESULTS))


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


def scan_ledger(directory: str | Path) -> pl.LazyFrame:
    """One row an attempt, also of failed ones."""
    # parts that an earlier version wrote lack the columns that came since
    return pl.concat(ledger_parts(directory), how="diagonal")


def ledger_parts(directory: str | Path) -> list[pl.LazyFrame]:
    """The ledger's parts one by one; an empty one where there are none."""
    parts = [pl.scan_parquet(part, glob=False) for part in _parts(directory, "ledger")]
    return parts or [pl.LazyFrame(schema=dict(LEDGER))]


def scan_routes(directory: str | Path) -> pl.LazyFrame:
    """One row per route and model, over all runs. Raises FileNotFoundError before the first run has ended."""
    path = Path(directory) / ROUTES_NAME
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: no run has ended in this directory")
    return pl.scan_parquet(path, glob=False)


def _parts(directory: str | Path, folder: str) -> list[Path]:
    return sorted((Path(directory) / folder).glob("part-*.parquet"))
