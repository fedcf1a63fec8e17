"""The live side of a model: its slots, its pace, its pauses and its health."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Self

from msgspec import Struct

from batchroute.core.money import Rates
from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome
from batchroute.engine.allowances import Allowance, Reservation
from batchroute.engine.clock import Clock
from batchroute.engine.hedges import HedgeBudget
from batchroute.engine.network import UNREACHED
from batchroute.engine.pacing import Pacer
from batchroute.providers.provider import Provider
from batchroute.routing.adapters import Adapter
from batchroute.routing.estimates import Estimator
from batchroute.routing.health import Breaker, BreakerPolicy, State
from batchroute.routing.medians import Median
from batchroute.routing.patience import Patience
from batchroute.routing.ramps import Ramp
from batchroute.routing.refusals import Refusals
from batchroute.routing.retries import RetryBudget
from batchroute.routing.verdicts import WORTH_WAITING_S, struck_out

LONGEST_PAUSE_S = 60.0
LONG_REFUSED_S = 2 * WORTH_WAITING_S
"""How long a model is left alone at least that has only refused for longer than it is worth waiting."""
PAUSE_OF_OURS_S = {ErrorType.LOCAL_RESOURCE: 1.0}
OUTAGE_OF_OURS_S = 5.0
"""How long every model is left alone when the fault is on our side."""
LONGEST_TRIAL_S = 10.0
"""How long a suspect model is given by the requests that are out."""

UNUSUAL = 1.5
"""How many times the 99th percentile an answer may take that is still waited for before a deadline."""

_TOO_MUCH = frozenset(
    {
        ErrorType.RATE_LIMITED,
        ErrorType.SLOW_DOWN,
        ErrorType.TIER_UNAVAILABLE,
        ErrorType.LOCAL_RESOURCE,
    }
)
"""Failures that say that fewer requests at once would do better."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PoolSpec:
    """What is declared of a model: names, limits (requests and tokens per minute), timeout in seconds, price."""

    model: str
    provider: str
    request_model: str
    concurrency: int
    rpm: int | None
    tpm: int | None
    timeout_s: float
    rates: Rates | None
    hedged: bool = False
    adapter: Adapter | None = None
    """What makes of a record's request the one that is sent to it; None where that is the same."""
    context: int | None = None
    """Tokens that a request and its answer may have together, if that is known."""


class PoolStatistics(Struct, frozen=True, kw_only=True):
    """How a pool stands: requests out and how many may be, records waiting for a slot, attempts ended and failed, state."""

    model: str
    in_flight: int
    limit: int
    waiting: int
    attempts: int
    errors: int
    state: str
    paused_s: float
    reason: str | None
    """The latest failure, or why the model is out for the rest of the run."""


class Slot:
    """Permission for one request. `granted` is False when the pool turned the record away instead."""

    # What most slots never change stands in the class.
    reservation: Reservation | None = None
    granted = False
    probe = False
    borne = False
    """Whether it was refused as one in many is, which says nothing of the others."""
    queued_s = 0.0
    number = 0
    """How many requests the pool had started before this one."""
    _future: asyncio.Future[bool] | None = None

    def __init__(self, pool: "Pool", tokens: int, place: int = 0) -> None:
        self._pool, self.tokens, self.place = pool, tokens, place

    async def __aenter__(self) -> Self:
        pool = self._pool
        if not pool.take(self):
            asked = pool.clock.now()
            self._future = asyncio.get_running_loop().create_future()
            pool.queue(self)
            try:
                await self._future
            except asyncio.CancelledError:
                pool.leave_queue(self)
                raise
            self.queued_s = pool.clock.now() - asked
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.granted:
            self._pool.give_back(self)

    def wake(self) -> None:
        """Let the waiting record go on, granted or turned away."""
        if self._future is not None and not self._future.done():
            self._future.set_result(True)


