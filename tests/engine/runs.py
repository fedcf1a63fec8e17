"""A whole run on the virtual clock, and what it has written."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from batchroute.engine.endings import Ended
from batchroute.engine.pipeline import Options, Watch
from batchroute.engine.runs import run
from batchroute.report.scans import scan_ledger, scan_results
from tests import virtual_clock
from tests.builders import job
from tests.fakes import Script, ScriptedProvider
from tests.fakes import virtual_clock as clock


@dataclass(frozen=True)
class Ran:
    """How a run ended, what it sent, and the dataset as it stands."""

    ended: Ended
    provider: ScriptedProvider
    results: pl.DataFrame
    ledger: pl.DataFrame


def run_virtually(
    folder: Path,
    *,
    seed: int = 0,
    options: Options | None = None,
    watch: Watch | None = None,
    scripts: Mapping[str, Script] | None = None,
    provider: ScriptedProvider | None = None,
    **fields: Any,
) -> Ran:
    """Run a job over folder/in.jsonl against scripted models, in no time."""
    provider = provider or ScriptedProvider(scripts or {})
    started = run(
        job(folder, **fields),
        options or Options(),
        clock=clock(seed),
        connect=provider.connect,
        conclude=lambda ended: ended,
        watch=watch,
    )
    ended = virtual_clock.run(started, seed=seed)
    output = folder / "out"
    return Ran(ended, provider, scan_results(output).collect(), scan_ledger(output).collect())
