"""One record, from its request to its result. The page to read first.

choose a model ─▶ attempt ─▶ verdict ─▶ accept ─▶ result
     ▲                          │
     └── retry, fail over, ─────┤
         escalate, wait         └─▶ give up ─▶ dead letter
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import structs

from batchroute.core.errors import NoModelError
from batchroute.core.records import Fault
from batchroute.core.responses import ErrorType, Failure, Outcome, Response
from batchroute.core.results import Result
from batchroute.engine.clock import Clock
from batchroute.engine.consequences import suffer
from batchroute.engine.halts import Halt
from batchroute.engine.judgements import UNJUDGED, Judgements
from batchroute.engine.lineups import Lineup
from batchroute.engine.pools import Pool, Slot
from batchroute.engine.purses import Purse
from batchroute.engine.requests import Requests
from batchroute.engine.trails import Admitted, Exchange, Kept, Trail
from batchroute.routing.checks import Checks, Refused, refused
from batchroute.routing.fits import no_larger
from batchroute.routing.forms import Formed
from batchroute.routing.judges import below
from batchroute.routing.retries import CAP_S, backoff, longest_backoff
from batchroute.routing.routes import Choice, Exhausted, Send, Wait, choose, over_tried
from batchroute.routing.suspicions import Suspicion
from batchroute.routing.verdicts import (
    MAX_TRIES_PER_MODEL,
    MAX_TRIES_PER_RECORD,
    Action,
    Effect,
    Elsewhere,
    Situation,
    decide,
    effect,
    last_word,
    repairable,
)

LARGER = 2
"""How many times the room for an answer that did not fit."""

_ENDS = (Action.ACCEPT, Action.GIVE_UP)
_ELSEWHERE = {Send: Elsewhere.NOW, Wait: Elsewhere.LATER, Exhausted: Elsewhere.NEVER}


@dataclass(frozen=True, kw_only=True, slots=True)
class Journey:
    """The way of every record of a run. A record holds at most one slot, and none while it waits."""

    pools: Mapping[str, Pool]
    requests: Requests
    halt: Halt
    clock: Clock
    purse: Purse
    lineups: Mapping[str, Lineup]
    """Of the routes, and of what the wishes of records make of them, that do not simply try their models as written."""
    checks: Mapping[str, Checks] = field(default_factory=dict)
    """Of the routes that have any."""
    forms: Mapping[str, Formed] = field(default_factory=dict)
    """Of the routes whose answers have to have one."""
    judgements: Judgements
    resting: Callable[[], None] = lambda: None
    """Told when a record gives its slot back and is not at its end: another one may have it."""
    failed_over: Callable[[], None] = lambda: None
    """Told when a record is at its end that its first choice could not answer."""

    async def walk(self, record: Admitted) -> Result | None:
        """Bring one record to its result; None: it stays pending, as the run is stopping, or lacks the money or the
        models.
        """
        trail = Trail.of(record)
        if self.lineups and record.lineup in self.lineups:
            self._line_up(trail)
        if record.route in self.forms:
            trail.form = self.forms[record.route]
        while not self.halt.stopping:
            choice = self._choose(trail)
            if isinstance(choice, Send):
                attempt = self._afforded if self.purse.bounded else self._attempt
                pool = self.pools[choice.model]
                request = (
                    trail.request if trail.form is None else trail.form.asked(trail.request, choice.model)
                )
                trail.asked = pool.asked(request)
                verdict = await attempt(trail, pool)
                if trail.judged is not None:
                    verdict = await self._judged(trail, pool, trail.judged)
                if verdict in _ENDS or trail.unaffordable:
                    break
                self.resting()
                if verdict is Action.RETRY:
                    await self.halt.sleep(self._delay(trail))
            elif isinstance(choice, Wait) and self.requests.patient(trail, choice.until):
                await self.halt.sleep_until(choice.until)
            else:
                if not self._left_over(trail):
                    await self.requests.look_back(trail)
                    self.requests.give_up(trail)
                break
        if trail.failed_over:
            self.failed_over()
        return trail.result

    def _line_up(self, trail: Trail) -> None:
        """Decide in which order the record tries its models: as things stand now that it sets out."""
        record = trail.record
        prefix = None if record.place is None else record.place.prefix
        found = self.lineups[record.lineup].of(record.models, trail.request, self.clock.random, prefix)
        if isinstance(found, Fault):
            trail.models, trail.misfit = (), found
        else:
            trail.models = found

    def _choose(self, trail: Trail) -> Choice:
        models = trail.models
        if trail.failure is None and models and not trail.spent and self._opens_at(models[0]) == 0.0:
            return Send(models[0])  # as most do, without a look at the time
        now = self.clock.now()
        if trail.stay is not None:
            opens_at = self._opens_at(trail.stay)
            if opens_at is not None and opens_at <= now:
                return Send(trail.stay)
        return choose(trail.models, trail.tries, trail.spent, self._opens_at, now)

    def _opens_at(self, model: str) -> float | None:
        return self.pools[model].opens_at()

    async def _afforded(self, trail: Trail, pool: Pool) -> Action | None:
        """One request within the budget; None when nothing was sent."""
        most = trail.reserved = self._most(trail, pool)
        if not self.requests.affords(trail, most):
            trail.spent |= {pool.spec.model}
            trail.too_dear, trail.stay = True, None
            return None
        if not await self.purse.reserve(trail.record.route, most):
            trail.unaffordable = not self.halt.stopping
            return None
        try:
            return await self._attempt(trail, pool)
        finally:
            self.purse.give_back(trail.record.route, most)

    def _most(self, trail: Trail, pool: Pool) -> int:
        """What has to be set aside for the request: more once the model was found to be dearer.

        Every model of a job with a budget has a price, and every request a limit of its output.
        """
        return self.requests.most(trail, pool) or 0

    async def _attempt(self, trail: Trail, pool: Pool) -> Action | None:
        """One request to one model; None when the pool turned the record away before it was sent."""
        async with pool.slot(pool.estimated(trail.asked), trail.record.turn) as slot:
            if not slot.granted or self.halt.stopping:
                return None
            if self.purse.bounded and trail.reserved < self._most(trail, pool):
                return None
            exchange = await self.requests.send(trail, pool, slot)
            if trail.form is not None:
                exchange.outcome = trail.form.checked(exchange.outcome, repaired=trail.repairing)
            if exchange.outrun is not None:
                self._tell_of(trail, pool, exchange.outrun)
                self.requests.close(trail, pool, exchange.outrun, None)
            if self.checks and self._examined(trail, pool, exchange):
                verdict = None  # until the judge has spoken, without this slot
            else:
                verdict = self._judge(trail, pool, exchange.slot, exchange.outcome)
                if verdict is Action.GIVE_UP:
                    await self.requests.look_back(trail)
                self.requests.close(trail, pool, exchange, verdict)
            if exchange.reserved:
                self.purse.give_back(trail.record.route, exchange.reserved)
            return verdict

    def _left_over(self, trail: Trail) -> bool:
        """Whether the record waits for another run: a model that could have taken it is out for this one."""
        return any(self.pools[model].disabled for model in trail.models if model not in trail.spent)

    # Whether an answer is good enough

    def _examined(self, trail: Trail, pool: Pool, exchange: Exchange) -> bool:
        """Let the checks of the route look at an answer. Refused, it is a failure; True: a judge has the last word."""
        checks, response = self.checks.get(trail.record.route), exchange.outcome
        if checks is None or not isinstance(response, Response):
            return False
        refusals = checks.refusals(response)
        if refusals:
            self._refuse(trail, pool, exchange, refusals)
            return False
        if checks.judge is None:
            return False
        pool.succeed(exchange.slot)
        trail.judged = exchange
        if self.purse.bounded:
            trail.settled = self.requests.cost(pool, exchange) or 0
            self.purse.spend(trail.record.route, trail.settled)  # now: who waits for money must not hold any
        return True

    def _refuse(
        self,
        trail: Trail,
        pool: Pool,
        exchange: Exchange,
        refusals: Sequence[Refused],
        score: float | None = None,
    ) -> Failure:
        """Make of an answer what it is after that: a failure, and perhaps the best that there will be."""
        response = exchange.outcome
        assert isinstance(response, Response)
        if self.checks[trail.record.route].keep_best:
            trail.keep(
                Kept(
                    model=pool.spec.model,
                    provider=pool.spec.provider,
                    response=response,
                    latency_s=exchange.latency_s,
                    refusals=len(refusals),
                    score=score,
                )
            )
        exchange.outcome = failure = refused(response, refusals)
        return failure

    async def _judged(self, trail: Trail, pool: Pool, exchange: Exchange) -> Action:
        """The verdict on an answer that only its judge could still refuse. Without its word, the answer counts."""
        judge = self.checks[trail.record.route].judge
        response = exchange.outcome
        assert judge is not None
        assert isinstance(response, Response)
        asked = trail.asked
        score = await self.judgements.score(trail, judge, response)
        trail.asked = asked  # by now it was what the judge is asked
        verdict = Action.ACCEPT
        if score is None:
            exchange.outcome = structs.replace(response, flag=response.flag or UNJUDGED)
        elif (refusal := below(judge, score)) is not None:
            failure = self._refuse(trail, pool, exchange, [refusal], score)
            self._note(trail, pool, failure)
            verdict = decide(failure, self._situation(trail, pool, failure, usable=False))
            self._follow(trail, pool, failure, verdict)
        trail.judged = None
        if verdict is Action.GIVE_UP:
            await self.requests.look_back(trail)
        self.requests.close(trail, pool, exchange, verdict)
        self.purse.spend(trail.record.route, -trail.settled)  # by now it is spent as entered
        trail.settled = 0
        return verdict

    # What an outcome means

    def _judge(self, trail: Trail, pool: Pool, slot: Slot, outcome: Outcome) -> Action:
        """Tell the pool what happened, then decide what the record does next."""
        if isinstance(outcome, Response):
            pool.succeed(slot)
            return Action.ACCEPT
        probe = slot.probe
        self._note(trail, pool, outcome)
        self._tell(trail, pool, slot, outcome)
        usable = not pool.ejected and pool.disabled is None
        if (trail.suspect or (usable and not probe)) and trail.counts(outcome):
            trail.tries[pool.spec.model] = trail.tries.get(pool.spec.model, 0) + 1
        verdict = decide(outcome, self._situation(trail, pool, outcome, usable=usable))
        self._follow(trail, pool, outcome, verdict)
        return verdict

    def _note(self, trail: Trail, pool: Pool, failure: Failure) -> None:
        """Remember the failure, and whether it seems to be the record's fault."""
        trail.failure, trail.failed = failure, pool
        trail.errors[failure.error_type] = trail.errors.get(failure.error_type, 0) + 1
        if failure.error_type is ErrorType.CONTEXT_EXCEEDED:
            contexts = {model: self.pools[model].spec.context for model in trail.models}
            trail.spent |= no_larger(contexts, pool.spec.model)
        if effect(failure) is not Effect.FAILED:
            return
        if trail.suspicion is None:
            trail.suspicion = Suspicion(
                lambda model: self.pools[model].answered, lambda model: self.pools[model].failing
            )
        trail.suspicion.failed(pool.spec.model, pool.started)
        if trail.suspect:
            self._forgive(trail)

    def _forgive(self, trail: Trail) -> None:
        """Take back what the record did to the health of models."""
        for model in trail.held_against:
            self.pools[model].forgive()
        trail.held_against = ()

    def _tell(self, trail: Trail, pool: Pool, slot: Slot, failure: Failure) -> None:
        match effect(failure, own=self._own(trail, pool)):
            case Effect.NONE if failure.http_status is not None:
                pool.succeed(slot)  # it answered; what it answered is the record's affair
            case Effect.FAILED if not trail.suspect:
                trail.held_against += (pool.spec.model,)
                pool.fail(slot)
            case other:
                suffer(self.pools, pool, slot, failure, other)
        self._stop_if_all_are_out(pool)

    def _tell_of(self, trail: Trail, pool: Pool, outrun: Exchange) -> None:
        """What a second request found out of the model, though another one decides on the record."""
        if (
            isinstance(outrun.outcome, Failure)
            and outrun.outcome.error_type is not ErrorType.CANCELLED_BY_RUN
        ):
            self._tell(trail, pool, outrun.slot, outrun.outcome)

    def _own(self, trail: Trail, pool: Pool) -> bool:
        """Whether the parameters may be the record's own affair: they are, or others got through with the job's."""
        return trail.request.own_params or pool.proven

    def _stop_if_all_are_out(self, pool: Pool) -> None:
        if pool.disabled and all(other.disabled for other in self.pools.values()):
            reasons = "; ".join(f"{model}: {other.disabled}" for model, other in self.pools.items())
            self.halt.stop(NoModelError(f"every model is out: {reasons}"))

    def _situation(self, trail: Trail, pool: Pool, failure: Failure, *, usable: bool) -> Situation:
        model = pool.spec.model
        if not trail.suspect:
            for tried in [tried for tried in trail.tries if self.pools[tried].ejected]:
                del trail.tries[tried]  # it was down: that was not the record's fault
        trail.spent |= over_tried(trail.tries, self._untried(trail, model))
        without = trail.spent | {model}
        other = choose(trail.models, trail.tries, without, self._opens_at, self.clock.now())
        return Situation(
            tries=trail.tries.get(model, 0),
            tries_in_all=sum(trail.tries.values()),
            same=0
            if trail.enlarged
            else trail.errors[failure.error_type],  # others were not asked for so much
            elsewhere=_ELSEWHERE[type(other)],
            usable=usable and model not in trail.spent,
            affordable=pool.retries.affordable,
            pause_s=pool.pause_s,
            stopping=self.halt.stopping,
            own=self._own(trail, pool),
            repaired=model in trail.repaired,
            doubtful=not trail.suspect and (trail.late < MAX_TRIES_PER_MODEL or not pool.proven),
        )

    def _untried(self, trail: Trail, model: str) -> int:
        """How many healthy models of the route the record has not come to yet, `model` being the one it is at."""
        left = set(trail.models) - trail.spent - trail.tries.keys() - {model}
        return sum(not (self.pools[other].ejected or self.pools[other].disabled) for other in left)

    def _follow(self, trail: Trail, pool: Pool, failure: Failure, verdict: Action) -> None:
        """Set the record on the way of its verdict."""
        model = pool.spec.model
        trail.stay, trail.repairing = None, False
        trail.request = trail.record.request
        if verdict is Action.GIVE_UP:
            self._forgive(trail)
        elif verdict is Action.RETRY:
            trail.stay, trail.affordable = model, pool.retries.affordable
            tried = trail.tries.get(model, 0)
            if tried and (tried >= MAX_TRIES_PER_MODEL or sum(trail.tries.values()) >= MAX_TRIES_PER_RECORD):
                trail.late += 1
                trail.tries[model] = tried - 1  # it may have been down: this one does not count
                trail.affordable = False
            if repairable(failure) and trail.form is not None:
                self._send_back(trail, model, failure)
                return
            pool.retries.spend()
            if failure.error_type is ErrorType.OUTPUT_TRUNCATED and trail.request.max_output_tokens:
                trail.request = trail.request.with_room(LARGER * trail.request.max_output_tokens)
        elif last_word(failure):
            trail.spent |= {model}
        if trail.suspicion is not None and trail.suspicion.exhausted(model):
            trail.spent |= {model}

    def _send_back(self, trail: Trail, model: str, failure: Failure) -> None:
        """Have the model mend its answer."""
        assert trail.form is not None, "only an answer that must have a form has not the form"
        trail.request = trail.form.repair(trail.record.request, failure)
        trail.repairing = True
        trail.repaired |= {model}

    def _delay(self, trail: Trail) -> float:
        """How long a record waits before the same model gets it again, seconds."""
        failure = trail.failure
        if failure is not None and (trail.repairing or not trail.counts(failure)):
            return 0.0
        wish_s = min(failure.retry_after_s or 0.0, CAP_S) if failure else None
        if not trail.affordable:
            return max(longest_backoff(self.clock.random), wish_s or 0.0)
        return backoff(sum(trail.tries.values()), self.clock.random, wish_s)
