"""Asking a judge what an answer is worth. Nothing is lost over a judge: where it does not say, the answer counts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from batchroute.core.responses import Failure, Outcome, Response
from batchroute.engine.clock import Clock
from batchroute.engine.consequences import suffer
from batchroute.engine.halts import Halt
from batchroute.engine.pools import Pool, Slot
from batchroute.engine.purses import Purse
from batchroute.engine.requests import Requests
from batchroute.engine.trails import Exchange, Trail
from batchroute.job.checks import Judge
from batchroute.routing import judges
from batchroute.routing.verdicts import Effect, effect

UNJUDGED: Final = "unjudged"
"""The flag of an answer that was accepted as its judge did not say what it is worth."""
UNUSABLE: Final = "judgement_unusable"
"""The flag of a judge's reply that names no score."""
TRIES: Final = 2
PATIENCE_S: Final = 60.0
"""An answer waits no longer than this for its judge to take requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgements:
    """Asks the judges of a run, each through its own pool and within the budget."""

    pools: Mapping[str, Pool]
    requests: Requests
    halt: Halt
    clock: Clock
    purse: Purse

    async def score(self, trail: Trail, judge: Judge, answer: Response) -> float | None:
        """What the answer is worth, on the scale of the judge; None where that is not to be had."""
        pool = self.pools[judge.model]
        trail.asked = pool.asked(judges.asked(judge, trail.request, answer.content))
        patient_until = self.clock.now() + PATIENCE_S
        tries = 0
        while tries < TRIES and await self._open(pool, patient_until) and await self._reserved(trail, pool):
            try:
                outcome = await self._asked(trail, pool, judge)
            finally:
                self.purse.give_back(trail.record.route, trail.reserved)
            if isinstance(outcome, Response):
                return judges.score(judge, outcome.content)
            tries += isinstance(outcome, Failure)
        return None

    async def _open(self, pool: Pool, patient_until: float) -> bool:
        """Wait until the judge takes requests; False where that is too long."""
        opens_at = pool.opens_at()
        if opens_at is None or opens_at > patient_until:
            return False
        if opens_at > self.clock.now():
            await self.halt.sleep_until(opens_at)
        return not self.halt.stopping and self.clock.now() <= patient_until

    async def _reserved(self, trail: Trail, pool: Pool) -> bool:
        """Set aside what the judge may cost; False where that cannot be had."""
        trail.reserved = 0
        if not self.purse.bounded:
            return True
        most = self.requests.most(trail, pool) or 0
        spent = (trail.totals.cost or 0) + trail.settled
        if self.purse.affords(spent, most) and await self.purse.reserve(trail.record.route, most):
            trail.reserved = most
            return True
        return False

    async def _asked(self, trail: Trail, pool: Pool, judge: Judge) -> Outcome | None:
        """One request to the judge; None where its pool turned it away before it was sent."""
        async with pool.slot(trail.asked.estimated_tokens(), trail.record.seq) as slot:
            if not slot.granted or self.halt.stopping:
                return None
            if self.purse.bounded and trail.reserved < (self.requests.most(trail, pool) or 0):
                return None
            exchange = await self.requests.judge(trail, pool, slot)
            self._tell(pool, exchange)
            said = exchange.outcome
            if isinstance(said, Response) and judges.score(judge, said.content) is None:
                exchange.outcome = structs.replace(said, flag=said.flag or UNUSABLE)
            await self.requests.close(trail, pool, exchange, None)
            return exchange.outcome

    def _tell(self, pool: Pool, exchange: Exchange) -> None:
        """What the pool learns of its health: a judge fails as any model does."""
        slot: Slot = exchange.slot
        match effect(exchange.outcome):
            case Effect.NONE if exchange.outcome.http_status is not None:
                pool.succeed(slot)
            case Effect.FAILED:
                pool.fail(slot)
            case other if isinstance(exchange.outcome, Failure):
                suffer(self.pools, pool, slot, exchange.outcome, other)
