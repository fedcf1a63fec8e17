import pytest
from msgspec import json, msgpack
from msgspec.structs import replace

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.responses import ErrorType, Usage
from batchroute.core.results import Result, Status, Totals

USAGE = Usage(input_tokens=87, output_tokens=21, cached_tokens=40, reasoning_tokens=5)

ATTEMPT = Attempt(
    run_id="run",
    record_id="r1",
    attempt=1,
    purpose="answer",
    task="chat",
    complexity=None,
    route="default",
    model="mini",
    provider="openai",
    request_model="gpt-5.4-mini",
    response_model=None,
    response_id=None,
    started_at=1_790_000_000.25,
    queued_s=0.0,
    latency_s=None,
    outcome="failed",
    verdict="retry",
    error_type="rate_limited",
    flag=None,
    http_status=429,
    finish_reason=None,
    usage=USAGE,
    cost=123_456_789_000,
    cost_basis=CostBasis.USAGE,
    service_tier=None,
    price_input=None,
    price_output=None,
)

RESULT = Result(
    record_id="r1",
    status=Status.DEGRADED,
    task=None,
    complexity="hard",
    classified_by=None,
    route="default",
    model="mini",
    provider="openai",
    response="ja",
    finish_reason="stop",
    flag=None,
    error_type=None,
    error_message=None,
    totals=Totals(attempts=2, failovers=1, cost=None),
    latency_s=0.3,
    run_id="run",
    finished_at=1_790_000_001.0,
    kept={"source": "mail", "n": 3, "gone": None},
)


def test_error_types_are_spelled_as_their_names() -> None:
    assert {one.name.lower() for one in ErrorType} == {one.value for one in ErrorType}


def test_attempt_survives_its_encoding() -> None:
    assert msgpack.decode(msgpack.encode(ATTEMPT), type=Attempt) == ATTEMPT
    assert json.decode(json.encode(ATTEMPT), type=Attempt) == ATTEMPT


def test_result_survives_its_encoding() -> None:
    assert msgpack.decode(msgpack.encode(RESULT), type=Result) == RESULT
    assert json.decode(json.encode(RESULT), type=Result) == RESULT


@pytest.mark.parametrize("lacking", [1, 2, 3])
def test_older_attempt_without_the_newest_fields_can_be_read(lacking: int) -> None:
    """Fields are encoded by position: a new one goes last, with a default, and old rows stay readable."""
    older = json.encode(json.decode(json.encode(ATTEMPT))[:-lacking])

    assert json.decode(older, type=Attempt) == ATTEMPT


def test_unknown_cost_stays_unknown() -> None:
    totals = msgpack.decode(msgpack.encode(Totals(attempts=1, cost=None)), type=Totals)

    assert totals.cost is None


def test_totals_add_up_attempts_and_count_what_follows_each() -> None:
    free = replace(ATTEMPT, usage=None, cost=0, verdict="failover")
    refused = replace(ATTEMPT, verdict="escalate", cost=1_000)
    accepted = replace(ATTEMPT, verdict="accept", cost=50)

    assert Totals().plus(free).plus(refused).plus(accepted) == Totals(
        attempts=3, failovers=1, escalations=1, input_tokens=174, output_tokens=42, cost=1_050
    )


def test_one_unknown_cost_makes_the_whole_unknown() -> None:
    unknown, known = replace(ATTEMPT, cost=None), replace(ATTEMPT, cost=7)

    assert Totals().plus(known).plus(unknown).plus(known).cost is None
