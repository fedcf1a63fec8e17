"""A ledger and results as a long job leaves them, without the job: parts repeated with other ids and times."""

from pathlib import Path

import polars as pl

from batchroute.core.attempts import Attempt
from batchroute.core.responses import Usage
from batchroute.core.results import Totals
from batchroute.io.manifest import Manifest, write_manifest
from batchroute.io.parts import part_path, write_part
from batchroute.io.tables import ledger_frame, results_frame
from tests.builders import attempt, result

PART = 25_000
_DISTINCT = 32
_SPREAD = 7919
_TASKS = ("code", "chat", "translate", "extract", None)
_MODELS = (
    ("small", "p", 100_000, 400_000),
    ("medium", "p", 500_000, 2_000_000),
    ("large", "q", 2_000_000, 8_000_000),
)


def write_ledger(directory: Path, attempts: int, *, runs: int = 8, per_second: int = 1_000) -> Path:
    """An output directory with so many attempts, three models of two providers on three routes, one in fifty failed.

    Times go on from part to part, latencies and costs are spread. Returns the directory.
    """
    parts = max(1, attempts // PART)
    ledger, results = _ledger_part(), _results_part()
    for number in range(parts):
        shift = pl.duration(microseconds=number * PART * 1_000_000 // per_second)
        record = pl.format("r{}", pl.int_range(number * PART, (number + 1) * PART))
        run = pl.lit(f"20260101T{number * runs // parts:06}-bench")
        write_part(
            directory,
            part_path("ledger", number + 1),
            ledger.with_columns(record.alias("record_id"), run.alias("run_id"), pl.col("started_at") + shift),
        )
        write_part(
            directory,
            part_path("results", number + 1),
            results.with_columns(
                record.alias("record_id"), run.alias("run_id"), pl.col("finished_at") + shift
            ),
        )
    write_manifest(directory, Manifest(job="bench", fingerprint="f"))
    return directory


def _ledger_part() -> pl.DataFrame:
    rows = [_attempt(number) for number in range(PART)]
    return ledger_frame(rows)


def _attempt(number: int) -> Attempt:
    model, provider, paid, produced = _MODELS[number % 7 % 3]
    spread = number * _SPREAD % PART
    usage = Usage(input_tokens=50 + spread % 400, output_tokens=10 + spread % 90)
    failed = number % 50 == 49
    return attempt(
        f"r{number}",
        task=_TASKS[number % 5],
        route=("default", "skilled", "hard")[number % 3],
        complexity=("simple", "medium", "hard")[number % 11 % 3],
        model=model,
        provider=provider,
        started_at=1_800_000_000.0 + number / 1_000,
        queued_s=spread / 1e6,
        latency_s=0.05 + spread**2 / 1e8,
        outcome="error" if failed else "ok",
        verdict="failover" if failed else "accept",
        error_type=("overloaded", "rate_limited")[number % 2] if failed else None,
        usage=None if failed else usage,
        cost=0 if failed else usage.input_tokens * paid + usage.output_tokens * produced,
        price_input=paid,
        price_output=produced,
        response_id=f"chatcmpl-{spread:024x}",
    )


def _results_part() -> pl.DataFrame:
    spent = (
        Totals(attempts=1, input_tokens=99, output_tokens=9, cost=number * _SPREAD % PART * 1_000)
        for number in range(PART)
    )
    return results_frame([result(f"r{number}", totals=totals) for number, totals in enumerate(spent)], {})
