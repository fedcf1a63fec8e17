"""What equal requests have in common, beside an answer."""

from typing import Final

from batchroute.core.responses import ErrorType
from batchroute.routing.verdicts import POLICIES

OPINIONS: Final = 2
"""As many records that ask the same and fail in different ways or by chance speak for all others."""

_OUTSIDE: Final = frozenset({"no_model", "budget_record"})
"""Faults of records that lie neither with what they ask nor with an answer: what one may still cost depends on what it
has cost already.
"""


def is_of_request(error_type: str) -> bool:
    """Whether the fault of a dead letter lies in what it asked, so that an equal request would end alike.

    What a model made of it (an empty answer, one that was cut off), and what went wrong on the way, may come out
    otherwise the next time.
    """
    try:
        policy = POLICIES[ErrorType(error_type)]
    except ValueError:
        return error_type not in _OUTSIDE
    return policy.dead and (not policy.refused or policy.opinions is not None)
