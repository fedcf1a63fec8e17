"""Which of the declared models an auto name stands for."""

from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from batchroute.job.auto_names import AutoName
from batchroute.routing.strategies import Groups, Strategy

_CODE: Final = "code"


class Merit(Struct, frozen=True, kw_only=True):
    """What is declared of a model. `price` is that of a token in and one out, picodollars; None for unknown."""

    model: str
    price: int | None = None
    quality: float | None = None
    strengths: frozenset[str] = frozenset()


def ranked(name: AutoName, merits: Sequence[Merit], task: str | None = None) -> tuple[Groups, Strategy]:
    """The models in the order in which a record with this task tries them, none where there is no such model.

    Of those in a group it is found out for each record. An unknown price is never a low one.
    """
    match name:
        case AutoName.CHEAP:
            priced = tuple(each.model for each in merits if each.price is not None)
            rest = (each for each in merits if each.price is None)
            return ((priced,) if priced else ()) + _alone(rest), Strategy.CHEAPEST
        case AutoName.FAST:
            return (tuple(each.model for each in merits),), Strategy.FASTEST
        case AutoName.FREE:
            return _alone(_best((each for each in merits if each.price == 0), task)), Strategy.ORDERED
        case AutoName.CODE:
            return _alone(_best(merits, _CODE)), Strategy.ORDERED
        case AutoName.BEST:
            return _alone(_best(merits, task)), Strategy.ORDERED
        case AutoName.AUTO:
            raise ValueError("auto is what the routes say")


def _best(merits: Iterable[Merit], task: str | None) -> list[Merit]:
    """Those that are strong at the task first, then by declared quality, then the dearer ones."""
    return sorted(
        merits,
        key=lambda each: (
            task not in each.strengths,
            each.quality is None,
            -(each.quality or 0),
            each.price is None,
            -(each.price or 0),
        ),
    )


def _alone(merits: Iterable[Merit]) -> Groups:
    return tuple((each.model,) for each in merits)
