"""The door by which time and chance enter a run."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """`wall` gives seconds since the epoch, for data; `now` monotonic seconds, the event loop's timers' scale.

    The loop's own time would do for `now`, but uvloop's is a millisecond coarse and stands still in a turn.
    """

    wall: Callable[[], float] = time.time  # noqa: TID251  this is the door
    now: Callable[[], float] = time.monotonic
    random: Random = field(default_factory=Random)
