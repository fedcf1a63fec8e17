"""The ledger's line: one request to one model for one record."""

from enum import StrEnum
from typing import Final

from msgspec import Struct

from batchroute.core.responses import Usage

CLASSIFY: Final = "classify"
"""The purpose of a request that labels records."""
JUDGE: Final = "judge"
"""The purpose of a request that asks whether an answer is good enough."""
NO_ROUTE: Final = "(classify)"
"""Stands for a route in the rows of such requests: their records have none yet. No route of a job can be called so."""


class CostBasis(StrEnum):
    """What an attempt's cost was computed from; of an answer from the cache or of an equal record nothing was."""

    USAGE = "usage"
    ESTIMATE = "estimate"
    UPPER_BOUND = "upper_bound"
    CACHE = "cache"
    NONE = "none"
    SHARED = "shared"


class Attempt(Struct, frozen=True, gc=False, kw_only=True, array_like=True):
    """One request to one model, with times, usage, cost and outcome; also when it failed.

    `started_at` is seconds since the epoch (UTC), durations are seconds. `cost` is picodollars and the prices
    are picodollars a token: None when the price is unknown, never 0 for unknown. `model_state` is the breaker's when
    it started: half_open for a probe. The prices of cached and of
    written tokens are those that count, declared or not, so that a cost can be computed from its row. Fields
    are encoded by position: new ones go last. What a model is called at its provider is None where the model is no longer
    declared, and an answer of it that was there already is reused.
    """

    run_id: str
    record_id: str
    attempt: int
    purpose: str
    task: str | None
    complexity: str | None
    route: str
    model: str
    provider: str
    request_model: str | None
    response_model: str | None
    response_id: str | None
    started_at: float
    queued_s: float
    latency_s: float | None
    outcome: str
    verdict: str | None
    error_type: str | None
    flag: str | None
    http_status: int | None
    finish_reason: str | None
    usage: Usage | None
    cost: int | None
    cost_basis: CostBasis
    price_input: int | None
    price_output: int | None
    service_tier: str | None
    lane: str = "online"
    price_cached: int | None = None
    price_cache_write: int | None = None
    model_state: str = "closed"
    spared: int | None = None
    """Of a line that stands for no request: what its answer took when it was asked for, at today's price."""


class Reuse(Struct, frozen=True, gc=False, array_like=True):
    """The ledger's line of a record for which nothing was sent, as an answer was there already: what its result does
    not tell, and what it does not have in common with others.

    `line` is the place of those others' line. Fields are encoded by position: new ones go last.
    """

    line: int
    response_model: str | None = None
    spared: int | None = None
