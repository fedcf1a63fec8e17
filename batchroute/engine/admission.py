"""Which records are in motion: the window, and what was read ahead of it.

Each pool has its own share of the window, counted where a record's route begins. A pool that is slow or
paused fills its share and then its spool; the reader goes on for the others.
"""

import asyncio
from collections.abc import Callable, Mapping, Sequence

from batchroute.engine.trails import Admitted
from batchroute.io.spools import Spool

SPARE = 64
MOST_DOUBLED = 1000
"""Slots up to which as many records again are in motion: some wait for a slot, so that none stays empty, and some
sleep before they are tried again.
"""
SPARE_PICTURED = 4
"""Beside a quarter of the slots, where each record has images in memory while it is in motion."""


def shares(concurrency: Mapping[str, int], window: int | None, *, pictured: bool = False) -> dict[str, int]:
    """How many records each model may have admitted: its slots and some, or its part of a declared window."""
    spare = _spare_pictured if pictured else _spare
    wanted = {model: slots + spare(slots) for model, slots in concurrency.items()}
    if window is None:
        return wanted
    return {model: max(1, window * share // sum(wanted.values())) for model, share in wanted.items()}


def _spare(slots: int) -> int:
    return SPARE + min(slots, MOST_DOUBLED)


def _spare_pictured(slots: int) -> int:
    return max(SPARE_PICTURED, slots // 4)


class Window:
    """The shares, and how much of each is taken."""

    def __init__(self, shares: Mapping[str, int]) -> None:
        self._shares = dict(shares)
        self._taken = dict.fromkeys(shares, 0)
        self._freed = asyncio.Event()

    @property
    def taken(self) -> int:
        """Records admitted and not yet finished."""
        return sum(self._taken.values())

    def taken_of(self, model: str) -> int:
        """Those among them whose route begins with this model."""
        return self._taken[model]

    def free(self, model: str) -> bool:
        return self._taken[model] < self._shares[model]

    def take(self, model: str) -> None:
        self._taken[model] += 1

    def give_back(self, model: str) -> None:
        """Wake the reader once an eighth of the share is free: it admits many at a time."""
        self._taken[model] -= 1
        if self._taken[model] <= self._shares[model] * 7 // 8:
            self._freed.set()

    def wake(self) -> None:
        self._freed.set()

    async def freed(self) -> None:
        """Wait until some pool has room again."""
        self._freed.clear()
        await self._freed.wait()


class Backlog:
    """Records that are ready and wait for room in their pool's share, oldest first."""

    def __init__(self, spools: Mapping[str, Spool[Admitted]], window: Window) -> None:
        self._spools = spools
        self._window = window

    def __len__(self) -> int:
        return sum(map(len, self._spools.values()))

    def put_all(self, records: Sequence[Admitted]) -> None:
        spools = self._spools
        for record in records:
            spools[record.head].append(record)

    def ready(self, crowded: Callable[[str], bool]) -> list[Admitted]:
        """Take out as many as there is room for, and note them in the window; none of those for `crowded` models."""
        taken = []
        for model, spool in self._spools.items():
            if crowded(model):
                continue
            while spool and self._window.free(model):
                self._window.take(model)
                taken.append(spool.take())
        return taken

    def following(self, model: str) -> Admitted | None:
        """The next record for the place in the window that another one of this model leaves, if one is ready."""
        spool = self._spools[model]
        return spool.take() if spool else None

    def hungry(self) -> bool:
        """Whether some pool has room and nothing is ready for it: time to read on."""
        return any(not spool and self._window.free(model) for model, spool in self._spools.items())

    def close(self) -> None:
        for spool in self._spools.values():
            spool.close()
