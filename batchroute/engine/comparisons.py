"""Which finished records ask for something else by now than what they were answered."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from msgspec import Struct

from batchroute import __version__
from batchroute.core.results import NOTHING_SPENT, Totals
from batchroute.io.parts import part_path, read_totals
from batchroute.io.sources.files import SourceFile
from batchroute.io.store import Known, Store

_COMPARED = "compared"


class Compared(Struct, frozen=True):
    """What was compared whole the last time: for which job, and which files as they were then."""

    shape: str
    files: dict[str, tuple[int | str, ...]] = {}
    """The version of each, by name."""


@dataclass(kw_only=True)
class Comparison:
    """Compares the requests of finished records with those that they were answered for.

    Rendering a million records takes longer than reading them, so a file that is as it was when it was compared
    under this job is not compared again, unless its records are to be refreshed.
    """

    store: Store
    directory: Path
    shape: str
    """What tells whether the job, or the program, may make another request of the same record."""
    refresh: bool
    """Whether stale records are answered anew."""
    files: tuple[SourceFile, ...]
    _stale: list[int] = field(default_factory=list)
    _fresh: list[int] = field(default_factory=list)

    @classmethod
    def of(
        cls, fingerprint: str, files: tuple[SourceFile, ...], store: Store, directory: Path, *, refresh: bool
    ) -> "Comparison":
        """For a job of this fingerprint over these files."""
        shape = f"{__version__} {fingerprint}"
        return cls(store=store, directory=directory, shape=shape, refresh=refresh, files=files)

    def __post_init__(self) -> None:
        try:
            compared = msgspec.json.decode(self.store.meta(_COMPARED) or "", type=Compared)
        except msgspec.DecodeError:  # there is none, or it is of another version: all is compared
            compared = Compared("")
        self._before = compared.files if compared.shape == self.shape else {}
        self._unchanged = {file.name for file in self.files if self._before.get(file.name) == file.version}

    def covers(self, file: str) -> bool:
        """Whether the answered records of a file are to be compared."""
        return self.refresh or file not in self._unchanged

    def differs(self, known: Known, *, answers: bool) -> bool:
        """Note whether a finished record asks for something else than what its answer `answers`."""
        stale = not answers
        if stale is not known.stale:
            (self._stale if stale else self._fresh).append(known.seq)
        return stale

    def keep(self) -> None:
        """Store what was found since the last time."""
        self.store.mark(self._stale, self._fresh)
        self._stale, self._fresh = [], []

    async def reopen(self, records: Iterable[tuple[str, Known]]) -> None:
        """Let stale records be asked again: their next attempts count on from those there were. Reads parts."""
        by_part: dict[int, dict[str, int]] = {}
        for record_id, known in records:
            assert known.part is not None
            by_part.setdefault(known.part, {})[record_id] = known.seq
        for part, seqs in by_part.items():
            spent = await asyncio.to_thread(
                read_totals, self.directory, part_path("results", part), list(seqs)
            )
            self.store.reopen([(seq, part, _spent(spent, record_id)) for record_id, seq in seqs.items()])

    def close(self, *, whole: bool) -> None:
        """All of the files were read: what is as it is now need not be compared again. `whole`: they are the input."""
        if whole:
            self.store.forgive_vanished()
        files = {file.name: file.version for file in self.files}
        compared = Compared(self.shape, files if whole else {**self._before, **files})
        self.store.describe(**{_COMPARED: msgspec.json.encode(compared).decode()})


def _spent(spent: dict[str, Totals], record_id: str) -> Totals:
    return spent.get(record_id, NOTHING_SPENT)
