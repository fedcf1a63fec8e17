"""What is entered in the books: attempts as they start and end, and results."""

from collections.abc import Mapping
from typing import Any

from msgspec import structs

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.money import Rates
from batchroute.core.records import UNLABELLED, Fault, Labels
from batchroute.core.requests import Request
from batchroute.core.responses import Failure, Outcome, Response
from batchroute.core.results import NOTHING_SPENT, Result, Status, Totals
from batchroute.engine.pools import PoolSpec
from batchroute.engine.trails import Admitted, Trail
from batchroute.job.endpoints import VECTOR
from batchroute.routing.verdicts import Action

# To look up the members of an enumeration costs more than the rest of a line here.
_USAGE, _UPPER_BOUND = CostBasis.USAGE, CostBasis.UPPER_BOUND
_SUCCEEDED = Status.SUCCEEDED
_VERDICTS: Mapping[Action | None, str | None] = {None: None, **{action: action.value for action in Action}}
BYTES_BESIDE_A_MESSAGE = 64
MOST_TOKENS_PER_IMAGE = 50_000
"""Of an image at full detail on gpt-4o-mini, which counts the most: 2,833 and 5,667 for each of up to 8 tiles
(platform.openai.com, guide Images and vision, 2026-11)."""


def blank_attempt(run_id: str, route: str, spec: PoolSpec) -> Attempt:
    """What all attempts on this route and model have in common, nothing being known of how they end."""
    return structs.replace(
        undeclared(run_id, route, spec.model, spec.provider),
        request_model=spec.request_model,
        price_input=spec.rates.input if spec.rates else None,
        price_output=spec.rates.output if spec.rates else None,
        price_cached=spec.rates.cached if spec.rates else None,
        price_cache_write=spec.rates.cache_write if spec.rates else None,
    )


def undeclared(run_id: str, route: str, model: str, provider: str) -> Attempt:
    """The same of a model of which no more is known, as it is no longer declared."""
    return Attempt(
        run_id=run_id,
        record_id="",
        attempt=0,
        purpose="answer",
        task=None,
        complexity=None,
        route=route,
        model=model,
        provider=provider,
        request_model=None,
        response_model=None,
        response_id=None,
        started_at=0.0,
        queued_s=0.0,
        latency_s=None,
        outcome="unknown",
        verdict=None,
        error_type="unknown_outcome",
        flag=None,
        http_status=None,
        finish_reason=None,
        usage=None,
        cost=None,
        cost_basis=CostBasis.UPPER_BOUND,
        price_input=None,
        price_output=None,
        service_tier=None,
    )


def unsent(blank: Attempt, basis: CostBasis) -> Attempt:
    """What all lines on a route and model have in common that stand for an answer which was there already."""
    return structs.replace(
        blank,
        outcome="ok",
        verdict=Action.ACCEPT.value,
        error_type=None,
        cost=0,
        cost_basis=basis,
    )


def cost_by_totals(totals: Totals, rates: Rates | None) -> int | None:
    """What an answer cost of which no more is known than what its record took: of a single attempt that cost as much as
    such tokens cost today. Else some of them were cached, or not told, or the price is another one: None.
    """
    if totals.attempts != 1 or rates is None:
        return None
    cost = rates.expected(totals.input_tokens, totals.output_tokens)
    return cost if cost == totals.cost else None


def asked_rates(request: Request, rates: Rates | None) -> Rates | None:
    """What a request costs at a model of these rates: parameters of its own may ask for a dearer service tier."""
    if rates is None or not (request.own_params and rates.tiers):
        return rates
    return rates.asked_for(request.service_tier())


def upper_bound(request: Request, rates: Rates | None) -> int | None:
    """The most an attempt can cost: a token for every byte sent, and all the output that was allowed."""
    if rates is None or request.max_output_tokens is None:
        return None
    sent = len(request.messages) + len(request.params) + BYTES_BESIDE_A_MESSAGE
    if request.images:
        sent += MOST_TOKENS_PER_IMAGE * request.images - request.image_bytes
    return rates.most(sent, request.max_output_tokens)


def ended(
    attempt: Attempt, outcome: Outcome, verdict: Action | None, latency_s: float, rates: Rates | None
) -> Attempt:
    """The attempt as it stands in the ledger for good."""
    cost, basis, usage = attempt.cost, _UPPER_BOUND, outcome.usage
    answer = outcome if isinstance(outcome, Response) else None
    if usage is not None:
        if rates is not None and (rates.tiers or rates.above):
            served = rates if answer is None else rates.served_as(answer.service_tier)
            if served is not rates or served.above:
                rates, attempt = served, priced(attempt, served.at(usage.input_tokens))
        cost, basis = None if rates is None else rates.cost(usage), _USAGE
    elif isinstance(outcome, Failure) and not outcome.sent:
        cost, basis = 0, CostBasis.NONE
    return structs.replace(
        attempt,
        response_model=outcome.response_model,
        response_id=outcome.response_id,
        latency_s=latency_s,
        outcome="error" if answer is None else "ok",
        verdict=_VERDICTS[verdict],
        error_type=outcome.error_type if isinstance(outcome, Failure) else None,
        flag=None if answer is None else answer.flag,
        http_status=outcome.http_status,
        finish_reason=outcome.finish_reason,
        usage=usage,
        cost=cost,
        cost_basis=basis,
        service_tier=None if answer is None else answer.service_tier,
    )


