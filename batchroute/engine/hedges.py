"""A second request for the slowest answers of a model: whichever is answered first counts."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from batchroute.core.responses import Outcome, Response

MOST_EXTRA = 0.02
"""Second requests a request."""
_SAVED = 5.0


class HedgeBudget:
    """How many second requests a model is worth: one in fifty, and five are saved up at most."""

    def __init__(self) -> None:
        self._saved = 1.0

    @property
    def affordable(self) -> bool:
        return self._saved >= 1.0

    def earn(self) -> None:
        """A request was answered."""
        self._saved = min(_SAVED, self._saved + MOST_EXTRA)

    def spend(self) -> None:
        """A second request is sent."""
        self._saved -= 1.0


async def race(
    first: Coroutine[Any, Any, Outcome],
    second: Callable[[], Coroutine[Any, Any, Outcome | None]],
    *,
    after_s: float,
    both_sent: Callable[[], bool],
) -> list[Outcome | None]:
    """Run the first, and the second too if there is no answer after so many seconds.

    Returns how each of them ended: the first answer cancels the other one, which is None then. A failure
    leaves the field to the other one, unless that has not been sent yet and waits for a slot, which it may get from
    nobody but the first. Neither goes on when this is cancelled.
    """
    racers: list[asyncio.Task[Any]] = []
    async with asyncio.TaskGroup() as group:
        racers.append(group.create_task(first))
        await asyncio.wait(racers, timeout=after_s)
        if not racers[0].done():
            racers.append(group.create_task(second()))
        while not any(map(_answered, racers)) and (out := [racer for racer in racers if not racer.done()]):
            if racers[0].done() and not both_sent():
                break
            await asyncio.wait(out, return_when=asyncio.FIRST_COMPLETED)
        for racer in racers:
            racer.cancel()
    return [None if racer.cancelled() else racer.result() for racer in racers]


def _answered(racer: asyncio.Task[Outcome | None]) -> bool:
    return racer.done() and isinstance(racer.result(), Response)
