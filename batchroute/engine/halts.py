"""What every waiting record listens to: the run is stopping, or some model's health has changed."""

import asyncio
from collections.abc import Callable


class Halt:
    """One signal for all. A record that waits is woken by its time, by a change of health, or by the stop."""

    def __init__(self) -> None:
        self._changed = asyncio.Event()
        self.reason: BaseException | None = None
        """Why the run stops early, or None."""
        self.stopping = False
        self.sleepers = 0
        """How many wait for a time to come."""
        self._listeners: list[Callable[[], None]] = []

    def on_stop(self, listener: Callable[[], None]) -> None:
        """Have this called when the run begins to stop."""
        self._listeners.append(listener)

    def change(self) -> None:
        """Wake everyone who waits: what they wait for may have come."""
        changed, self._changed = self._changed, asyncio.Event()
        changed.set()

    def stop(self, reason: BaseException | None = None) -> None:
        """Start nothing more. The first reason stays."""
        self.stopping = True
        self.reason = self.reason or reason
        for listener in self._listeners:
            listener()
        self.change()

    async def sleep_until(self, when: float) -> None:
        """Wait for a time on the scale of the event loop's timers, or for the next change or the stop.

        Whoever waits looks again: what has changed may be another's affair, and a timer may be a moment early.
        """
        self.sleepers += 1
        try:
            async with asyncio.timeout_at(when):
                await self._changed.wait()
        except TimeoutError:
            return
        finally:
            self.sleepers -= 1

    async def sleep(self, seconds: float) -> None:
        """Wait this long whatever changes, save for the stop."""
        until = asyncio.get_running_loop().time() + seconds
        while not self.stopping and asyncio.get_running_loop().time() < until:
            await self.sleep_until(until)
