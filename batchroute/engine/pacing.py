"""How fast a pool may start requests: requests and tokens per minute.

asyncio-throttle polls while it waits, so a throttler has exactly one waiter, which asks when the time has come.
"""

import asyncio
from collections.abc import Callable

from asyncio_throttle.throttler import Throttler

MINUTE_S = 60.0
SAVED_SHARE = 0.5
"""How much of what a strict provider saves up is used: the rest is for requests that arrive closer than they left."""
TOGETHER_S = 0.02
"""Permits of so long a time come together, so that their requests share a turn of the loop and a commit."""
CATCHING_UP = 1.25
"""How many times the declared rate is the most while something is caught up: nothing moves in waves."""
LATE_SHARE = 0.01
"""Up to 60 a minute nothing is saved up: what is sent this part of an interval late may travel so much faster."""
FADING = 0.98
"""What an answer still counts of estimates, once another one came: some fifty are remembered."""


class Pacer:
    """Lets requests start at a declared rate, one waiter at a time.

    Permits are due at even intervals. What a busy machine delays is caught up, as far as a provider allows whose
    bucket holds a second's worth, one request at least; the throttler sees to it that, however late they come, no
    minute has more starts than are declared. `now` is a monotonic clock.
    """

    def __init__(self, rpm: int, now: Callable[[], float]) -> None:
        self._now = now
        self._interval = MINUTE_S / rpm
        self._early = SAVED_SHARE * max(0.0, 1.0 - self._interval)
        self._late = TOGETHER_S if self._interval < TOGETHER_S else LATE_SHARE * self._interval
        self._due = self._earliest = now()
        self._throttler = Throttler(rpm, MINUTE_S, TOGETHER_S)

    async def permit(self) -> None:
        """Wait until one more request may start."""
        wait_s = max(self._due - self._early, self._earliest - TOGETHER_S) - self._now()
        if wait_s > 0:
            await asyncio.sleep(wait_s + self._late)
        await self._throttler.acquire()  # type: ignore[no-untyped-call]  # published without
        now = self._now()
        self._count(now)

    def late(self) -> None:
        """A permit is used only now: the next one counts from here."""
        self._count(self._now())

    def _count(self, now: float) -> None:
        self._due = max(self._due, now) + self._interval
        self._earliest = max(self._earliest, now) + self._interval / CATCHING_UP


class TokenBudget:
    """A bucket of tokens that refills continuously: reserve what a request will likely use, settle with the usage.

    Estimates are taken to be as wrong as those of the latest answers were: the room for an answer is often hardly
    used, and some languages have more tokens to the byte. The bucket may go into debt, so that a request larger
    than what is left waits for the debt to be paid, not for ever. Times are seconds on the event loop's clock.
    """

    def __init__(self, tokens_per_minute: int, now: float) -> None:
        self._rate = tokens_per_minute / MINUTE_S
        self._capacity = SAVED_SHARE * self._rate
        self._level = self._capacity
        self._at = now
        self._lately_estimated = self._lately_used = 0.0

    def opens_at(self, now: float) -> float:
        """When the next request may start: now, or when the debt is paid."""
        self._refill(now)
        return now if self._level > 0 else now - self._level / self._rate

    def reserve(self, estimated: int) -> float:
        """Take out what a request of this estimate will likely use; gives that back for `settle`."""
        reserved = estimated * (self._lately_used / self._lately_estimated if self._lately_estimated else 1.0)
        self._level -= reserved
        return reserved

    def settle(self, reserved: float, used: int, estimated: int) -> None:
        """Give back what was reserved too much, or take what was missing, and learn from it."""
        self.give_back(reserved - used)
        self._lately_estimated = FADING * self._lately_estimated + estimated
        self._lately_used = FADING * self._lately_used + used

    def give_back(self, tokens: float) -> None:
        """Put back what was reserved for a request that was not sent."""
        self._level = min(self._capacity, self._level + tokens)

    def _refill(self, now: float) -> None:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now
