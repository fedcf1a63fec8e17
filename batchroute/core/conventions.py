"""What the ledger's columns are called by the semantic conventions of OpenTelemetry for generative AI.

Names of spans and metrics are those of schema gen-ai/1.42.0, but for `cache_write`, which was `cache_creation` there
(github.com/open-telemetry/semantic-conventions-genai, status Development, read 2026-11; that repository is about to put
other metrics in the place of `gen_ai.client.token.usage`). What they have no name for, such as a cost, is below
`batchroute.`. Nothing here knows the texts of a prompt or of an answer, so none of it can show them.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Final, TypeAlias

from msgspec import Struct, structs

from batchroute.core.attempts import Attempt
from batchroute.core.money import usd

Value: TypeAlias = str | int | float | tuple[str, ...]

OPERATION: Final = "gen_ai.operation.name"
PROVIDER: Final = "gen_ai.provider.name"
DURATION: Final = "gen_ai.client.operation.duration"
TOKENS: Final = "gen_ai.client.token.usage"
TOKEN_TYPE: Final = "gen_ai.token.type"  # noqa: S105  no secret
DURATION_BOUNDS_S: Final = tuple(0.01 * 2**step for step in range(14))
TOKEN_BOUNDS: Final = tuple(4**step for step in range(14))
"""Bounds of the histograms' buckets, as the conventions advise."""

COLUMNS: Final[Mapping[str, str]] = {
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "response_id": "gen_ai.response.id",
    "finish_reason": "gen_ai.response.finish_reasons",
    "input_tokens": "gen_ai.usage.input_tokens",
    "output_tokens": "gen_ai.usage.output_tokens",
    "cached_tokens": "gen_ai.usage.cache_read.input_tokens",
    "cache_write_tokens": "gen_ai.usage.cache_write.input_tokens",
    "reasoning_tokens": "gen_ai.usage.reasoning.output_tokens",
    "error_type": "error.type",
    "http_status": "http.response.status_code",
    "service_tier": "openai.response.service_tier",
}
"""Columns that the conventions have a name for; `provider` is another one, and depends on the job."""

_OWN: Final = (
    "run_id",
    "record_id",
    "attempt",
    "purpose",
    "task",
    "complexity",
    "route",
    "model",
    "provider",
    "queued_s",
    "outcome",
    "verdict",
    "flag",
    "lane",
    "model_state",
)
_OPENAIS: Final = frozenset({"openai", "azure.ai.openai"})
"""Providers whose spans have attributes of OpenAI's."""


class Place(Struct, frozen=True, kw_only=True):
    """A provider as the conventions name it, and where it answers, if that is told."""

    name: str
    address: str | None = None
    port: int | None = None


class Subject(Struct, frozen=True, kw_only=True):
    """What is the same for all attempts of a job: its name, its providers by theirs, and whether it asks for vectors."""

    job: str
    places: dict[str, Place]
    vectors: bool


class Identity(Struct, frozen=True):
    """The ids of a span: those of its record in a run share a trace."""

    trace: int
    span: int

    @classmethod
    def of(cls, attempt: Attempt) -> "Identity":
        """The same for the same attempt, whoever asks and how often; never 0."""
        record = f"{attempt.run_id}\0{attempt.record_id}"
        one = f"{record}\0{attempt.attempt}\0{attempt.purpose}\0{attempt.started_at!r}"
        return cls(_number(record, 16), _number(one, 8))


def span_name(attempt: Attempt, subject: Subject) -> str:
    return f"{_operation(attempt, subject)} {attempt.request_model}"


def metric_attributes(attempt: Attempt, subject: Subject) -> dict[str, Value]:
    """What attempts are told apart by in a metric: few values, so no ids."""
    place = subject.places.get(attempt.provider) or Place(name=attempt.provider)
    told: dict[str, Value | None] = {
        OPERATION: _operation(attempt, subject),
        PROVIDER: place.name,
        COLUMNS["request_model"]: attempt.request_model,
        COLUMNS["response_model"]: attempt.response_model,
        "server.address": place.address,
        "server.port": place.port,
    }
    return _known(told)


def error_type(attempt: Attempt) -> str | None:
    """Why the attempt gave no answer, None where it gave one; an answer that was refused counts as none."""
    return None if attempt.outcome == "ok" else attempt.error_type


def span_attributes(attempt: Attempt, subject: Subject) -> dict[str, Value]:
    """All that the ledger tells of an attempt but its times and its prices."""
    shared = metric_attributes(attempt, subject)
    tier = attempt.service_tier
    told: dict[str, Value | None] = {
        "response_id": attempt.response_id,
        "finish_reason": None if attempt.finish_reason is None else (attempt.finish_reason,),
        **({} if attempt.usage is None else structs.asdict(attempt.usage)),
        "error_type": error_type(attempt),
        "http_status": attempt.http_status,
        "service_tier": tier if shared[PROVIDER] in _OPENAIS else None,
    }
    own: dict[str, Value | None] = {f"batchroute.{name}": getattr(attempt, name) for name in _OWN}
    own["batchroute.job"] = subject.job
    own["batchroute.cost_usd"] = None if attempt.cost is None else float(usd(attempt.cost))
    own["batchroute.cost_basis"] = attempt.cost_basis.value
    return {**shared, **_known({COLUMNS[name]: value for name, value in told.items()}), **_known(own)}


def _operation(attempt: Attempt, subject: Subject) -> str:
    """Classifying models and judges are asked in words, also beside vectors."""
    return "embeddings" if subject.vectors and attempt.purpose == "answer" else "chat"


def _known(told: Mapping[str, Value | None]) -> dict[str, Value]:
    return {name: value for name, value in told.items() if value is not None}


def _number(text: str, size: int) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=size).digest()) or 1
