"""Whether a run hangs: decided from what can be seen of it, so that it ends with an error rather than never."""

from collections.abc import Callable, Hashable
from dataclasses import dataclass

LEAST_LIMIT_S = 60.0
LEAST_LOOKS = 3


@dataclass
class Watchdog:
    """Looks at the signs of a run's progress every `interval_s` seconds.

    A look counts for one interval at most, however long ago the last one was: a machine that was suspended, or
    a process that was stopped, has not been at a standstill for so long.
    """

    limit_s: float
    interval_s: float
    looked_at: float
    _signs: Hashable = None
    _still_s: float = 0.0

    @classmethod
    def over(cls, timeouts_s: list[float], interval_s: float, now: float) -> "Watchdog":
        """One that waits twice the longest timeout of an attempt, and a minute and three looks at least."""
        limit_s = max(LEAST_LIMIT_S, 2 * max(timeouts_s, default=0.0), LEAST_LOOKS * interval_s)
        return cls(limit_s, interval_s, now)

    def hangs(self, now: float, signs: Hashable, *, waits: Callable[[], bool]) -> bool:
        """Whether nothing has changed for the limit, though the run was not waiting for a time to come.

        `waits` is asked only when nothing has changed.
        """
        passed, self.looked_at = min(now - self.looked_at, self.interval_s), now
        moved, self._signs = signs != self._signs, signs
        self._still_s = 0.0 if moved or waits() else self._still_s + passed
        return self._still_s >= self.limit_s
