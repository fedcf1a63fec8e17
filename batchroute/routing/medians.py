"""How long a model takes of late."""

from collections import deque
from typing import Final

LATEST: Final = 32
"""Answers that count: few enough that a model which slows down is noticed after half as many."""


class Median:
    """The median of the latest latencies, seconds."""

    __slots__ = ("_known", "_latest")

    def __init__(self) -> None:
        self._latest: deque[float] = deque(maxlen=LATEST)
        self._known: float | None = None

    def note(self, latency_s: float) -> None:
        self._latest.append(latency_s)
        self._known = None

    @property
    def seconds(self) -> float | None:
        """What half of them took at most; None before the first."""
        if self._known is None and self._latest:
            self._known = sorted(self._latest)[(len(self._latest) - 1) // 2]
        return self._known
