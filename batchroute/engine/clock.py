"""The door by which time and chance enter a run."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random


@dataclass(frozen=True, kw_only=True, slots=True)
class Clock:
    """`wall` gives seconds since the epoch, for data; timers use the event loop's own monotonic time."""

    wall: Callable[[], float] = time.time  # noqa: TID251  this is the door
    random: Random = field(default_factory=Random)

    @staticmethod
    def now() -> float:
        """Monotonic seconds of the running event loop."""
        return asyncio.get_running_loop().time()