def priced(attempt: Attempt, rates: Rates) -> Attempt:
    """The attempt with the prices that its cost is computed from."""
    return structs.replace(
        attempt,
        price_input=rates.input,
        price_output=rates.output,
        price_cached=rates.cached,
        price_cache_write=rates.cache_write,
    )


def answered(
    record: Admitted,
    attempt: Attempt,
    response: Response,
    totals: Totals,
    finished_at: float,
    answer_cost: int | None,
) -> Result:
    """The result of a record that was answered, by this attempt or by what stands for one in the ledger."""
    vectors, labels = response.vectors, record.labels
    error_type = error_message = None
    return Result(  # by position: by name, a struct of this size takes ten times as long
        record.record_id,
        _SUCCEEDED,
        labels.task,
        labels.complexity,
        labels.classified_by,
        record.route,
        attempt.model,
        attempt.provider,
        None if vectors else response.content,
        response.finish_reason,
        attempt.flag,
        error_type,
        error_message,
        totals,
        attempt.latency_s,
        attempt.run_id,
        finished_at,
        {**record.kept, VECTOR: vectors[0]} if vectors else record.kept,
        record.fingerprint,
        response.parsed,
        record.tail,
        answer_cost,
    )


def repeated(record: Admitted, answer: Result, run_id: str, finished_at: float) -> Result:
    """The result of a record that asks what another one has asked: the same, and nothing spent on it by itself."""
    message, vector = answer.error_message, vector_of(answer)
    if message is not None:
        message = f"{message} (as for {answer.record_id}, which asks the same)"
    return structs.replace(
        answer,
        record_id=record.record_id,
        task=record.labels.task,
        complexity=record.labels.complexity,
        classified_by=record.labels.classified_by,
        route=record.route,
        error_message=message,
        totals=_spent_before(record),
        latency_s=None,
        run_id=run_id,
        finished_at=finished_at,
        kept=record.kept if vector is None else {**record.kept, VECTOR: vector},
        fingerprint=record.fingerprint,
        tail=record.tail,
    )


def vector_of(result: Result) -> bytes | None:
    """The vector of a record that was asked for one, which has no other answer."""
    vector = result.kept.get(VECTOR) if result.response is None else None
    return vector if isinstance(vector, bytes) else None


def recalled(
    record: Admitted, line: Attempt, response: Response, finished_at: float, answer_cost: int | None
) -> Result:
    """The result of a record whose answer comes from the cache: nothing was sent for it."""
    return answered(record, line, response, _spent_before(record), finished_at, answer_cost)


def _spent_before(record: Admitted) -> Totals:
    """What attempts of earlier runs add up to, those for earlier answers included."""
    return record.carried.costing(record.paid) if record.paid else record.carried


def given_up(trail: Trail, run_id: str, finished_at: float) -> Result:
    """The dead letter of a record that was tried enough."""
    spec = trail.failed.spec if trail.failed else None
    return dead_letter(
        trail.fault(),
        record_id=trail.record.record_id,
        labels=trail.record.labels,
        route=trail.record.route,
        model=spec.model if spec else None,
        provider=spec.provider if spec else None,
        totals=trail.in_all,
        run_id=run_id,
        finished_at=finished_at,
        kept=trail.record.kept,
        fingerprint=trail.record.fingerprint,
        tail=trail.record.tail,
    )


def dead_letter(
    fault: Fault,
    *,
    record_id: str,
    run_id: str,
    finished_at: float,
    kept: dict[str, Any],
    labels: Labels = UNLABELLED,
    route: str | None = None,
    model: str | None = None,
    provider: str | None = None,
    totals: Totals = NOTHING_SPENT,
    fingerprint: int | None = None,
    tail: int | None = None,
) -> Result:
    """The result of a record that has no answer: why, and what it has cost."""
    return Result(
        record_id=record_id,
        status=Status.FAILED,
        task=labels.task,
        complexity=labels.complexity,
        classified_by=labels.classified_by,
        route=route,
        model=model,
        provider=provider,
        response=None,
        finish_reason=None,
        flag=None,
        error_type=fault.error_type,
        error_message=fault.message,
        totals=totals,
        latency_s=None,
        run_id=run_id,
        finished_at=finished_at,
        kept=kept,
        fingerprint=fingerprint,
        tail=tail,
    )
