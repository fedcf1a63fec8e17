"""Which of several equal models gets the requests that begin alike: the same one each time, as long as that is fair.

Rendezvous hashing: each model draws a wait from the prefix and its own name, the shortest wait wins. Waits go by the
models' shares, so that prefixes are shared out as records are, and a model that is lost leaves its own prefixes to the
others and moves no other one. A model that has had more than its share, or that is much busier than the others, is passed
over: one prefix that all records have overloads none (as consistent hashing with bounded loads has it: Mirrokni, Thorup
and Zadimoghaddam, 2018).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from typing import Final

AHEAD: Final = 32
"""Records that a model may be ahead of its share,"""
AHEAD_SHARE: Final = 0.02
"""and so much of all records more."""
BUSIER: Final = 0.25
"""How much busier than the least busy model one may be, as a share of its slots; or by as much as waits there, so that it
will not run dry meanwhile."""


def preferred(
    names: Sequence[str], prefix: int, shares: Mapping[str, float], fair: Callable[[str], bool]
) -> list[str]:
    """These models, the one for this prefix first; those that it would be unfair to ask come last, as they are given."""
    ranked = sorted(names, key=lambda name: _wait(prefix, name) / shares[name])
    return [*filter(fair, ranked), *(name for name in names if not fair(name))]


def within_share(begun: Mapping[str, int], shares: Mapping[str, float]) -> Callable[[str], bool]:
    """Whether a model has had no more than its share of the records, but for some. Shares may add up to anything."""
    records, whole = sum(begun.values()), sum(shares[name] for name in begun)
    return lambda name: begun[name] - records * shares[name] / whole <= AHEAD + AHEAD_SHARE * records


def within_load(loads: Mapping[str, float]) -> Callable[[str], bool]:
    """Whether a model is about as busy as the least busy one. `loads` leaves out those that are down: whoever belongs
    to one of them goes on to the next by itself, and comes back with it.
    """
    least = min(loads.values(), default=0.0)
    most = least + max(BUSIER, least - 1.0)
    return lambda name: name not in loads or loads[name] <= most


def _wait(prefix: int, name: str) -> float:
    """Of a model with a share of 1: distributed exponentially, and the same for the same two."""
    drawn = blake2b(b"%d %b" % (prefix, name.encode()), digest_size=8).digest()
    return -math.log((int.from_bytes(drawn, "little") + 1) / 2.0**64)
