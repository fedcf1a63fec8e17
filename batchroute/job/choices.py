"""The models of a route as a job file lists them, and how one of them is chosen: types, and what does not fit."""

from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Discriminator, Field, Tag, WithJsonSchema

from batchroute.job.documents import Node
from batchroute.job.problems import KeyPath, Problem, nearest
from batchroute.job.spec import Listed, Text, as_written, distinct

StrategyName: TypeAlias = Literal["ordered", "cheapest", "fastest", "least_busy", "weighted"]
_CODE: Final = "job_strategy"


def _kind(element: Any) -> str:
    return "group" if isinstance(element, list | tuple) else "model"


def flat(listed: tuple[Any, ...]) -> tuple[str, ...]:
    """The models of a list with groups, each in its place."""
    return tuple(
        model for each in listed for model in (each if isinstance(each, tuple) else (each,)) if model
    )


def _distinct(listed: tuple[Any, ...]) -> tuple[Any, ...]:
    distinct(flat(listed))
    return listed


_Group: TypeAlias = Annotated[tuple[Text, ...], Listed, Field(min_length=1)]
ListedModels: TypeAlias = Annotated[
    tuple[
        Annotated[Annotated[Text, Tag("model")] | Annotated[_Group, Tag("group")], Discriminator(_kind)], ...
    ],
    Listed,
    Field(min_length=1),
    AfterValidator(_distinct),
]
"""Keys of `models`, or lists of keys, each a group whose models stand for one another."""

Weight: TypeAlias = Annotated[float, Field(gt=0, le=1_000_000)]

RecordUsd: TypeAlias = Annotated[
    Decimal,
    BeforeValidator(as_written),
    Field(gt=0, le=10_000, decimal_places=9),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 10_000}),
]
"""USD that a record may be expected to cost."""


def misfits(root: Node) -> Iterator[Problem]:
    """Weights that nothing looks at, that are missing, or that belong to no model of their route."""
    routes = root.child("routes")
    for name, route in (routes.entries() if routes else {}).items():
        path: KeyPath = ("routes", name)
        strategy, weights = route.child("strategy"), route.child("weights")
        weighted = strategy is not None and strategy.text() == "weighted"
        if weights is not None and not weighted:
            yield _problem(
                weights.key,
                (*path, "weights"),
                "is only looked at by one strategy",
                "Add strategy: weighted, or remove it",
            )
        elif weighted and strategy is not None:
            yield from _unweighted(route, path, strategy, weights)


def _unweighted(route: Node, path: KeyPath, strategy: Node, weights: Node | None) -> Iterator[Problem]:
    given = weights.entries() if weights is not None else {}
    models, chosen = _models(route)
    for model, node in given.items():
        if model not in models:
            yield _problem(
                node.key,
                (*path, "weights", model),
                f"is the weight of no model of this route{nearest(model, models)}",
                f"Add {model} to models, or remove it",
            )
    missing = [model for model in chosen if model not in given]
    if missing:
        place = strategy if weights is None else weights
        yield _problem(
            place.mark,
            (*path, "strategy" if weights is None else "weights"),
            f"has no weight for {' and '.join(missing)}",
            f"Write weights: {{{', '.join(f'{model}: 1' for model in chosen)}}}",
        )


def _models(route: Node) -> tuple[list[str], list[str]]:
    """All models that the route lists, for whatever profile, and those among which a strategy chooses."""
    every: dict[str, None] = {}
    chosen: dict[str, None] = {}
    for _, listed in lists(route):
        found, among = _listed(listed.elements())
        every |= dict.fromkeys(found)
        chosen |= dict.fromkeys(among)
    return list(every), list(chosen)


def lists(route: Node) -> Iterator[tuple[KeyPath, Node]]:
    """The lists of models of a route, one or one for each profile, with where they stand in it."""
    models = route.child("models")
    if models is None:
        return
    if not models.entries():
        yield ("models",), models
    for profile, listed in models.entries().items():
        yield ("models", profile), listed


def _listed(elements: Sequence[Node]) -> tuple[list[str], list[str]]:
    groups = [[node.text() for node in element.elements()] for element in elements if element.elements()]
    alone = [element.text() for element in elements if not element.elements()]
    groups = groups or [alone]
    every = [*(model for group in groups for model in group), *alone]
    chosen = [model for group in groups if len(group) > 1 for model in group]
    return [model for model in every if model], [model for model in chosen if model]


def _problem(mark: Any, path: KeyPath, reason: str, remedy: str) -> Problem:
    return Problem(mark=mark, path=path, reason=reason, remedy=remedy, code=_CODE)
