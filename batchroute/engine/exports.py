"""Projecting the journal into parts, a range at a time."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ParamSpec, TypeVar

import polars as pl
from msgspec import Struct, structs

from batchroute.core.attempts import Attempt, Reuse
from batchroute.core.results import Result, Status
from batchroute.io.files import place, remove
from batchroute.io.manifest import Manifest, Part, write_manifest
from batchroute.io.parts import DEAD_LETTERS, draft_replacement, part_path, spent_by_route, write_part
from batchroute.io.store import Export, Group, Settled, Store
from batchroute.io.tables import LEDGER, RESULTS, ledger_rows, results_rows, reused_rows, typed

P = ParamSpec("P")
T = TypeVar("T")
_Again = dict[int, list[Result]]
"""Results of records that were asked again, by the number of the part that holds their earlier ones."""

PART_RECORDS = 20_000
PART_BYTES = 32 << 20
SLICE_ROWS = 2_000


class _Slice(Struct):
    """Of a range of the journal: results by number, attempts, and the lines of reused answers with what they have in
    common.
    """

    results: list[tuple[int, Result]] = []
    attempts: list[Attempt] = []
    lines: list[Attempt] = []
    reused: list[tuple[int, Reuse, Result]] = []

    @property
    def full(self) -> bool:
        return max(len(self.results), len(self.attempts)) >= SLICE_ROWS

    def take(self, group: Group) -> None:
        self.results += group.results
        self.attempts += [attempt for _, attempt in group.ended]
        if group.reused:
            finished, first = dict(group.results), len(self.lines)
            self.lines += group.lines
            self.reused += [(first + reuse.line, reuse, finished[seq]) for seq, reuse in group.reused]


@dataclass(kw_only=True)
class Exporter:
    """Writes parts and the manifest of one output directory.

    Answered records go into parts that do not change. Those that were asked again take the places of their earlier
    answers: the part is replaced as a whole, its replacement being listed before. Dead letters may be tried again,
    so they stay in the store and are projected into one part that is replaced as a whole when a run ends;
    `retract` takes it away while they are tried again, so that no reader sees a record twice.
    """

    directory: Path
    store: Store
    kept: Mapping[str, pl.DataType]
    manifest: Manifest
    starting: Callable[[], None] = lambda: None
    """Called when the range of an export is fixed."""

    async def export(self) -> None:
        """Move what is in the journal into parts; twice is as good as once. Raises OutputError."""
        export = self.store.begin_export()
        if export is None:
            if any(part.replacement for part in self.manifest.results):
                self.relist()  # a crash came between the store and the list
            return
        self.starting()
        settled = Settled.empty()
        again: _Again = {}
        results, ledger = await self._rows(export, settled, again)
        parts = [
            await _written(self.directory, part_path(folder, export.number), rows, schema)
            for folder, rows, schema in (("results", results, RESULTS), ("ledger", ledger, LEDGER))
            if rows.height
        ]
        self._list(parts)
        parts += [await self._replaced(number, again[number]) for number in sorted(again)]
        self.store.finish_export(export, settled, parts)
        if again:
            self._list(parts)

    async def _rows(
        self, export: Export, settled: Settled, again: _Again
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        """What goes into new parts; `again` takes what goes into parts that there are, by their numbers."""
        results, ledger = list[pl.DataFrame](), list[pl.DataFrame]()
        async for part in _slices(self.store, export, settled):
            reopened = self.store.reopened([seq for seq, _ in part.results])
            for seq, result in part.results if reopened else ():
                if seq in reopened:
                    again.setdefault(reopened[seq], []).append(result)
            answered = [
                result
                for seq, result in part.results
                if result.status is not Status.FAILED and seq not in reopened
            ]
            results.append(results_rows(answered, self.kept))
            ledger.append(ledger_rows(part.attempts))
            if part.reused:
                ledger.append(reused_rows(part.lines, part.reused))
        return pl.concat(results), pl.concat(ledger)

    async def _replaced(self, number: int, results: list[Result]) -> Part:
        """Put results into the part of this number, in the places of the earlier ones of the same records."""
        path = part_path("results", number)
        listed = await _in_thread(draft_replacement, self.directory, path, results, self.kept)
        assert listed.replacement is not None
        self._list([listed])
        await _in_thread(place, self.directory, path)
        return Part(path=path, rows=listed.rows, sha256=listed.replacement)

    def spent(self) -> dict[str, int]:
        """What all attempts in the parts have cost, picodollars, by route. Raises OutputError."""
        return spent_by_route(self.directory, self.manifest)

    def _list(self, parts: list[Part]) -> None:
        self.manifest = structs.replace(
            self.manifest,
            results=_with(
                self.manifest.results, [part for part in parts if part.path.startswith("results/")]
            ),
            ledger=_with(self.manifest.ledger, [part for part in parts if part.path.startswith("ledger/")]),
        )
        write_manifest(self.directory, self.manifest)

    def retract_dead_letters(self) -> None:
        """Take the part of dead letters away."""
        listed = tuple(part for part in self.manifest.results if part.path != DEAD_LETTERS)
        if listed != self.manifest.results:
            self.update(lambda manifest: structs.replace(manifest, results=listed))
        remove(self.directory, DEAD_LETTERS)

    def relist(self) -> None:
        """List the parts that the store knows to be whole, and the dead letters where they were listed."""
        parts = self.store.parts()
        dead = tuple(part for part in self.manifest.results if part.path == DEAD_LETTERS)
        self.update(
            lambda manifest: structs.replace(
                manifest,
                results=(*(part for part in parts if part.path.startswith("results/")), *dead),
                ledger=tuple(part for part in parts if part.path.startswith("ledger/")),
                counts={state.name.lower(): count for state, count in self.store.counts().items()},
                stale=self.store.stale(),
            )
        )

    async def write_dead_letters(self) -> None:
        """Write the part of dead letters; where there are none, take away the one of an earlier run."""
        frames = []
        chunk: list[Result] = []
        for result in self.store.dead_letters():
            chunk.append(result)
            if len(chunk) == SLICE_ROWS:
                frames.append(results_rows(chunk, self.kept))
                chunk = []
                await asyncio.sleep(0)
        if chunk:
            frames.append(results_rows(chunk, self.kept))
        if frames:
            self._list([await _written(self.directory, DEAD_LETTERS, pl.concat(frames), RESULTS)])
        else:
            self.retract_dead_letters()

    def update(self, change: Callable[[Manifest], Manifest]) -> None:
        """Change the manifest and write it."""
        self.manifest = change(self.manifest)
        write_manifest(self.directory, self.manifest)


async def _written(directory: Path, path: str, rows: pl.DataFrame, schema: Mapping[str, pl.DataType]) -> Part:
    return await _in_thread(lambda: write_part(directory, path, typed(rows, schema)))


async def _in_thread(write: Callable[P, T], *arguments: P.args, **named: P.kwargs) -> T:
    """Write in a thread, and wait for it even when cancelled: the lock on the directory ends with the run."""
    writing = asyncio.get_running_loop().run_in_executor(None, partial(write, *arguments, **named))
    try:
        return await asyncio.shield(writing)
    finally:
        while not writing.done():
            with suppress(asyncio.CancelledError):  # the one that led here goes on from here
                await asyncio.wait([writing])


async def _slices(store: Store, export: Export, settled: Settled) -> AsyncIterator[_Slice]:
    """The range, some thousand rows at a time, letting others run in between. At least one slice, if an empty one."""
    part = _Slice()
    for group in store.journal(export):
        part.take(group)
        settled.add(group)
        if part.full:
            yield part
            part = _Slice()
            await asyncio.sleep(0)
    yield part


def _with(listed: tuple[Part, ...], new: list[Part]) -> tuple[Part, ...]:
    left = {part.path: part for part in new}
    return (*(left.pop(part.path, part) for part in listed), *left.values())
