"""What a ledger itself knows to offer: its models at the prices it was booked at, and scenarios made of them."""

from collections.abc import Iterable, Mapping
from decimal import Decimal

import polars as pl

from batchroute.core.errors import JobError
from batchroute.core.money import Price, Rates
from batchroute.routing.scenarios import Offer, Path, Scenario

_PRICES = ("price_input", "price_output", "price_cached", "price_cache_write")


def offers_of(ledger: pl.LazyFrame) -> dict[str, Offer]:
    """The models that a ledger has seen, each with the price that it was booked at last."""
    latest = (
        ledger.filter(pl.col("model").is_not_null())
        .group_by("model")
        .agg(pl.struct(_PRICES).sort_by("started_at").last().alias("prices"))
        .sort("model")
        .collect()
    )
    return {model: Offer(model=model, rates=_rates(**prices)) for model, prices in latest.iter_rows()}


def rerouted(offers: Mapping[str, Offer], routes: Iterable[str], moved: Mapping[str, str]) -> Scenario:
    """The routes that a ledger knows as they were, but for those in `moved`, whose records all go to one model.

    Raises JobError for a route or a model that the ledger does not know.
    """
    known = tuple(routes)
    for route, model in moved.items():
        if route not in known:
            raise JobError(f"the ledger knows no route {route!r}, only {', '.join(known)} [whatif_route]")
        if model not in offers:
            raise JobError(f"the ledger knows no model {model!r}, only {', '.join(offers)} [whatif_model]")
    paths = (
        Path(name=route, origin=route, groups=((moved[route],),) if route in moved else ()) for route in known
    )
    return Scenario(paths=tuple(paths), offers=offers)


def alone(offers: Mapping[str, Offer], model: str) -> Scenario:
    """Every record to one model."""
    return Scenario(paths=(Path(name="all", groups=((model,),)),), offers=offers)


def _rates(
    price_input: Decimal | None,
    price_output: Decimal | None,
    price_cached: Decimal | None,
    price_cache_write: Decimal | None,
) -> Rates | None:
    if price_input is None or price_output is None:
        return None
    return Rates.of(
        Price(input=price_input, output=price_output, cached=price_cached, cache_write=price_cache_write)
    )
