"""What a run did, as one value: the closing table and `--json` are made from it."""

from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
from msgspec import Struct


class Records(Struct, frozen=True, kw_only=True):
    """Records of the input. `skipped` were answered by an earlier run; `pending` wait for the next one.

    `stale` are all finished records of the output whose request has changed since they were answered.
    """

    total: int
    succeeded: int
    failed: int
    degraded: int
    skipped: int
    pending: int
    stale: int = 0
    failed_before: int = 0
    """Dead letters of earlier runs that this one did not try again, as it was not to or was stopped."""
    repeated: int = 0
    """Of those that this run finished, the ones that shared the answer of an equal record."""
    cached: int = 0
    """Of those that this run finished, the ones that were answered from the cache."""


class RouteLine(Struct, frozen=True, kw_only=True):
    """What one model did on one route in this run. Costs are USD, times seconds; None where unknown."""

    route: str
    model: str
    provider: str
    records: int
    attempts: int
    success_share: float
    failovers: int
    escalations: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    latency_p50_s: float | None
    latency_p95_s: float | None
    baseline_cost_usd: Decimal | None
    saving_usd: Decimal | None
    escalation_share: float = 0.0
    escalation_cost_usd: Decimal | None = None
    refused: int = 0


class Summary(Struct, frozen=True, kw_only=True):
    """One run: how it ended and what it did. Costs are USD, exact; None where no price is known."""

    run_id: str
    job: str
    status: str
    exit_code: int
    reason: str | None
    output: str
    duration_s: float
    records: Records
    attempts: int
    failovers: int
    escalations: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    unpriced_attempts: int
    baseline: str | None
    baseline_cost_usd: Decimal | None
    warnings: tuple[str, ...]
    disabled: dict[str, str]
    errors: dict[str, int]
    """Attempts of this run that failed, by error type, the most frequent first."""
    routes: tuple[RouteLine, ...]
    escalation_cost_usd: Decimal | None = None
    """What the answers have cost that were refused."""
    refused: int = 0
    """Answers that were no use, those included after which no model was left to escalate to."""
    spared_usd: Decimal | None = None
    """What the answers have cost that records shared or had from the cache, when they were asked for."""

    def json(self) -> bytes:
        """One JSON object, costs as exact numbers."""
        return msgspec.json.Encoder(decimal_format="number").encode(self)


def status_word(exit_code: int) -> str:
    """How a run ended, in a word."""
    return {0: "succeeded", 3: "finished_with_failures", 130: "interrupted", 143: "interrupted"}.get(
        exit_code, "stopped"
    )


def route_lines(table: pl.DataFrame) -> tuple[RouteLine, ...]:
    """The rows of a routes table."""
    names = RouteLine.__struct_fields__
    return tuple(RouteLine(**row) for row in table.select(names).iter_rows(named=True))


def total_of(lines: tuple[RouteLine, ...], name: str) -> Any:
    """The sum of one column over the lines; None when none of them knows it."""
    known = [value for line in lines if (value := getattr(line, name)) is not None]
    return sum(known) if known else None