class Pool:
    """What one provider limits together: an account, an endpoint and a model.

    The whole state is who is out, who waits, and how much may start: `_grant` alone starts requests, and it
    runs after everything that may have opened the way.
    """

    def __init__(self, spec: PoolSpec, provider: Provider, clock: Clock, changed: Callable[[], None]) -> None:
        self.spec = spec
        self.provider = provider
        self.clock = clock
        self._changed = changed
        self.in_flight = 0
        """Requests that are out."""
        self._waiting: list[tuple[int, int, Slot]] = []
        self._came = itertools.count()
        self._pacer = Pacer(spec.rpm, clock.now) if spec.rpm else None
        self._permits = 0
        self._kept_permit = False
        self._hungry = asyncio.Event()
        self._allowance = Allowance(spec.tpm, clock.now())
        self._unhindered = False
        """Whether neither a limit nor a pause may hold up a start, as far as `_reconsider` has seen."""
        self._ramp = Ramp(spec.concurrency, clock.now())
        self._refusals = Refusals()
        self._patience = Patience(spec.timeout_s)
        self.median: Median | None = None
        """How long answers take, where somebody wants to know."""
        self.estimator = Estimator() if spec.tpm else None
        """How many tokens requests have, where more than a guess is needed."""
        self.started = 0
        """Requests so far."""
        self.retries = RetryBudget()
        self.hedges = HedgeBudget()
        self._paused_until = 0.0
        self._pauses_in_row = 0
        self._refused_since: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._trial: asyncio.TimerHandle | None = None
        self._breaker = Breaker(BreakerPolicy(), clock.random)
        self.answered = 0
        """How many requests had been started with the latest of those that were answered."""
        self._attempts = 0
        self._errors = 0
        self._last_failure: str | None = None
        self._in_row = (ErrorType.UNCLASSIFIED, 0)
        self._proven = False
        self.dearness = 1.0
        """How many times their upper bound requests were found to cost."""
        self._unreached = False
        self._reconsider()

    def __repr__(self) -> str:
        return f"<Pool {self.statistics()}>"

    # What a record asks

    def asked(self, request: Request) -> Request:
        """The request as it is sent to this model."""
        adapter = self.spec.adapter
        return request if adapter is None else adapter.adapt(request)

    def estimated(self, request: Request) -> int:
        """About how many tokens a request takes, input and output, for pacing."""
        return request.estimated_tokens() if self.estimator is None else self.estimator.all_tokens(request)

    def slot(self, estimated_tokens: int, place: int = 0) -> Slot:
        """`async with pool.slot(tokens) as slot:` waits for a slot and a permit.

        First come, first served among those of one `place`, the lower one first: whoever comes back does not wait
        behind those who came later.
        """
        return Slot(self, estimated_tokens, place)

    def send(self, slot: Slot, request: Request, timeout_s: float) -> Awaitable[Outcome]:  # noqa: ARG002  of a bundle
        """Send what is asked of this model on a slot that was granted."""
        return self.provider.send(request, self.spec.request_model, timeout_s=timeout_s)

    def opens_at(self) -> float | None:
        """When a record may count on this model: now, when its cooldown ends, or never again (None).

        A probe that is out is waited for; its end wakes everyone who waits.
        """
        if self._unhindered and self._breaker.well:
            return 0.0
        if self._breaker.disabled is not None:
            return None
        now = self.clock.now()
        cools_until = self._breaker.cools_until
        if cools_until is None:
            closed_until = max(self._paused_until, self._allowance.told_opens_at(now))
            return closed_until if closed_until - now > WORTH_WAITING_S else 0.0
        if self._breaker.admits(now):
            return self._paused_until
        return cools_until if cools_until > now else now + self.spec.timeout_s

    @property
    def ejected(self) -> bool:
        """Whether the breaker is anything but closed."""
        return self._breaker.cools_until is not None

    @property
    def in_order(self) -> bool:
        """Whether it works on requests, however slowly: neither ejected nor paused, nor are all of them refused."""
        busy = self.in_flight > 0 or bool(self._waiting)
        return busy and not (self.ejected or self.disabled or self.pause_s or self._refused_since is not None)

    @property
    def proven(self) -> bool:
        """Whether the model has answered in this run."""
        return self._proven

    @property
    def failing(self) -> float:
        """The share of its latest requests that failed."""
        return self._breaker.failed_share(usual=self._errors / max(1, self._attempts))

    @property
    def crowded(self) -> bool:
        """Whether all slots are taken, and nothing else holds it up: who comes now can but wait."""
        return self.in_flight >= self.spec.concurrency and self._at_full_speed

    @property
    def busy(self) -> bool:
        """Whether nothing but the number of slots holds it up, and all but one are taken at least."""
        return self.in_flight + 1 >= self.spec.concurrency and self._at_full_speed

    @property
    def _at_full_speed(self) -> bool:
        return self._unhindered and self._breaker.well and self._ramp.limit == self.spec.concurrency

    @property
    def load(self) -> float:
        """Requests out and records waiting, as a share of the slots."""
        return (self.in_flight + len(self._waiting)) / self.spec.concurrency

    @property
    def disabled(self) -> str | None:
        """Why the model is out for the rest of the run, or None."""
        return self._breaker.disabled

    @property
    def pause_s(self) -> float:
        """Seconds until the pool's pause ends; 0 when it is not paused."""
        return max(0.0, self._paused_until - self.clock.now()) if self._paused_until else 0.0

    @property
    def usual_s(self) -> float:
        """How long an answer takes at most, as far as is known: as 99 of 100 do, or all so far, and some."""
        return min(self.spec.timeout_s, UNUSUAL * self._patience.usual_s)

    def timeout_s(self, *, hurried: bool) -> float:
        """How long an attempt may take: as declared, or `hurried`, as is usual for this model."""
        return self._patience.timeout_s if hurried else self.spec.timeout_s

    def hedge_after_s(self) -> float | None:
        """When a second request may be sent if the first has no answer, in seconds; None: not now."""
        return self._patience.slow_s if self.hedges.affordable else None

    def statistics(self) -> PoolStatistics:
        now = self.clock.now()
        state = self._breaker.state(now)
        paused = state is State.CLOSED and self._paused_until > now
        return PoolStatistics(
            model=self.spec.model,
            in_flight=self.in_flight,
            limit=self._ramp.limit,
            waiting=len(self._waiting),
            attempts=self._attempts,
            errors=self._errors,
            state="paused" if paused else state.value,
            paused_s=max(0.0, self._paused_until - now, (self._breaker.cools_until or 0.0) - now),
            reason=self._breaker.disabled or self._last_failure,
        )

    # What the pool does with slots

    def take(self, slot: Slot) -> bool:
        """Grant the slot at once if nothing stands in the way and nobody waits."""
        if self._waiting or not self._may_start():
            return False
        self._start(slot)
        return True

    def queue(self, slot: Slot) -> None:
        heapq.heappush(self._waiting, (slot.place, next(self._came), slot))
        self._grant()

    def leave_queue(self, slot: Slot) -> None:
        """Forget a cancelled waiter, or take back the slot that it was granted in the same moment."""
        if slot.granted:
            self.give_back(slot)
        else:
            self._waiting = [waiting for waiting in self._waiting if waiting[-1] is not slot]
            heapq.heapify(self._waiting)

    def give_back(self, slot: Slot) -> None:
        slot.granted = False
        self.in_flight -= 1
        if slot.probe:
            slot.probe = False
            self._breaker.abandon_probe()
            self._changed()
        if self.in_flight == 0:
            self._condemn()
        self._grant()

    def _grant(self) -> None:
        while self._waiting and self._may_start():
            slot = heapq.heappop(self._waiting)[-1]
            self._start(slot)
            slot.wake()
        if not self._waiting or (self._breaker.well and (self._unhindered or not self._allowance.limited)):
            return
        if (self.ejected or self.disabled or self._allowance.limited) and not self._worth_waiting():
            self.turn_away()

    def _worth_waiting(self) -> bool:
        if self.disabled:
            return False  # whoever comes now has waited for money while it went out
        now = self.clock.now()
        if self.ejected:
            return self._breaker.admits(now)
        return self._allowance.told_opens_at(now) - now <= WORTH_WAITING_S

    def _start(self, slot: Slot) -> None:
        slot.granted = True
        if not self._breaker.well:
            slot.probe = self._breaker.start()
        slot.number = self.started
        self.started += 1
        self.in_flight += 1
        if self._pacer is not None:
            self._permits -= 1
            if self._kept_permit:
                self._kept_permit = False
                self._pacer.late()
        slot.reservation = self._allowance.start(slot.tokens, self.clock.now())

    def _may_start(self) -> bool:
        if self.in_flight >= self._ramp.limit:
            return False
        if not self._breaker.well and not self._breaker.admits(self.clock.now()):
            return False
        return self._unhindered or (self._open_now() and self._permitted())

    def _reconsider(self) -> None:
        self._unhindered = not (self._pacer or self._paused_until or self._allowance.limited)

    def _open_now(self) -> bool:
        now = self.clock.now()
        opens_at = max(self._paused_until, self._allowance.opens_at(now))
        if opens_at <= now:
            self._paused_until = 0.0
            self._reconsider()
            return True
        self._grant_at(opens_at)
        return False

    def _permitted(self) -> bool:
        if self._pacer is None or self._permits:
            return True
        self._hungry.set()
        return False

    def _grant_at(self, when: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, self._grant)

    async def pace(self) -> None:
        """Fetch one permit at a time from the pacer while records wait for one, until cancelled."""
        if self._pacer is None:
            return
        while True:
            await self._hungry.wait()
            self._hungry.clear()
            await self._pacer.permit()
            self._permits += 1
            self._grant()
            self._kept_permit = self._permits > 0

    def turn_away(self) -> None:
        """Send every waiting record back to choose again."""
        turned, self._waiting = self._waiting, []
        for _, _, slot in sorted(turned):
            slot.wake()

    # What the pool learns

    def learn(self, slot: Slot, outcome: Outcome, latency_s: float, timeout_s: float) -> None:
        """Count an ended attempt, settle its tokens, and take in what it tells of the provider's limits."""
        self._attempts += 1
        if isinstance(outcome, Failure):
            self._errors += 1
            self._last_failure = outcome.message
            self._unreached = outcome.error_type in UNREACHED
            self._learn_of_load(slot, outcome.error_type, timeout_s)
            self._strike(outcome)
        else:
            if self._in_row[1] or not self._proven:
                self._in_row, self._proven = (ErrorType.UNCLASSIFIED, 0), True
            self._patience.answered(latency_s)
            self._allowance.tempo.answered(self.clock.now())
            if self.median is not None:
                self.median.note(latency_s)
        if slot.reservation is None:
            return
        if outcome.rate_limits is not None:
            self._allowance.hear(slot.reservation, outcome.rate_limits, self.clock.now() - latency_s)
            self._reconsider()
        if not self._unhindered:
            self._allowance.settle(slot.reservation, outcome)

    def dearer(self, times: float) -> None:
        """A request cost so many times what was set aside for it: the provider does not keep to the limit of output."""
        self.dearness *= times

    def outrun(self, latency_s: float) -> None:
        """Count a request that was cancelled after so long, as a second one like it was answered."""
        self._attempts += 1
        self._patience.answered(latency_s)

    def _strike(self, failure: Failure) -> None:
        if self.pause_s:
            return  # it was out together with the one that brought the pause
        latest, count = self._in_row
        self._in_row = (failure.error_type, count + 1 if failure.error_type is latest else 1)
        if struck_out(failure, self._in_row[1], proven=self._proven):
            self.disable(f"{self._in_row[1]} requests in a row failed alike: {failure.message}")

    def _learn_of_load(self, slot: Slot, error_type: ErrorType, timeout_s: float) -> None:
        if error_type is ErrorType.ATTEMPT_TIMEOUT:
            self._patience.expired(timeout_s)
            if self.median is not None:
                self.median.note(timeout_s)
            self._ramp.timed_out(slot.number, self.started)
        elif error_type in _TOO_MUCH:
            self._learn_of_refusal(slot, gently=error_type in {ErrorType.SLOW_DOWN, ErrorType.LOCAL_RESOURCE})

    def _learn_of_refusal(self, slot: Slot, *, gently: bool) -> None:
        """Fewer at once, or slower where one at a time is refused, unless neither is the reason."""
        slot.borne = self._refusals.refused(at_ceiling=self._ramp.at_ceiling) and not gently
        if gently:
            self._ramp.slow_down(slot.number, self.started)
        elif not (slot.borne or self.pause_s):
            now, bearable = self.clock.now(), self._refusals.bearable
            if self._ramp.limit == 1:
                helps = self._allowance.tempo.refused(now, bearable=bearable)
                self._reconsider()
            else:
                helps = self._ramp.refused(slot.number, self.started, now, bearable=bearable)
            if not helps:
                self._refusals.bear()

    def succeed(self, slot: Slot) -> None:
        """The model answered: it is healthy."""
        self._pauses_in_row = 0
        self._refused_since = None
        if slot.number >= self.answered:
            self.answered = slot.number + 1
        self._refusals.answered()
        self._ramp.answered(self.in_flight)
        self.retries.earn()
        if self.spec.hedged:
            self.hedges.earn()
        if self._trial is not None:
            self._trial.cancel()
            self._trial = None
        probe = slot.probe
        if probe:
            slot.probe = False
        if self._breaker.succeed(self.clock.now(), probe=probe):
            self._ramp.restart()
            self._changed()

    def fail(self, slot: Slot) -> None:
        """The model failed; this may eject it."""
        probe, slot.probe = slot.probe, False
        if self._breaker.fail(self.clock.now(), probe=probe):
            self.turn_away()
            self._changed()
        elif self._breaker.suspect and self._trial is None:
            self._trial = asyncio.get_running_loop().call_later(LONGEST_TRIAL_S, self._condemn)

    def forgive(self) -> None:
        """One of the failures was the fault of its record."""
        self._breaker.forgive()
        self._grant()

    def _condemn(self) -> None:
        """Eject a model that is still suspect: nothing is out any more, or what is out takes too long."""
        self._trial = None
        if self._breaker.condemn(self.clock.now()):
            self.turn_away()
            self._changed()

    def refused(self, slot: Slot, wish_s: float | None) -> None:
        """The model refused this request for now: pause, unless that says nothing of the others."""
        if wish_s is None and (slot.borne or not self._refusals.alarming):
            return
        now = self.clock.now()
        if self._refused_since is None:
            self._refused_since = now
        if (opens_at := self._allowance.told_opens_at(now)) > now:
            wish_s = max(wish_s or 0.0, opens_at - now)  # or the next one is refused, too
        if now - self._refused_since > WORTH_WAITING_S:
            wish_s = max(wish_s or 0.0, LONG_REFUSED_S, self._own_pause_s())
        self.pause(wish_s)

    def pause(self, wish_s: float | None) -> None:
        """Start nothing for the time the provider asks for, or a growing one of our own, plus jitter."""
        if not self.pause_s:  # requests that were out together say the same thing
            self._pauses_in_row += 1
        now = self.clock.now()
        seconds = self._own_pause_s() if wish_s is None else wish_s
        jitter = self.clock.random.random() * max(0.1 * seconds, 0.05)
        self._paused_until = max(self._paused_until, now + seconds + jitter)
        self._reconsider()
        if self.pause_s > WORTH_WAITING_S:
            self._ramp.restart()
            self.turn_away()

    def _own_pause_s(self) -> float:
        return min(LONGEST_PAUSE_S, 2.0 ** min(max(self._pauses_in_row, 1) - 1, 6))

    def acquit(self, seconds: float) -> None:
        """Leave the model alone for so long, and hold against it nothing of what failed just now.

        One request then tries whether it is over. A model that was ejected because it could not be reached, when
        nothing could be, is no longer.
        """
        self._breaker.acquit(reinstated=self._unreached)
        self.pause(seconds)
        self._ramp.restart(1)

    def disable(self, reason: str) -> None:
        """Leave the model out for the rest of the run."""
        if self._breaker.disabled is None:
            self._breaker.disable(reason)
            self.turn_away()
            self._changed()
