"""What a record ends with: one result, whatever happened on its way."""

from enum import StrEnum
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from batchroute.core.attempts import Attempt


class Status(StrEnum):
    """How a record ended. A failed record is a dead letter: a row with its error and its whole cost."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    DEGRADED = "degraded"


class Totals(Struct, frozen=True, gc=False, array_like=True):
    """What all attempts of one record add up to. `cost` is picodollars, None when a price was unknown."""

    attempts: int = 0
    failovers: int = 0
    escalations: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    cost: int | None = 0

    def plus(self, attempt: Attempt) -> "Totals":
        """Add one ended attempt. Its verdict tells whether a failover or an escalation follows it."""
        usage, cost = attempt.usage, attempt.cost
        return Totals(
            self.attempts + 1,
            self.failovers + (attempt.verdict == "failover"),
            self.escalations + (attempt.verdict == "escalate"),
            self.input_tokens + (usage.input_tokens if usage else 0),
            self.output_tokens + (usage.output_tokens if usage else 0),
            None if self.cost is None or cost is None else self.cost + cost,
        )

    def sharing(self, share: "Totals") -> "Totals":
        """With a share in an attempt that is entered under another record; of that one, what the others bear is taken
        away by negative numbers. What is unknown stays so.
        """
        return replace(
            self,
            input_tokens=self.input_tokens + share.input_tokens,
            output_tokens=self.output_tokens + share.output_tokens,
            cost=None if self.cost is None or share.cost is None else self.cost + share.cost,
        )

    def costing(self, more: int) -> "Totals":
        """The same, so many picodollars dearer; what is unknown stays so."""
        return self if self.cost is None else replace(self, cost=self.cost + more)


NOTHING_SPENT = Totals()

PARSED = "parsed"
"""The column of answers that have to have a form, as values."""

RESULT_COLUMNS = (
    "record_id", "status", "task", "complexity", "classified_by", "route", "model", "provider", "response",
    "finish_reason", "flag", "error_type", "error_message", "attempts", "failovers", "escalations", "input_tokens",
    "output_tokens", "cost_usd", "latency_s", "run_id", "finished_at",
)  # fmt: skip
"""The documented columns of results, in order; kept input columns follow them under their own names."""


class Result(Struct, frozen=True, gc=False, array_like=True):
    """The one output of a record.

    `latency_s` is the accepted attempt's, `finished_at` seconds since the epoch (UTC), `kept` the values of
    the carried input columns by name, and a vector where one was asked for. Fields are encoded by position: new ones go last.
    """

    record_id: str
    status: Status
    task: str | None
    complexity: str | None
    classified_by: str | None
    route: str | None
    model: str | None
    provider: str | None
    response: str | None
    finish_reason: str | None
    flag: str | None
    error_type: str | None
    error_message: str | None
    totals: Totals
    latency_s: float | None
    run_id: str
    finished_at: float
    kept: dict[str, Any]
    fingerprint: int | None = None
    """Of the request that it answers: tells later whether that is still what the record asks."""
    parsed: str | None = None
    """The answer as JSON, where it has to have a form."""
    tail: int | None = None
    """With the fingerprint, what tells which requests are equal to its own; None where it shares no answer."""
    answer_cost: int | None = None
    """What the attempt has cost that gave the answer, picodollars; None where that is not known."""
