"""Looking an output directory over, and repairing what can be repaired without a request."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from msgspec import Struct, structs

from batchroute.core.errors import OutputError
from batchroute.engine.exports import Exporter
from batchroute.io.audits import Damage, Finding, disagreements, leftovers, part_findings, rewritten
from batchroute.io.files import ROUTES_NAME, STORE_NAME, clear_temporary
from batchroute.io.locks import locked
from batchroute.io.manifest import MANIFEST_NAME, Manifest, holds_dataset, read_manifest, without_manifest
from batchroute.io.store import Store
from batchroute.io.tables import unpacked_types

RUNNING = "running"


class Verified(Struct, frozen=True, kw_only=True):
    """An output directory that was looked over.

    `findings` are what is wrong, or unfinished, still; `repaired` what was. `parts` and `rows` are those listed.
    """

    findings: list[Finding]
    repaired: list[Finding]
    parts: int
    rows: int

    @property
    def damaged(self) -> list[Finding]:
        """The findings that are no mere leftovers of a run that was cut off."""
        return [finding for finding in self.findings if finding.damage is not Damage.UNFINISHED]


@dataclass(frozen=True, kw_only=True)
class Routes:
    """What becomes of routes.parquet is the affair of whoever sums the ledger up."""

    agree: Callable[[Path], bool]
    """Whether the file is what the ledger adds up to. Raises OutputError where the ledger cannot be read."""
    write: Callable[[Path], object]


@dataclass
class _Look:
    """What could be opened of a directory, and what was found."""

    manifest: Manifest | None = None
    store: Store | None = None
    findings: list[Finding] = field(default_factory=list)

    def found(self, path: str, damage: Damage, message: str, *, repairable: bool = False) -> None:
        self.findings.append(Finding(path=path, damage=damage, message=message, repairable=repairable))


async def verify(directory: Path, routes: Routes, *, repair: bool = False) -> Verified:
    """Read every file of the dataset, and tell what is damaged, missing or foreign.

    With `repair` the manifest, the routes, the dead letters and what a run that was cut off has left are written
    anew where the state or the ledger tells how. Nothing is sent, and nothing is removed that a run would not
    remove. Raises OutputError where there is no dataset or the disk fails, OutputLockedError while a run goes on.
    """
    with locked(directory):
        if not holds_dataset(directory):
            raise without_manifest(directory)
        first = _looked(directory, routes)
        if not (repair and any(finding.repairable for finding in first.findings)):
            return _told(first, first)
        await _repaired(directory, routes, first)
        return _told(first, _looked(directory, routes))


def _told(first: _Look, last: _Look) -> Verified:
    parts = last.manifest.parts() if last.manifest else ()
    return Verified(
        findings=last.findings,
        repaired=[finding for finding in first.findings if finding not in last.findings],
        parts=len(parts),
        rows=sum(part.rows for part in parts),
    )


def _looked(directory: Path, routes: Routes) -> _Look:
    look = _Look()
    with closing(_opened(directory, look)):
        _look_at_manifest(directory, look)
        store, listed = look.store, look.manifest
        if store is not None and listed is None:
            listed = _listed_by(store)
        if listed is not None:
            again = rewritten(store) if store else set()
            look.findings += [
                structs.replace(finding, repairable=finding.path in again)
                for finding in part_findings(directory, listed)
            ]
        if store is not None and listed is not None:
            look.findings += disagreements(directory, listed, store, strays="*")
            look.findings += leftovers(directory, listed, store)
    _look_at_routes(directory, look, routes)
    return look


class _Nothing:
    """Stands for a state that could not be opened."""

    def close(self) -> None:
        return


def _opened(directory: Path, look: _Look) -> Store | _Nothing:
    if not (directory / STORE_NAME).exists():
        look.found(STORE_NAME, Damage.STATE_MISSING, "is missing")
        return _Nothing()
    try:
        look.store = Store(directory)
    except OutputError as error:
        if error.code is None:  # the disk's fault, or another version's
            raise
        look.found(STORE_NAME, Damage(error.code), f"cannot be used: {error}")
        return _Nothing()
    return look.store


def _look_at_manifest(directory: Path, look: _Look) -> None:
    repairable = look.store is not None and look.store.meta("job") is not None
    try:
        look.manifest = read_manifest(directory)
    except OutputError as error:
        if error.code is None:
            raise
        look.found(MANIFEST_NAME, Damage(error.code), "is damaged", repairable=repairable)
        return
    if look.manifest is None and (look.store is None or look.store.meta("exported")):
        look.found(MANIFEST_NAME, Damage.MANIFEST_MISSING, "is missing", repairable=repairable)


def _look_at_routes(directory: Path, look: _Look, routes: Routes) -> None:
    """Only a run that has ended has summed its ledger up, and only a ledger that is whole can be summed up again."""
    last = look.manifest.last_run if look.manifest else None
    ended = last is not None and last.state != RUNNING
    if ended and _ledger_is_whole(look) and not routes.agree(directory):
        look.found(ROUTES_NAME, Damage.ROUTES_STALE, "is not what the ledger adds up to", repairable=True)


def _ledger_is_whole(look: _Look) -> bool:
    return not any(finding.path.startswith("ledger/") and not finding.repairable for finding in look.findings)


def _listed_by(store: Store) -> Manifest:
    """What the state knows of the manifest."""
    parts = store.parts()
    return Manifest(
        job=store.meta("job") or "",
        fingerprint=store.meta("fingerprint") or "",
        results=tuple(part for part in parts if part.path.startswith("results/")),
        ledger=tuple(part for part in parts if part.path.startswith("ledger/")),
    )


async def _repaired(directory: Path, routes: Routes, look: _Look) -> None:
    if look.store is not None and not any(finding.in_the_way for finding in look.findings):
        with closing(Store(directory)) as store:
            await _written_from_state(directory, store, look)
    if _ledger_is_whole(look) and not routes.agree(directory):
        routes.write(directory)


async def _written_from_state(directory: Path, store: Store, look: _Look) -> None:
    """Everything that the state can give, in the order in which a run writes it."""
    kept = store.meta("kept")
    if kept is None:  # an earlier version wrote it, and the next run knows more than we do
        return
    clear_temporary(directory)
    exporter = Exporter(
        directory=directory,
        store=store,
        kept=unpacked_types(kept),
        manifest=look.manifest or _listed_by(store),
    )
    if any(finding.path == MANIFEST_NAME and finding.repairable for finding in look.findings):
        exporter.relist()
    await exporter.export()
    await exporter.export()
    await exporter.write_dead_letters()
