"""The simulated provider as a job file declares it: models, their speed, skill, prices, limits and faults."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator, model_validator

from batchroute.core.money import Price
from batchroute.job.durations import DURATION_PATTERN, seconds
from batchroute.job.spec import Listed, Positive, Seconds, Share, Spec, Text, Usd

FaultKind: TypeAlias = Literal[
    "rate_limit",  # 429 with a retry hint
    "server_error",  # 500
    "overloaded",  # 503
    "timeout",  # no answer until the client gives up
    "disconnect",  # the connection is closed instead of an answer
    "malformed",  # 200 with an HTML page
    "truncated",  # 200, the answer cut in half, finish_reason length
    "empty",  # 200, content ""
    "refusal",  # 200, content null, a refusal
    "unsure",  # 200, an answer that doubts itself
    "placeholder",  # 200, an answer with something left to fill in
    "short",  # 200, one word
    "invalid",  # 200, an answer that is not of the form that was asked for
]
"""What can go wrong with an admitted request."""

Delay: TypeAlias = Annotated[
    float,
    BeforeValidator(seconds),
    Field(ge=0, le=3600),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["0s", "80ms", "1.5s"]}),
]
"""A duration that may be none, in seconds once loaded. At most an hour."""

DEFAULT_SKILL: Final = "default"


class SimulatedLatency(Spec):
    """Time until the first token: log-normal, told by its median and its 95th percentile."""

    p50: Delay = Field(description="Median time until the answer begins.")
    p95: Delay = Field(description="Time within which 95 % of the answers begin. At least p50.")

    @model_validator(mode="after")
    def _in_order(self) -> "SimulatedLatency":
        if self.p95 < self.p50:
            raise ValueError("p95 is below p50. Write p95 as the longer of the two")
        if self.p50 == 0 < self.p95:
            raise ValueError("p50 is 0s and p95 is not. Give both a length, or write 0s for both")
        return self


class SimulatedPrice(Spec):
    """What a simulated answer costs, in USD per million tokens."""

    input: Usd = Field(description="USD per million input tokens.")
    output: Usd = Field(description="USD per million output tokens.")
    cached: Usd | None = Field(
        default=None, description="USD per million cached input tokens. Default: as all input."
    )

    @property
    def value(self) -> Price:
        """The same price as the value that costs are computed from."""
        return Price(input=self.input, output=self.output, cached=self.cached)


class SimulatedLimits(Spec):
    """What the simulated model enforces with 429. None means no limit.

    `rpm` and `tpm` refill continuously and hold at most one second's worth (at least 1), as strict
    providers enforce them. Tokens are counted as used: prompt and completion.
    """

    rpm: Positive | None = Field(default=None, description="Requests per minute.")
    tpm: Positive | None = Field(default=None, description="Tokens per minute, prompt and completion.")
    concurrency: Positive | None = Field(default=None, description="Requests in flight at once.")


class Outage(Spec):
    """A time in which every request to the model is answered 503."""

    after: Delay = Field(description="When it begins, counted from the start of the simulator.")
    lasting: Seconds = Field(alias="for", description="How long it lasts.")


class SimulatedModel(Spec):
    """One model of the simulated provider. What is not said is ideal: at once, always right, without limit."""

    latency: SimulatedLatency | None = Field(default=None, description="Time until the answer begins.")
    tokens_per_s: float | None = Field(
        default=None, gt=0, le=1e9, description="Output speed after the answer began. Without it: at once."
    )
    price: SimulatedPrice | None = Field(
        default=None, description="USD per million tokens. Without it the price is unknown."
    )
    skill: dict[Text, Share] = Field(
        default_factory=lambda: {DEFAULT_SKILL: 1.0},
        description="Probability of a right answer by task; `default` is for tasks not named, 1 without it.",
    )
    errors: dict[FaultKind, Share] = Field(
        default_factory=dict, description="Share of the requests that go wrong, by kind. At most 1 in all."
    )
    limits: SimulatedLimits = Field(
        default_factory=SimulatedLimits, description="Limits that are enforced and announced in headers."
    )
    outages: Annotated[tuple[Outage, ...], Listed] = Field(
        default=(), description="Times in which every request is answered 503."
    )
    prompt_cache: Seconds | None = Field(
        default=None,
        description=(
            "For how long the model knows a beginning of 1,024 tokens or more again, and tells its cached tokens. "
            "Default: it knows none."
        ),
    )

    @field_validator("errors")
    @classmethod
    def _at_most_all(cls, errors: dict[FaultKind, float]) -> dict[FaultKind, float]:
        total = math.fsum(errors.values())
        if total > 1 + 1e-9:
            raise ValueError(f"the shares add up to {total:g}. Lower them to at most 1 in all")
        return errors


def _shipped(name: Any, given: Any) -> Any:
    if isinstance(given, Mapping) and name in _CATALOGUE:
        return {**_CATALOGUE[name], **given}
    return given


def _with_catalogue(models: Any) -> Any:
    """Add the shipped models; a model under a shipped name changes only the keys that it gives."""
    if not isinstance(models, Mapping):
        return models
    return {**_CATALOGUE, **{name: _shipped(name, given) for name, given in models.items()}}


class Simulation(Spec):
    """The simulated provider: an OpenAI-compatible server of our own, the same for the same seed."""

    seed: int = Field(
        default=0, ge=0, lt=2**63, description="Every random choice follows from it and from the request."
    )
    models: Annotated[dict[Text, SimulatedModel], BeforeValidator(_with_catalogue)] = Field(
        default_factory=dict,
        validate_default=True,
        description=(
            "Models by name, beside the shipped sim-small, sim-medium and sim-large. "
            "A shipped name takes over what is not said."
        ),
    )


# Invented models, spaced like the three sizes that providers usually sell; no real model is meant.
_CATALOGUE: Final[dict[str, dict[str, Any]]] = {
    "sim-small": {
        "latency": {"p50": "80ms", "p95": "240ms"},
        "tokens_per_s": 900,
        "price": {"input": 0.1, "output": 0.4},
        "skill": {
            "default": 0.75,
            "chat": 0.92,
            "classify": 0.9,
            "moderate": 0.9,
            "code": 0.5,
            "reason": 0.4,
        },
        "errors": {"rate_limit": 0.005, "server_error": 0.005, "truncated": 0.005, "empty": 0.002},
        "limits": {"rpm": 60_000, "tpm": 30_000_000, "concurrency": 512},
    },
    "sim-medium": {
        "latency": {"p50": "180ms", "p95": "500ms"},
        "tokens_per_s": 500,
        "price": {"input": 0.5, "output": 2},
        "skill": {"default": 0.9, "chat": 0.97, "code": 0.8, "reason": 0.75},
        "errors": {"rate_limit": 0.005, "overloaded": 0.005, "disconnect": 0.002, "refusal": 0.001},
        "limits": {"rpm": 30_000, "tpm": 15_000_000, "concurrency": 256},
    },
    "sim-large": {
        "latency": {"p50": "350ms", "p95": "1s"},
        "tokens_per_s": 250,
        "price": {"input": 3, "output": 12},
        "skill": {"default": 0.97, "code": 0.95, "reason": 0.94},
        "errors": {"rate_limit": 0.005, "server_error": 0.002, "malformed": 0.001},
        "limits": {"rpm": 12_000, "tpm": 6_000_000, "concurrency": 128},
    },
}

SHIPPED_MODELS: Final = tuple(_CATALOGUE)
