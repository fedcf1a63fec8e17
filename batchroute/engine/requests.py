"""One request: entered in the books before it is sent, sent, and entered again when it has ended."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from msgspec import Struct, structs

from batchroute.core.attempts import JUDGE, Attempt, CostBasis
from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response
from batchroute.core.results import Result, Status
from batchroute.engine import conclusions, entries
from batchroute.engine.caches import Cache
from batchroute.engine.clock import Clock
from batchroute.engine.commits import Commits
from batchroute.engine.conclusions import looks_back
from batchroute.engine.halts import Halt
from batchroute.engine.hedges import race
from batchroute.engine.network import Network
from batchroute.engine.pools import Pool, Slot
from batchroute.engine.purses import Purse
from batchroute.engine.trails import Exchange, Trail
from batchroute.job.last_resorts import LastResort
from batchroute.routing.verdicts import Action

AHEAD_OF_ALL = -1
"""The place of a second request in the queue: its record has waited long enough."""
OVER_RESERVATION = "usage_over_reservation"
_OUTRUN = Failure(
    error_type=ErrorType.CANCELLED_BY_RUN,
    message="cancelled, as a second request for the same record was answered first",
    sent=True,
)


class Sent(Struct):
    """A request that is out: its slot, its line of the ledger, and when it was sent."""

    slot: Slot
    attempt: Attempt
    request: Request
    at: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Requests:
    """Sends the requests of a run and keeps its books."""

    run_id: str
    network: Network
    commits: Commits
    halt: Halt
    clock: Clock
    purse: Purse
    blanks: dict[tuple[str, str], Attempt] = field(default_factory=dict)
    last_resorts: Mapping[str, LastResort] = field(default_factory=dict)
    """Of the routes that have one."""
    cache: Cache | None = None
    """Where answers are kept for other runs."""

    async def send(self, trail: Trail, pool: Pool, slot: Slot) -> Exchange:
        """Send what the record asks; with a hedge, twice when the answer is slow."""
        sent = self._opened(trail, pool, slot, trail.totals.attempts + 1)
        await self.commits.started(trail.record.seq, sent.attempt)
        sent.at = self.clock.now()
        hurried = ErrorType.ATTEMPT_TIMEOUT not in trail.errors and not slot.probe
        timeout_s = pool.timeout_s(hurried=hurried)
        if pool.spec.hedged and hurried and (sent.attempt.cost is not None or pool.spec.rates is None):
            after_s = pool.hedge_after_s()
            if after_s is not None:
                return await self._race(trail, pool, sent, timeout_s, after_s)
        outcome = await pool.send(slot, trail.asked, timeout_s)
        return self._ended(pool, sent, outcome, timeout_s)

    async def judge(self, trail: Trail, pool: Pool, slot: Slot) -> Exchange:
        """Ask a judge of the answer that the record waits with: that one is entered when it is judged."""
        sent = self._opened(trail, pool, slot, trail.totals.attempts + 2)
        sent.attempt = structs.replace(sent.attempt, purpose=JUDGE)
        await self.commits.started(trail.record.seq, sent.attempt)
        sent.at = self.clock.now()
        timeout_s = pool.timeout_s(hurried=not slot.probe)
        outcome = await pool.provider.send(trail.asked, pool.spec.request_model, timeout_s=timeout_s)
        return self._ended(pool, sent, outcome, timeout_s)

    def close(self, trail: Trail, pool: Pool, exchange: Exchange, verdict: Action | None) -> None:
        """Enter how the request ended, and the record's result if that ended it.

        Nobody waits for the commit: the slot's next request goes out only after one that holds this, too, save for an
        answer that a judge or a second request delays; until then it stands in the books as it was sent.
        """
        attempt = self._closed(pool, exchange, verdict)
        if attempt.cost is not None and exchange.attempt.cost and attempt.cost > exchange.attempt.cost:
            pool.dearer(attempt.cost / exchange.attempt.cost)
            attempt = structs.replace(attempt, flag=attempt.flag or OVER_RESERVATION)
        if pool.estimator is not None and attempt.usage is not None:
            pool.estimator.learn(exchange.request, attempt.usage.input_tokens)
        trail.totals = trail.totals.plus(attempt)
        result = self._result(trail, attempt, exchange.outcome, verdict)
        if verdict is Action.GIVE_UP and result is not None and result.status is not Status.FAILED:
            attempt = structs.replace(attempt, verdict=result.flag)
        self._enter(trail, attempt, result, exchange.outcome)
        if self.purse.bounded and attempt.cost:
            self.purse.spend(attempt.route, attempt.cost)
        if self.cache is None or verdict is not Action.ACCEPT or attempt.flag is not None:
            return  # one that something is odd about is not kept
        if isinstance(exchange.outcome, Response):
            self.cache.keep(attempt.route, pool.spec.model, exchange.request, exchange.outcome)

    async def look_back(self, trail: Trail) -> None:
        """Have what the cache has for a record that ends without an answer, where its route says so."""
        if self.cache is not None and looks_back(trail, self.last_resorts.get(trail.record.route)):
            trail.old = await self.cache.old_answer(trail.record)

    def give_up(self, trail: Trail) -> None:
        """End the record as a dead letter without a further request."""
        trail.result = self._concluded(trail)
        self.commits.finished(trail.record.seq, None, trail.result)

    def affords(self, trail: Trail, most: int) -> bool:
        """Whether the record may cost so much more."""
        return self.purse.affords(trail.totals.cost or 0, most)

    def patient(self, trail: Trail, until: float) -> bool:  # noqa: ARG002  others are not
        """Whether the record waits until then for a model."""
        return True

    def _enter(
        self,
        trail: Trail,
        attempt: Attempt,
        result: Result | None,
        outcome: Outcome,  # noqa: ARG002  for others
    ) -> None:
        trail.result = result
        if result is None:
            self.commits.ended(trail.record.seq, attempt)
        else:
            self.commits.finished(trail.record.seq, attempt, result)

    def _opened(self, trail: Trail, pool: Pool, slot: Slot, number: int) -> Sent:
        """A request as it is entered before it is sent: at its upper bound if nothing is ever heard of it."""
        record = trail.record
        attempt = structs.replace(
            self._blank(record.route, pool),
            record_id=record.record_id,
            attempt=number,
            task=record.labels.task,
            complexity=record.labels.complexity,
            started_at=self.clock.wall(),
            queued_s=slot.queued_s,
            model_state="half_open" if slot.probe else "closed",
            cost=self.most(trail, pool),
        )
        rates = entries.asked_rates(trail.asked, pool.spec.rates)
        if rates is not None and rates is not pool.spec.rates:
            attempt = entries.priced(attempt, rates)
        return Sent(slot, attempt, trail.asked, self.clock.now())

    def most(self, trail: Trail, pool: Pool) -> int | None:
        """The most that this request can cost, picodollars; None where it has no bound or no price."""
        bound = entries.upper_bound(trail.asked, entries.asked_rates(trail.asked, pool.spec.rates))
        return bound if bound is None or pool.dearness == 1 else int(bound * pool.dearness) + 1

    def cost(self, pool: Pool, exchange: Exchange) -> int | None:
        """What a request that has ended will be entered with, picodollars."""
        return self._closed(pool, exchange, None).cost

    def _closed(self, pool: Pool, exchange: Exchange, verdict: Action | None) -> Attempt:
        rates = entries.asked_rates(exchange.request, pool.spec.rates)
        return entries.ended(exchange.attempt, exchange.outcome, verdict, exchange.latency_s, rates)

    def _blank(self, route: str, pool: Pool) -> Attempt:
        """A copy of it is three times faster than a new attempt."""
        key = (route, pool.spec.model)
        blank = self.blanks.get(key)
        if blank is None:
            blank = self.blanks[key] = entries.blank_attempt(self.run_id, route, pool.spec)
        return blank

    def _ended(self, pool: Pool, sent: Sent, outcome: Outcome, timeout_s: float) -> Exchange:
        """Learn from how a request ended."""
        latency_s = self.clock.now() - sent.at
        if self.network.doubtful or isinstance(outcome, Failure):
            outcome = self.network.judge(pool.spec.provider, outcome)
        pool.learn(sent.slot, outcome, latency_s, timeout_s)
        return Exchange(sent.slot, sent.attempt, sent.request, outcome, latency_s)

    def _result(
        self, trail: Trail, attempt: Attempt, outcome: Outcome, verdict: Action | None
    ) -> Result | None:
        if verdict is Action.ACCEPT and isinstance(outcome, Response):
            told = attempt.cost if attempt.cost_basis is CostBasis.USAGE else None
            return entries.answered(trail.record, attempt, outcome, trail.in_all, self.clock.wall(), told)
        return self._concluded(trail) if verdict is Action.GIVE_UP else None

    def _concluded(self, trail: Trail) -> Result:
        last_resort = self.last_resorts.get(trail.record.route)
        return conclusions.concluded(trail, self.run_id, self.clock.wall(), last_resort)

    async def _race(
        self, trail: Trail, pool: Pool, first: Sent, timeout_s: float, after_s: float
    ) -> Exchange:
        """The same request once more when the answer is slow; the one that counts, and the other one with it."""
        sent = [first]
        model, request = pool.spec.request_model, trail.asked

        async def second() -> Outcome | None:
            async with pool.slot(pool.estimated(request), AHEAD_OF_ALL) as slot:
                if not slot.granted or self.halt.stopping:
                    return None
                if not self._take(trail, beside=first.attempt.cost or 0, most=self.most(trail, pool) or 0):
                    return None
                pool.hedges.spend()
                sent.append(self._opened(trail, pool, slot, first.attempt.attempt + 1))
                await asyncio.shield(
                    self.commits.started(trail.record.seq, sent[1].attempt)
                )  # others wait, too
                return await pool.provider.send(request, model, timeout_s=timeout_s)

        outcomes = await race(
            pool.provider.send(request, model, timeout_s=timeout_s),
            second,
            after_s=after_s,
            both_sent=lambda: len(sent) > 1,
        )
        answers = [number for number, outcome in enumerate(outcomes) if isinstance(outcome, Response)]
        best = answers[0] if answers else len(sent) - 1
        outrun = None
        for other in set(range(len(sent))) - {best}:
            outrun = self._outrun(pool, sent[other], outcomes[other], timeout_s)
        winner = outcomes[best]
        assert winner is not None, "only an answer cancels the other request"
        exchange = self._ended(pool, sent[best], winner, timeout_s)
        exchange.outrun = outrun
        if len(sent) > 1:
            exchange.reserved = sent[1].attempt.cost or 0
        return exchange

    def _take(self, trail: Trail, *, beside: int, most: int) -> bool:
        """Set aside what a second request may cost, if the record may cost that much beside the one that is out."""
        return self.affords(trail, beside + most) and self.purse.take(trail.record.route, most)

    def _outrun(self, pool: Pool, sent: Sent, outcome: Outcome | None, timeout_s: float) -> Exchange:
        """A request that another one has outrun, or that failed before that one ended."""
        if outcome is not None:
            return self._ended(pool, sent, outcome, timeout_s)
        pool.outrun(self.clock.now() - sent.at)
        return Exchange(sent.slot, sent.attempt, sent.request, _OUTRUN, self.clock.now() - sent.at)
