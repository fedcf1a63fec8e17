"""In which order a record tries the models of its route, where that is not the order in which they are written."""

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from random import Random
from typing import Final, TypeAlias

from msgspec import Struct

from batchroute.routing.affinities import preferred, within_load, within_share

Groups: TypeAlias = tuple[tuple[str, ...], ...]
"""The models of a route: those of a group stand for one another, and the groups are tried as written."""

FIRST_TRIES: Final = 8
"""How many records `fastest` begins with each model, before it goes by what was observed."""
EXPLORED: Final = 0.05
"""The share of records with which `fastest` asks a slower model, to notice that it has become faster."""

_NEVER_S: Final = float("inf")


class Strategy(StrEnum):
    """What decides which model of a group a record tries first."""

    ORDERED = "ordered"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    LEAST_BUSY = "least_busy"
    WEIGHTED = "weighted"


_BALANCED: Final = frozenset({Strategy.LEAST_BUSY, Strategy.ORDERED})
"""What balances a group: the latter where nothing else is said."""


class Standing(Struct, frozen=True, kw_only=True):
    """How a model stands when a record sets out."""

    model: str
    cost: int = 0
    """What it is expected to cost this record, picodollars."""
    load: float = 0.0
    """Requests out and records waiting, as a share of its slots."""
    begun: int = 0
    """Records of the route that have begun with it."""
    p50_s: float | None = None
    """What half of its latest answers took at most; None before the first."""
    slots: int = 1
    down: bool = False
    """Whether it takes no record for the time being."""


class Order(Struct, frozen=True, kw_only=True):
    """How a route orders its models. `weights` are those of `weighted`: every model of a choice has one."""

    groups: Groups
    strategy: Strategy
    weights: dict[str, float] = {}

    def of(
        self,
        models: Sequence[str],
        standing: Callable[[str], Standing],
        random: Random,
        prefix: int | None = None,
    ) -> tuple[str, ...]:
        """These models of the route, the first choice first. `prefix` is what the record has in common with others."""
        ordered: list[str] = []
        for group in self.groups:
            present = [model for model in group if model in models]
            if len(present) > 1:
                standings = [standing(model) for model in present]
                present = self._arranged(standings, random)
                if prefix is not None:
                    present = self._gathered(present, standings, prefix)
            ordered += present
        return tuple(ordered)

    def _gathered(self, arranged: list[str], standings: list[Standing], prefix: int) -> list[str]:
        """The same models with that of the prefix first, where they are equal to the strategy."""
        if self.strategy is Strategy.WEIGHTED:
            begun = {each.model: each.begun for each in standings}
            return preferred(arranged, prefix, self.weights, within_share(begun, self.weights))
        if self.strategy in _BALANCED:
            slots = {each.model: each.slots for each in standings}
            loads = {each.model: each.load for each in standings if not each.down}
            return preferred(arranged, prefix, slots, within_load(loads))
        return arranged

    def _arranged(self, standings: list[Standing], random: Random) -> list[str]:
        match self.strategy:
            case Strategy.CHEAPEST:
                found = sorted(standings, key=lambda each: each.cost)
            case Strategy.FASTEST:
                found = _fastest(standings, random)
            case Strategy.WEIGHTED:
                found = _drawn(standings, self.weights, random)
            case Strategy.LEAST_BUSY | Strategy.ORDERED:  # a group is balanced unless something else is said
                found = sorted(standings, key=_business)
        return [each.model for each in found]


def groups_of(listed: Sequence[str | tuple[str, ...]], strategy: Strategy) -> Groups:
    """What a route's list means: models that are written as one list are a group; where none are, a strategy chooses
    among all of them.
    """
    if strategy is not Strategy.ORDERED and all(isinstance(each, str) for each in listed):
        return (tuple(each for each in listed if isinstance(each, str)),)
    return tuple((each,) if isinstance(each, str) else each for each in listed)


def _business(standing: Standing) -> tuple[float, int]:
    return standing.load, standing.begun


def _fastest(standings: list[Standing], random: Random) -> list[Standing]:
    """By the observed median, after each model was begun with a few times, and now and then another one first."""
    by_speed = sorted(
        standings, key=lambda each: (_NEVER_S if each.p50_s is None else each.p50_s, *_business(each))
    )
    first = min(standings, key=lambda each: each.begun)
    if first.begun >= FIRST_TRIES:
        first = random.choice(by_speed[1:]) if random.random() < EXPLORED else by_speed[0]
    return [first, *(each for each in by_speed if each is not first)]


def _drawn(standings: list[Standing], weights: Mapping[str, float], random: Random) -> list[Standing]:
    """Drawn one after the other, each with a chance in proportion to its weight among those that are left.

    The first to arrive of exponential waits at these rates has just that chance, and so has the next one.
    """
    waits = [random.expovariate(weights[each.model]) for each in standings]
    return [each for _, each in sorted(zip(waits, standings, strict=True), key=lambda pair: pair[0])]
