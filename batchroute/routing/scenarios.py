"""What finished work is reckoned anew under: routes with their models, and what those models cost."""

from collections.abc import Mapping

from msgspec import Struct

from batchroute.core.money import Rates
from batchroute.routing.strategies import Groups, Strategy


class Offer(Struct, frozen=True, kw_only=True):
    """One model: its rates (None: unknown), and the tokens that a request and its answer may have together."""

    model: str
    rates: Rates | None
    context: int | None = None


class Path(Struct, frozen=True, kw_only=True):
    """One route: what it matches (None: anything), its models in groups, and how one of a group is chosen.

    `max_cost` is picodollars a record. With `origin` it takes the records of that route of the ledger, whatever their
    labels. Without groups they stay with the models that answered them.
    """

    name: str
    tasks: frozenset[str] | None = None
    complexities: frozenset[str] | None = None
    origin: str | None = None
    groups: Groups
    strategy: Strategy = Strategy.ORDERED
    weights: Mapping[str, float] = {}
    max_cost: int | None = None

    @property
    def models(self) -> tuple[str, ...]:
        return tuple(model for group in self.groups for model in group)


class Scenario(Struct, frozen=True, kw_only=True):
    """The paths in order, the first that matches counts, and the offers of all their models."""

    paths: tuple[Path, ...]
    offers: Mapping[str, Offer]
