"""How long an attempt is waited for: a multiple of what the model usually takes."""

from bisect import bisect_left
from itertools import accumulate

ENOUGH = 50
"""Answers before anything is concluded from them."""
MULTIPLE = 4.0
FLOOR_S = 2.0
_STEPS_PER_DOUBLING = 8
_SLOWEST = 20 * _STEPS_PER_DOUBLING
"""The last bin of the histogram: latencies of 17 minutes and more."""
_LONGEST_S = [0.001 * 2 ** (number / _STEPS_PER_DOUBLING) for number in range(_SLOWEST + 1)]
"""The upper bound of each bin, seconds."""
_FADE_AFTER = 4096


class Patience:
    """A model's timeout in seconds: four times its 99th percentile, from 2 s up to the declared one.

    A percentile of a histogram with bins 9 % wide, in which old answers count half after each few thousand
    new ones. An attempt that ran into it counts as one that took twice as long, and doubles it until it is computed
    anew, so that a model that slows down as a whole is given more time instead of being given up. A record is
    hurried only until it ran into it once: one that needs long gets the declared time after that.
    """

    def __init__(self, declared_s: float) -> None:
        self._declared_s = declared_s
        self._bins = [0.0] * (_SLOWEST + 1)
        self._seen = 0
        self._latest: list[float] = []
        """What is not in a bin yet."""
        self.timeout_s = declared_s
        self.slow_s: float | None = None
        """What 99 answers of 100 are faster than, once enough of them came."""

    def answered(self, latency_s: float) -> None:
        """Note how long an answer took."""
        latest = self._latest
        latest.append(latency_s)
        if len(latest) == ENOUGH:
            self._adapt()
        if latency_s > self.timeout_s:
            self._give(2 * latency_s)

    def expired(self, timeout_s: float) -> None:
        """Note an attempt that was given up after this long: at once the next ones are given twice as much."""
        self.answered(2 * timeout_s)
        self._give(2 * timeout_s)

    @property
    def usual_s(self) -> float:
        """What 99 answers of 100 are faster than, or as long as that is not known, all so far."""
        return max(self._latest, default=0.0) if self.slow_s is None else self.slow_s

    def _give(self, seconds: float) -> None:
        self.timeout_s = min(self._declared_s, max(self.timeout_s, seconds))

    def _adapt(self) -> None:
        for latency_s in self._latest:
            self._bins[bisect_left(_LONGEST_S, latency_s, hi=_SLOWEST)] += 1
        self._latest.clear()
        self._seen += ENOUGH
        if self._seen >= _FADE_AFTER:
            self._bins = [count / 2 for count in self._bins]
            self._seen //= 2
        counts = list(accumulate(self._bins))
        slowest = bisect_left(counts, 0.99 * counts[-1])
        self.slow_s = _LONGEST_S[slowest]
        self.timeout_s = min(self._declared_s, max(FLOOR_S, MULTIPLE * self.slow_s))
