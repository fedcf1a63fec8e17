"""One record, from its request to its result. The page to read first.

choose a model ─▶ attempt ─▶ verdict ─▶ accept ─▶ result
     ▲                          │
     └── retry, fail over, ─────┤
         escalate, wait         └─▶ give up ─▶ dead letter
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from msgspec import Struct, structs

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.errors import NoModelError
from batchroute.core.money import Rates
from batchroute.core.records import UNLABELLED, Fault, Labels
from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.core.results import NOTHING_SPENT, Result, Status, Totals
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.halts import Halt
from batchroute.engine.network import Network
from batchroute.engine.pools import OUTAGE_OF_OURS_S, PAUSE_OF_OURS_S, Pool, PoolSpec, Slot
from batchroute.routing.retries import backoff, longest_backoff
from batchroute.routing.routes import Choice, Exhausted, Send, Wait, choose, over_tried
from batchroute.routing.verdicts import (
    MAX_TRIES_PER_MODEL,
    POLICIES,
    UNCOUNTED,
    Action,
    Effect,
    Elsewhere,
    Situation,
    decide,
    effect,
)

BYTES_BESIDE_A_MESSAGE = 64


class Admitted(Struct, frozen=True, kw_only=True, array_like=True, gc=False):
    """A record that is ready to be sent: what is left of it once it was read, classified and rendered.

    `carried` is what attempts of earlier runs add up to, `kept` the values of the carried input columns.
    """

    seq: int
    record_id: str
    labels: Labels
    route: str
    models: tuple[str, ...]
    request: Request
    kept: dict[str, Any]
    carried: Totals = NOTHING_SPENT


@dataclass(slots=True)
class Trail:
    """A record in motion: what was tried for it, and what that has cost."""

    record: Admitted
    totals: Totals
    tries: dict[str, int] = field(default_factory=dict)
    errors: dict[ErrorType, int] = field(default_factory=dict)
    spent: frozenset[str] = frozenset()
    started_then: dict[str, int] = field(default_factory=dict)
    """How many requests each model had been sent when it last failed with this record."""
    failures: dict[str, int] = field(default_factory=dict)
    """How often each model failed with this record."""
    blames: dict[str, int] = field(default_factory=dict)
    """How often a model failed with it again after it had answered others."""
    suspect: bool = False
    """Whether what fails is this record: it failed more than once of a model that answered others since."""
    held_against: list[str] = field(default_factory=list)
    """The models whose health has suffered from its failures."""
    stay: str | None = None
    affordable: bool = True
    """Whether the retry on the model it stays with was within that model's budget."""
    failure: Failure | None = None
    failed: Pool | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Journey:
    """The way of every record of a run. A record holds at most one slot, and none while it waits."""

    run_id: str
    pools: Mapping[str, Pool]
    network: Network
    commits: Commits
    halt: Halt
    clock: Clock
    committed: Callable[[Attempt | None, Result | None], None]
    """Told of every attempt and every result once it is committed."""
    blanks: dict[tuple[str, str], Attempt] = field(default_factory=dict)

    async def walk(self, record: Admitted) -> None:
        """Bring one record to its result. Returns without one only when the run is stopping."""
        trail = Trail(record, record.carried)
        while not self.halt.stopping:
            choice = self._choose(trail)
            if isinstance(choice, Send):
                verdict = await self._attempt(trail, self.pools[choice.model])
                if verdict is Action.ACCEPT or verdict is Action.GIVE_UP:
                    return
                if verdict is Action.RETRY:
                    await self.halt.sleep(self._delay(trail))
            elif isinstance(choice, Wait):
                await self.halt.sleep_until(choice.until)
            else:
                await self._bury(trail)
                return

    def _choose(self, trail: Trail) -> Choice:
        now = self.clock.now()
        if trail.stay is not None:
            opens_at = self._opens_at(trail.stay)
            if opens_at is not None and opens_at <= now:
                return Send(trail.stay)
        return choose(trail.record.models, trail.tries, trail.spent, self._opens_at, now)

    def _opens_at(self, model: str) -> float | None:
        return self.pools[model].opens_at()

    async def _attempt(self, trail: Trail, pool: Pool) -> Action | None:
        """One request to one model; None when the pool turned the record away before it was sent."""
        record = trail.record
        async with pool.slot(record.request.estimated_tokens(), record.seq) as slot:
            if not slot.granted or self.halt.stopping:
                return None
            attempt = self._started(trail, pool, slot)
            await self.commits.started(record.seq, attempt)
            timeout_s = pool.timeout_s(hurried=trail.failure is None)
            started = self.clock.now()
            outcome = await pool.provider.send(record.request, pool.spec.request_model, timeout_s=timeout_s)
            latency_s = self.clock.now() - started
            outcome = self.network.judge(pool.spec.provider, outcome)
            pool.learn(slot, outcome, latency_s, timeout_s)
            verdict = self._judge(trail, pool, slot, outcome)
            attempt = _ended(attempt, outcome, verdict, latency_s, pool.spec.rates)
            await self._enter(trail, attempt, outcome, verdict)
            return verdict

    def _judge(self, trail: Trail, pool: Pool, slot: Slot, outcome: Outcome) -> Action:
        """Tell the pool what happened, then decide what the record does next."""
        probe = slot.probe
        if isinstance(outcome, Response):
            pool.succeed(slot)
            return Action.ACCEPT
        trail.failure, trail.failed = outcome, pool
        trail.errors[outcome.error_type] = trail.errors.get(outcome.error_type, 0) + 1
        self._blame(trail, pool, outcome)
        self._tell(trail, pool, slot, outcome)
        usable = not pool.ejected and pool.disabled is None
        if (trail.suspect or (usable and not probe)) and effect(outcome) not in UNCOUNTED:
            trail.tries[pool.spec.model] = trail.tries.get(pool.spec.model, 0) + 1
        verdict = decide(outcome, self._situation(trail, pool, outcome, usable=usable))
        trail.stay = None
        if verdict is Action.GIVE_UP:
            self._forgive(trail)
        if verdict is Action.RETRY:
            trail.stay, trail.affordable = pool.spec.model, pool.retries.affordable
            pool.retries.spend()
        blames = trail.blames.get(pool.spec.model, 0)
        if blames >= MAX_TRIES_PER_MODEL - 1 or (
            POLICIES[outcome.error_type].dead and verdict is not Action.RETRY
        ):
            trail.spent |= {pool.spec.model}
        return verdict

    def _blame(self, trail: Trail, pool: Pool, failure: Failure) -> None:
        """Note if it is this record that models fail of. Then every further attempt is counted.

        Whoever answers requests that were sent later is not down.
        """
        if effect(failure) is not Effect.FAILED:
            return
        model = pool.spec.model
        if pool.answered > trail.started_then.get(model, pool.answered):
            trail.blames[model] = trail.blames.get(model, 0) + 1
        trail.failures[model] = trail.failures.get(model, 0) + 1
        trail.suspect = trail.suspect or any(
            trail.failures[other] > 1 and self.pools[other].answered > then
            for other, then in trail.started_then.items()
        )
        trail.started_then[model] = pool.started
        if trail.suspect:
            self._forgive(trail)

    def _forgive(self, trail: Trail) -> None:
        """Take back what the record did to the health of models."""
        for model in trail.held_against:
            self.pools[model].forgive()
        trail.held_against.clear()

    def _situation(self, trail: Trail, pool: Pool, failure: Failure, *, usable: bool) -> Situation:
        model = pool.spec.model
        if not trail.suspect:
            for tried in [tried for tried in trail.tries if self.pools[tried].ejected]:
                del trail.tries[tried]  # it was down: that was not the record's fault
        trail.spent |= over_tried(trail.tries, self._untried(trail, model))
        without = trail.spent | {model}
        other = choose(trail.record.models, trail.tries, without, self._opens_at, self.clock.now())
        return Situation(
            tries=trail.tries.get(model, 0),
            tries_in_all=sum(trail.tries.values()),
            same=trail.errors[failure.error_type],
            elsewhere=_ELSEWHERE[type(other)],
            usable=usable and model not in trail.spent,
            affordable=pool.retries.affordable,
            pause_s=pool.pause_s,
            stopping=self.halt.stopping,
        )

    def _untried(self, trail: Trail, model: str) -> int:
        """How many healthy models of the route the record has not come to yet, `model` being the one it is at."""
        left = set(trail.record.models) - trail.spent - trail.tries.keys() - {model}
        return sum(not (self.pools[other].ejected or self.pools[other].disabled) for other in left)

    def _tell(self, trail: Trail, pool: Pool, slot: Slot, failure: Failure) -> None:
        match effect(failure):
            case Effect.NONE if failure.http_status is not None:
                pool.succeed(slot)  # it answered; what it answered is the record's affair
            case Effect.FAILED if not trail.suspect:
                trail.held_against.append(pool.spec.model)
                pool.fail(slot)
            case Effect.PAUSE:
                pool.pause(failure.retry_after_s)
            case Effect.PAUSE_ALL:
                for each in self.pools.values():
                    each.acquit(PAUSE_OF_OURS_S.get(failure.error_type, OUTAGE_OF_OURS_S))
            case Effect.DISABLE_MODEL:
                pool.disable(failure.message)
            case Effect.DISABLE_PROVIDER:
                for other in self.pools.values():
                    if other.spec.provider == pool.spec.provider:
                        other.disable(failure.message)
        if pool.disabled and all(other.disabled for other in self.pools.values()):
            reasons = "; ".join(f"{model}: {other.disabled}" for model, other in self.pools.items())
            self.halt.stop(NoModelError(f"every model is out: {reasons}"))

    async def _enter(self, trail: Trail, attempt: Attempt, outcome: Outcome, verdict: Action) -> None:
        """Commit the attempt, and the record's result if this ended it. Only then is it counted."""
        trail.totals = trail.totals.plus(attempt)
        if isinstance(outcome, Response):
            result = self._succeeded(trail, attempt, outcome)
        elif verdict is Action.GIVE_UP:
            result = self._dead(trail)
        else:
            await self.commits.ended(trail.record.seq, attempt)
            self.committed(attempt, None)
            return
        await self.commits.finished(trail.record.seq, attempt, result)
        self.committed(attempt, result)

    async def _bury(self, trail: Trail) -> None:
        """End the record as a dead letter without a further attempt."""
        result = self._dead(trail)
        await self.commits.finished(trail.record.seq, None, result)
        self.committed(None, result)

    def _delay(self, trail: Trail) -> float:
        wish_s = trail.failure.retry_after_s if trail.failure else None
        if not trail.affordable:
            return max(longest_backoff(self.clock.random), wish_s or 0.0)
        return backoff(sum(trail.tries.values()), self.clock.random, wish_s)

    def _started(self, trail: Trail, pool: Pool, slot: Slot) -> Attempt:
        """The attempt as it stands in the ledger if nothing is ever heard of it: paid for at its upper bound."""
        record, rates = trail.record, pool.spec.rates
        return structs.replace(
            self._blank(record.route, pool),
            record_id=record.record_id,
            attempt=trail.totals.attempts + 1,
            task=record.labels.task,
            complexity=record.labels.complexity,
            started_at=self.clock.wall(),
            queued_s=slot.queued_s,
            model_state="half_open" if slot.probe else "closed",
            cost=_upper_bound(record.request, rates),
        )

    def _blank(self, route: str, pool: Pool) -> Attempt:
        """What all attempts on this route and model have in common; a copy is three times faster than a new one."""
        key = (route, pool.spec.model)
        blank = self.blanks.get(key)
        if blank is None:
            blank = self.blanks[key] = _unknown(self.run_id, route, pool.spec)
        return blank

    def _succeeded(self, trail: Trail, attempt: Attempt, response: Response) -> Result:
        record = trail.record
        return Result(
            record_id=record.record_id,
            status=Status.SUCCEEDED,
            task=record.labels.task,
            complexity=record.labels.complexity,
            classified_by=record.labels.classified_by,
            route=record.route,
            model=attempt.model,
            provider=attempt.provider,
            response=response.content,
            finish_reason=response.finish_reason,
            flag=response.flag,
            error_type=None,
            error_message=None,
            totals=trail.totals,
            latency_s=attempt.latency_s,
            run_id=self.run_id,
            finished_at=self.clock.wall(),
            kept=record.kept,
        )

    def _dead(self, trail: Trail) -> Result:
        spec = trail.failed.spec if trail.failed else None
        return dead_letter(
            _last_fault(trail),
            record_id=trail.record.record_id,
            labels=trail.record.labels,
            route=trail.record.route,
            model=spec.model if spec else None,
            provider=spec.provider if spec else None,
            totals=trail.totals,
            run_id=self.run_id,
            finished_at=self.clock.wall(),
            kept=trail.record.kept,
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
    )


