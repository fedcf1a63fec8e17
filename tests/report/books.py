"""Output directories with the attempts that a test is about."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.responses import Usage
from batchroute.core.results import Result
from batchroute.io.manifest import Manifest, write_manifest
from batchroute.io.parts import part_path, write_part
from batchroute.io.tables import ledger_frame, results_frame
from tests.builders import attempt, result

MIDNIGHT = 1_800_057_600.0
"""2027-01-16, 00:00 UTC."""

CHEAP: dict[str, Any] = {
    "price_input": 1_000_000,
    "price_output": 4_000_000,
    "price_cached": 100_000,
    "price_cache_write": 1_250_000,
}
DEAR: dict[str, Any] = {
    "price_input": 10_000_000,
    "price_output": 40_000_000,
    "price_cached": 1_000_000,
    "price_cache_write": 12_500_000,
}
UNPRICED: dict[str, Any] = {
    "price_input": None,
    "price_output": None,
    "price_cached": None,
    "price_cache_write": None,
    "cost": None,
}


def usage(input_tokens: int, output_tokens: int, **more: int) -> Usage:
    return Usage(input_tokens=input_tokens, output_tokens=output_tokens, **more)


def failed(
    record_id: str, error_type: str = "server_error", verdict: str = "failover", **fields: object
) -> Attempt:
    """An attempt that was not answered and cost nothing."""
    return attempt(
        record_id,
        **{
            "outcome": "error",
            "verdict": verdict,
            "error_type": error_type,
            "usage": None,
            "cost": 0,
            "cost_basis": CostBasis.NONE,
            **fields,
        },
    )


# What each costs is computed by hand: tokens by picodollars a token.
ATTEMPTS = (
    # 1,000 x 1 + 200 x 4 microdollars = 1,800
    attempt("r1", model="small", usage=usage(1_000, 200), cost=1_800_000_000, started_at=MIDNIGHT, **CHEAP),
    # (1,000 - 600 - 100) x 1 + 600 x 0.1 + 100 x 1.25 + 10 x 4 = 300 + 60 + 125 + 40 = 525
    attempt(
        "r2",
        model="small",
        task="code",
        usage=usage(1_000, 10, cached_tokens=600, cache_write_tokens=100),
        cost=525_000_000,
        started_at=MIDNIGHT + 1,
        **CHEAP,
    ),
    failed("r3", model="small", route="hard", task="code", started_at=MIDNIGHT + 2, **CHEAP),
    # 500 x 10 + 50 x 40 = 7,000
    attempt(
        "r3",
        attempt=2,
        model="large",
        provider="q",
        route="hard",
        task="code",
        usage=usage(500, 50),
        cost=7_000_000_000,
        started_at=MIDNIGHT + 86_400,
        run_id="later",
        **DEAR,
    ),
    attempt(
        "r4", model="local", provider="here", usage=usage(70, 7), started_at=MIDNIGHT + 86_401, run_id="later", **UNPRICED
    ),
    failed("r5", "bad_request", "dead_letter", model="small", started_at=MIDNIGHT + 86_402, run_id="later", **CHEAP),
)  # fmt: skip

RESULTS = (result("r1"), result("r3"))


def write_output(
    directory: Path,
    attempts: Sequence[Attempt] = ATTEMPTS,
    results: Sequence[Result] = RESULTS,
    job: str = "test",
) -> Path:
    """A directory as a run leaves it, each run's attempts in a part of their own. Returns it."""
    runs = list(dict.fromkeys(each.run_id for each in attempts))
    for number, run_id in enumerate(runs, 1):
        frame = ledger_frame([each for each in attempts if each.run_id == run_id])
        write_part(directory, part_path("ledger", number), frame)
    write_part(directory, part_path("results", 1), results_frame(list(results), {}))
    write_manifest(directory, Manifest(job=job, fingerprint="f"))
    return directory
