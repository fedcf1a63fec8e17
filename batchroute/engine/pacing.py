"""How fast a pool may start requests: requests and tokens per minute.

asyncio-throttle polls while it waits, so a throttler has exactly one waiter: the pool's pacer.
"""

from asyncio_throttle.throttler import Throttler

SMOOTH_FROM_RPM = 600
POLLS_PER_PERIOD = 50


def throttler(rpm: int) -> Throttler:
    """A throttler for a limit of requests per minute.

    A throttler lets a whole period's worth start at once, so the period is about one second where the limit gives
    at least ten starts a second, and one start otherwise: a minute's quota is never spent in its first second.
    """
    starts = rpm // 60 if rpm >= SMOOTH_FROM_RPM else 1
    period = 60.0 * starts / rpm
    polls = POLLS_PER_PERIOD * 4 if starts > 1 else POLLS_PER_PERIOD
    return Throttler(rate_limit=starts, period=period, retry_interval=period / polls)


class TokenBudget:
    """A bucket of tokens that refills continuously: reserve the estimate, settle with the usage.

    It may go into debt, so that a request larger than what is left waits for the debt to be paid, not for
    ever. Times are seconds on the event loop's clock.
    """

    def __init__(self, tokens_per_minute: int, now: float) -> None:
        self._rate = tokens_per_minute / 60
        self._capacity = self._rate
        self._level = self._capacity
        self._at = now

    def opens_at(self, now: float) -> float:
        """When the next request may start: now, or when the debt is paid."""
        self._refill(now)
        return now if self._level > 0 else now - self._level / self._rate

    def reserve(self, tokens: int) -> None:
        self._level -= tokens

    def settle(self, reserved: int, used: int) -> None:
        """Give back what was reserved too much, or take what was missing."""
        self._level = min(self._capacity, self._level + reserved - used)

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now