_ELSEWHERE = {Send: Elsewhere.NOW, Wait: Elsewhere.LATER, Exhausted: Elsewhere.NEVER}


def _unknown(run_id: str, route: str, spec: PoolSpec) -> Attempt:
    """An attempt of which nothing is known yet but where it goes."""
    return Attempt(
        run_id=run_id,
        record_id="",
        attempt=0,
        purpose="answer",
        task=None,
        complexity=None,
        route=route,
        model=spec.model,
        provider=spec.provider,
        request_model=spec.request_model,
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
        price_input=spec.rates.input if spec.rates else None,
        price_output=spec.rates.output if spec.rates else None,
        service_tier=None,
        price_cached=spec.rates.cached if spec.rates else None,
        price_cache_write=spec.rates.cache_write if spec.rates else None,
    )


def _last_fault(trail: Trail) -> Fault:
    if trail.failure is None or trail.failed is None:
        return Fault("no_model", "every model of the route is out for the rest of the run")
    return Fault(trail.failure.error_type, f"{trail.failed.spec.model}: {trail.failure.message}")


def _upper_bound(request: Request, rates: Rates | None) -> int | None:
    """The most an attempt can cost: a token for every byte sent, and all the output that was allowed."""
    if rates is None or request.max_output_tokens is None:
        return None
    sent = len(request.messages) + len(request.params) + BYTES_BESIDE_A_MESSAGE
    written = sent if rates.cache_write > rates.input else 0
    return rates.cost(
        Usage(input_tokens=sent, cache_write_tokens=written, output_tokens=request.max_output_tokens)
    )


def _ended(
    attempt: Attempt, outcome: Outcome, verdict: Action, latency_s: float, rates: Rates | None
) -> Attempt:
    """The attempt as it stands in the ledger for good."""
    cost, basis = attempt.cost, CostBasis.UPPER_BOUND
    if outcome.usage is not None:
        cost, basis = (rates.cost(outcome.usage) if rates else None), CostBasis.USAGE
    elif isinstance(outcome, Failure) and not outcome.sent:
        cost, basis = 0, CostBasis.NONE
    answered = isinstance(outcome, Response)
    return structs.replace(
        attempt,
        response_model=outcome.response_model,
        response_id=outcome.response_id,
        latency_s=latency_s,
        outcome="ok" if answered else "error",
        verdict=verdict.value,
        error_type=None if isinstance(outcome, Response) else outcome.error_type,
        flag=outcome.flag if isinstance(outcome, Response) else None,
        http_status=outcome.http_status,
        finish_reason=outcome.finish_reason,
        usage=outcome.usage,
        cost=cost,
        cost_basis=basis,
        service_tier=outcome.service_tier if isinstance(outcome, Response) else None,
    )
