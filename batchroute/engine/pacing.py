"""How fast a pool may start requests: requests and tokens per minute.

asyncio-throttle polls while it waits, so a throttler has exactly one waiter, which asks when the time has come.
"""

import asyncio
from collections import deque

from asyncio_throttle.throttler import Throttler

BURSTS_PER_SECOND = 10
POLLS_PER_PERIOD = 100
HAIR_S = 0.0002
"""A throttler waits for more than a period, and a loop's timer may come a little early."""


class Pacer:
    """Lets requests start at a declared rate, one waiter at a time.

    A throttler lets a whole period's worth start at once. Up to 600 a minute that is one request; beyond, the
    part of a tenth of a second: of a provider's bucket that holds a second's worth, nine tenths are left for
    requests that arrive closer together than they left.
    """

    def __init__(self, rpm: int) -> None:
        burst = max(1, rpm // (60 * BURSTS_PER_SECOND))
        self._period = 60.0 * burst / rpm
        self._latest: deque[float] = deque(maxlen=burst)
        self._throttler = Throttler(burst, self._period, self._period / POLLS_PER_PERIOD)

    async def permit(self) -> None:
        """Wait until one more request may start."""
        loop = asyncio.get_running_loop()
        if len(self._latest) == self._latest.maxlen:
            await asyncio.sleep(self._latest[0] + self._period + HAIR_S - loop.time())
        await self._throttler.acquire()  # type: ignore[no-untyped-call]  # published without
        self._latest.append(loop.time())


class Quota:
    """What a provider's headers say is left of one of its limits, requests or tokens.

    They tell of other programs under the same key too. Times are seconds on the event loop's clock.
    """

    def __init__(self) -> None:
        self.opens_at = 0.0
        """When there is room again for what was asked last."""

    def hear(
        self,
        limit: int | None,
        remaining: int | None,
        reset_s: float | None,
        *,
        out: int,
        need: int,
        now: float,
    ) -> None:
        """Take in the headers of one response, `out` being what was sent after its request.

        `reset_s` is when the limit will be whole again; in between it is taken to come back evenly.
        """
        if remaining is None or reset_s is None or remaining - out >= need:
            self.opens_at = 0.0
            return
        used = max(1, (limit or need) - remaining)
        self.opens_at = now + min(reset_s, reset_s * (need + out - remaining) / used)


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
