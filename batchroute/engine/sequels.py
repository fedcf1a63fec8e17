"""In which order a batch is sent: records that begin alike for long near one another, for the caches of providers.

A batch of short prompts is left alone once a few of its records were looked at.
"""

import asyncio
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Final

from batchroute.core.records import Record
from batchroute.routing.prefixes import Beginnings, Sequel, sequel
from batchroute.routing.prompts import Prompts

PROBED: Final = 16
"""Records of a batch, evenly spread over it, that are looked at before all are."""
REMEMBERED: Final = 65_536
"""Beginnings of earlier batches that are known again; the oldest are forgotten first."""


class Sequels:
    """Orders the batches of a run, and knows what earlier ones began with."""

    def __init__(self, prompts: Prompts, apart: int) -> None:
        """The others of a group come `apart` records after the first one."""
        self._prompts, self._apart = prompts, apart
        self._known: dict[int, None] = {}

    async def of(self, records: Sequence[Record]) -> Sequel | None:
        """The order for a batch; None where none of its requests begins as another one, for so long that it matters.

        They are all rendered for that, and nothing is kept of it but digests: requests that are as long as these would
        take too much memory.
        """
        probed = records[:: max(1, len(records) // PROBED)]
        if not any(map(self._prompts.beginnings, probed)):
            return None
        return await asyncio.to_thread(self._of, records)

    def _of(self, records: Sequence[Record]) -> Sequel | None:
        found = [self._prompts.beginnings(record) for record in records]
        ordered = sequel(found, self._apart, self._known)
        self._remember(found)
        return ordered

    def _remember(self, found: Iterable[Beginnings]) -> None:
        for each in found:
            for digest in each:
                self._known.pop(digest, None)
                self._known[digest] = None
        for digest in list(islice(self._known, max(0, len(self._known) - REMEMBERED))):
            del self._known[digest]
