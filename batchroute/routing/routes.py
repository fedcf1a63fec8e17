"""Which route a record takes, and which of its models is tried next."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from msgspec import Struct

from batchroute.core.records import Fault, Labels
from batchroute.core.requests import Request
from batchroute.routing.fingerprints import Tried
from batchroute.routing.fits import Fitting
from batchroute.routing.strategies import Groups
from batchroute.routing.verdicts import MAX_TRIES_PER_MODEL, MAX_TRIES_PER_RECORD


class RouteRule(Struct, frozen=True, kw_only=True):
    """One declared route: what it matches (None: anything) and its models in order."""

    name: str
    tasks: frozenset[str] | None
    complexities: frozenset[str] | None
    models: tuple[str, ...]
    fitting: Fitting | None = None
    """What its models can take, where that is not everything."""
    spread: bool = False
    """Whether many records are expected to begin with another model than the first: what models take was declared."""
    groups: Groups | None = None
    """The models that stand for one another, where any do."""
    variant: str = ""
    """What records have made of the declared route by their wishes; empty: it is as declared."""
    form: str = ""
    """What its answers have to be, by their form and by its checks, as a fingerprint takes it; empty for any text."""

    def matches(self, labels: Labels) -> bool:
        return (self.tasks is None or labels.task in self.tasks) and (
            self.complexities is None or labels.complexity in self.complexities
        )

    def fitted(self, request: Request, fields: Mapping[str, Any]) -> tuple[str, ...] | Fault:
        """The models that can take this record, in order, or no_model_fits."""
        return self.models if self.fitting is None else self.fitting.of(request, fields)

    def head(self, models: tuple[str, ...]) -> str:
        """The model in whose share of the window a record counts that these can take."""
        return models[0] if self.spread else self.models[0]

    def alternatives(self, models: tuple[str, ...]) -> tuple[str, ...]:
        """Of these models that can take a record, those one of which it tries first."""
        if self.groups is None:
            return models[:1]
        first = next((group for group in self.groups if models[0] in group), models[:1])
        return tuple(model for model in first if model in models)

    def tried(self, models: tuple[str, ...]) -> Tried:
        """These models as a fingerprint takes them: of those that stand for one another, the order is no matter."""
        if self.groups is None:
            return models
        present = (tuple(model for model in group if model in models) for group in self.groups)
        return tuple(group if len(group) > 1 else group[0] for group in present if group)


class Router:
    """The routes in order; the first that matches wins. The last one matches everything."""

    def __init__(self, rules: Sequence[RouteRule]) -> None:
        self.rules = tuple(rules)
        self._known: dict[tuple[str | None, str | None], RouteRule] = {}

    def route(self, labels: Labels) -> RouteRule:
        key = (labels.task, labels.complexity)
        rule = self._known.get(key)
        if rule is None:
            rule = self._known[key] = next(rule for rule in self.rules if rule.matches(labels))
        return rule


class Send(Struct, frozen=True):
    """Try this model now."""

    model: str


class Wait(Struct, frozen=True):
    """No model of the route can be tried before this time."""

    until: float


class Exhausted(Struct, frozen=True):
    """No model of the route is left for this record."""


Choice: TypeAlias = Send | Wait | Exhausted


def choose(
    models: Sequence[str],
    tries: Mapping[str, int],
    spent: frozenset[str],
    opens_at: Callable[[str], float | None],
    now: float,
) -> Choice:
    """The next model of the route: the least tried one that is open, in route order.

    `tries` counts this record's attempts by model, leaving out what is not its fault: attempts answered by
    a rate limit, and those on a model that was ejected since. `spent` are the models that cannot help this
    record, whatever their health. `opens_at` tells when a model takes requests, None for never again.
    """
    best: tuple[int, str] | None = None
    soonest: float | None = None
    for model in models:
        tried = tries.get(model, 0)
        if model in spent or tried >= MAX_TRIES_PER_MODEL or (at := opens_at(model)) is None:
            continue
        if at <= now:
            if not tried:
                return Send(model)
            if best is None or tried < best[0]:
                best = (tried, model)
        elif soonest is None or at < soonest:
            soonest = at
    if best is not None:
        return Send(best[1])
    return Exhausted() if soonest is None else Wait(soonest)


def over_tried(tries: Mapping[str, int], untried: int) -> frozenset[str]:
    """The models that a record has tried enough, so that one try is left for each that it has not come to yet."""
    left = MAX_TRIES_PER_RECORD - sum(tries.values())
    return frozenset(tries) if untried and left <= untried else frozenset()
