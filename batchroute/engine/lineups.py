"""How the models of a route stand when a record sets out, and in which order it tries them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from batchroute.core.records import Fault
from batchroute.core.requests import Request
from batchroute.engine.pools import Pool
from batchroute.routing.estimates import sent_tokens
from batchroute.routing.fits import affordable, output_tokens
from batchroute.routing.strategies import Order, Standing, Strategy


@dataclass(frozen=True, kw_only=True, slots=True)
class Lineup:
    """The choices of one route. `max_cost` is what a record may be expected to cost, picodollars."""

    order: Order
    pools: Mapping[str, Pool]
    max_cost: int | None = None
    _begun: Counter[str] = field(default_factory=Counter)

    def of(
        self, models: Sequence[str], request: Request, random: Random, prefix: int | None = None
    ) -> tuple[str, ...] | Fault:
        """The models that the record tries, the first choice first; or that all of them are too dear. `prefix` is what
        it has in common with others.
        """
        costs = self._costs(models, request)
        if self.max_cost is not None:
            fitting = affordable(costs, self.max_cost)
            if isinstance(fitting, Fault):
                return fitting
            models = fitting
        ordered = self.order.of(
            models, lambda model: self._standing(model, costs.get(model, 0)), random, prefix
        )
        self._begun[ordered[0]] += 1
        return ordered

    def _costs(self, models: Sequence[str], request: Request) -> dict[str, int]:
        """What the record is expected to cost at each model, picodollars, where that is looked at."""
        if self.max_cost is None and self.order.strategy is not Strategy.CHEAPEST:
            return {}
        costs: dict[str, int] = {}
        for model in models:
            pool = self.pools[model]
            if pool.spec.rates is not None:
                asked = pool.asked(request)
                sent = sent_tokens(asked) if pool.estimator is None else pool.estimator.input_tokens(asked)
                costs[model] = pool.spec.rates.expected(sent, output_tokens(asked))
        return costs

    def _standing(self, model: str, cost: int) -> Standing:
        pool = self.pools[model]
        opens_at = pool.opens_at()
        return Standing(
            model=model,
            cost=cost,
            load=pool.load,
            begun=self._begun[model],
            p50_s=None if pool.median is None else pool.median.seconds,
            slots=pool.spec.concurrency,
            down=opens_at is None or opens_at > pool.clock.now(),
        )
