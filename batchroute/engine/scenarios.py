"""A job as a scenario: its routes and strategies, its models and what they cost."""

import datetime as dt

from batchroute.core.money import Rates, picodollars
from batchroute.engine.openings import model_context, model_price, routed
from batchroute.job.jobs import Job
from batchroute.routing.scenarios import Offer, Path, Scenario
from batchroute.routing.strategies import Strategy, groups_of


def scenario_of(job: Job, on: dt.date) -> Scenario:
    """The routes of a job, at the prices of that day (UTC)."""
    return Scenario(
        paths=tuple(_path(name, job) for name in job.routes),
        offers={model: _offer(model, job, on) for model in routed(job)},
    )


def _path(name: str, job: Job) -> Path:
    route = job.routes[name]
    strategy = Strategy(route.strategy)
    return Path(
        name=name,
        tasks=None if route.when.task is None else frozenset(route.when.task),
        complexities=None if route.when.complexity is None else frozenset(route.when.complexity),
        groups=groups_of(route.listed, strategy),
        strategy=strategy,
        weights=route.weights,
        max_cost=None if route.max_cost is None else picodollars(route.max_cost),
    )


def _offer(model: str, job: Job, on: dt.date) -> Offer:
    price = model_price(job, model, on)
    return Offer(
        model=model, rates=None if price is None else Rates.of(price), context=model_context(job, model)
    )
