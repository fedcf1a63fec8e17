"""What records themselves say of the models that are to answer them: a model, an auto name, a profile."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from batchroute.core.records import Fault
from batchroute.job.auto_names import AutoName
from batchroute.job.jobs import Job, Route
from batchroute.job.profiles import PROFILES
from batchroute.routing.messages import model_of_body
from batchroute.routing.rankings import Merit, ranked
from batchroute.routing.routes import RouteRule
from batchroute.routing.strategies import Groups, Strategy, groups_of

MODEL_UNKNOWN: Final = "model_unknown"
PROFILE_UNKNOWN: Final = "profile_unknown"
_AUTO: Final = AutoName.AUTO.value
_SHOWN: Final = 60
_BY_TASK: Final = frozenset({AutoName.BEST.value, AutoName.FREE.value})


class Wish(NamedTuple):
    """What a record asks for beside its route; empty where that makes no difference."""

    route: str
    profile: str = ""
    name: str = _AUTO
    """A declared model or an auto name."""
    task: str = ""

    @property
    def key(self) -> str:
        """The wish as one word of words that hold no blanks, save the task, which comes last."""
        return " ".join(self)


class Wishes:
    """What routes become by the wishes of records. Each is made once; a record costs a few look-ups."""

    def __init__(
        self, job: Job, merits: Sequence[Merit], rule: Callable[[str, Route, str], RouteRule]
    ) -> None:
        """`rule` makes the rule of a route, given its name, itself and the key of the wish."""
        self._models = frozenset(job.models)
        self._usual: str = job.profile
        self._profile_column, self._model_column = job.input.profile, job.input.model
        self._body = job.prompt.body if job.asks_by_body else None
        self._profiled = frozenset(name for name, route in job.routes.items() if route.profiled)
        self._tasks = frozenset(task for each in merits for task in each.strengths)
        wished = dict(_wished(job, merits, self._tasks))
        self._rules = {wish: rule(wish.route, route, wish.key) for wish, route in wished.items()}
        self.routes = {wish.key: route for wish, route in wished.items()}
        """What routes become, by the key of the wish."""
        self._names = _names(job, {_AUTO, *(wish.name for wish in wished)})

    @property
    def rules(self) -> tuple[RouteRule, ...]:
        """All that rules can become."""
        return tuple(self._rules.values())

    def of(self, rule: RouteRule, task: str | None, fields: Mapping[str, Any]) -> RouteRule | Fault:
        """What becomes of the rule by what the record says, or that it says what there is not."""
        profile = self._profile(fields)
        if isinstance(profile, Fault):
            return profile
        name = self._name(fields)
        if isinstance(name, Fault):
            return name
        return self._rules.get(self._wish(rule.name, profile, name, task), rule)

    def _wish(self, route: str, profile: str, name: str, task: str | None) -> Wish:
        if name == _AUTO or name in self._models:
            return Wish(route, profile if route in self._profiled else "", name)
        by_task = name in _BY_TASK and task in self._tasks
        return Wish(route, "", name, task if by_task and task else "")

    def _profile(self, fields: Mapping[str, Any]) -> str | Fault:
        column = self._profile_column
        said = None if column is None else _said(fields.get(column))
        if said is None or said in PROFILES:
            return said or self._usual
        return Fault(
            PROFILE_UNKNOWN,
            f"the field {column!r} says {said[:_SHOWN]!r}, which is none of {', '.join(PROFILES)}",
        )

    def _name(self, fields: Mapping[str, Any]) -> str | Fault:
        column = self._model_column
        if column is None:
            return _AUTO
        value = fields.get(column) if self._body is None else model_of_body(fields, self._body)
        said = _said(value)
        if said is None:
            return _AUTO
        found = self._names.get(said)
        return self._unknown(said) if found is None else found

    def _unknown(self, said: str) -> Fault:
        lacking = ": no declared model is free" if said == AutoName.FREE else ""
        known = ", ".join(dict.fromkeys(self._names.values()))
        return Fault(MODEL_UNKNOWN, f"no model is named {said[:_SHOWN]!r}{lacking}. There are {known}")


def _said(value: object) -> str | None:
    """What a field says; None where it says nothing."""
    return (value if isinstance(value, str) else "" if value is None else str(value)).strip() or None


def _names(job: Job, wished: set[str]) -> dict[str, str]:
    """What may be said, and the model or auto name that is meant: a model's key, or its name at its provider."""
    ours = {name: name for name in (*job.models, *(name.value for name in AutoName if name in wished))}
    theirs = {job.provider_model(model): model for model in reversed(job.models)}
    return {**ours, **{name: model for name, model in theirs.items() if name not in ours}}


def _wished(job: Job, merits: Sequence[Merit], tasks: frozenset[str]) -> Iterator[tuple[Wish, Route]]:
    """Every wish that changes a route, and what the route becomes."""
    names = [] if job.input.model is None else list(job.models)
    for name, route in job.routes.items():
        for profile, chosen in _by_profile(job, route).items():
            if profile not in {"", job.profile}:
                yield Wish(name, profile), chosen
            for model in names:
                yield Wish(name, profile, model), _begun_with(chosen, model)
        if names:
            yield from _auto(name, route, merits, tasks)


def _by_profile(job: Job, route: Route) -> dict[str, Route]:
    """The route as it is in each profile that can be chosen."""
    if not route.profiled:
        return {"": route}
    profiles = PROFILES if job.input.profile else (job.profile,)
    return {profile: route.chosen(profile) for profile in profiles}


def _auto(
    name: str, route: Route, merits: Sequence[Merit], tasks: frozenset[str]
) -> Iterator[tuple[Wish, Route]]:
    for auto in AutoName:
        if auto is AutoName.AUTO:
            continue
        for task in ("", *sorted(tasks)) if auto in _BY_TASK else ("",):
            groups, strategy = ranked(auto, merits, task or None)
            if groups:
                yield Wish(name, "", auto.value, task), _listing(route, groups, strategy)


def _begun_with(route: Route, model: str) -> Route:
    """The route with this model first, and its others after it."""
    strategy = Strategy(route.strategy)
    groups = (tuple(each for each in group if each != model) for group in groups_of(route.listed, strategy))
    return _listing(route, ((model,), *(group for group in groups if group)), strategy)


def _listing(route: Route, groups: Groups, strategy: Strategy) -> Route:
    return route.model_copy(update={"written": groups, "strategy": strategy.value})
