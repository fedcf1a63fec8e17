"""Whether an output directory is what its manifest and its state say: every file that is damaged, missing or foreign.

What the state still holds, or can be computed anew, is repaired; nothing here looks into what parts say.
"""

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path, PurePath

from msgspec import Struct

from batchroute.core.errors import OutputError
from batchroute.io.files import STORE_NAME, TEMPORARY, digest_of
from batchroute.io.manifest import MANIFEST_NAME, Manifest, Part
from batchroute.io.parts import DEAD_LETTERS, part_path
from batchroute.io.store import State, Store

FOLDERS = ("results", "ledger")
PARTS = "part-*.parquet"
"""What readers take for parts."""


class Damage(StrEnum):
    """The public vocabulary of what can be wrong with a file."""

    PART_CORRUPT = "part_corrupt"
    PART_MISSING = "part_missing"
    PART_FOREIGN = "part_foreign"
    MANIFEST_CORRUPT = "manifest_corrupt"
    MANIFEST_MISSING = "manifest_missing"
    STATE_CORRUPT = "state_corrupt"
    STATE_MISSING = "state_missing"
    STATE_SHORT = "state_short"
    OUTPUT_INCONSISTENT = "output_inconsistent"
    ROUTES_STALE = "routes_stale"
    UNFINISHED = "unfinished"
    """No damage: what a run that was cut off has left, and the next one puts in order."""


class Finding(Struct, frozen=True, kw_only=True):
    """One file that is not as it should be. `path` is relative to the output directory.

    `repairable`: what it held can be had again from what is left, without a request.
    """

    path: str
    damage: Damage
    message: str
    repairable: bool

    @property
    def lost(self) -> bool:
        """Whether what the file held is gone. A foreign one is only in the way."""
        return not self.repairable and self.damage is not Damage.PART_FOREIGN

    @property
    def in_the_way(self) -> bool:
        """Whether nothing may be written from the state: it would take the place of a file that somebody may want."""
        taken = self.damage is Damage.PART_FOREIGN and PurePath(self.path).match(PARTS)
        return taken or self.damage is Damage.STATE_SHORT

    def __str__(self) -> str:
        return f"{self.path} {self.message} ({self.damage})"


def part_findings(directory: Path, manifest: Manifest) -> list[Finding]:
    """The listed parts that are missing, or whose SHA-256 is another. Reads all of them; safe in a thread."""
    return [finding for part in manifest.parts() if (finding := _part_finding(directory, part)) is not None]


def _part_finding(directory: Path, part: Part) -> Finding | None:
    damage, message = Damage.PART_CORRUPT, "is damaged: its SHA-256 is not the one that was listed"
    try:
        if part.may_be(digest_of(directory / part.path)):
            return None
    except FileNotFoundError:
        damage, message = Damage.PART_MISSING, "is missing"
    except OSError as error:
        message = f"cannot be read: {error.strerror}"
    return Finding(path=part.path, damage=damage, message=message, repairable=False)


def disagreements(directory: Path, manifest: Manifest, store: Store, strays: str = PARTS) -> list[Finding]:
    """Where the manifest, the state and the names in the folders do not fit together.

    `strays` is the pattern of names that only runs may use in the folders of parts. What an export that was cut off
    replaces is as the manifest lists it: a run that resumed it may have listed it anew, and been cut off, too, before
    the state knew.
    """
    known = {part.path: part for part in store.parts()}
    listed = {part.path: part for part in manifest.parts()}
    again = rewritten(store)
    replaced = {path for path, part in listed.items() if part.replacement and store.exporting() is not None}
    return [
        *_unlisted(known, listed, again | replaced),
        *_unknown_to(store, listed, again),
        *_strays(directory, strays, known.keys() | listed.keys() | again),
    ]


def rewritten(store: Store) -> set[str]:
    """Parts that the state still holds whole: those of an export that was cut off, and the dead letters."""
    number = store.exporting()
    begun = () if number is None else (part_path(folder, number) for folder in FOLDERS)
    return {DEAD_LETTERS, *begun}


def leftovers(directory: Path, manifest: Manifest, store: Store) -> list[Finding]:
    """What a run that was cut off has left. It is no damage."""
    half = sorted(path.name for path in (directory / TEMPORARY).glob("*"))
    listed = {part.path for part in manifest.parts()}
    found = [(f"{TEMPORARY}/{name}", "was never finished") for name in half]
    found += [
        (path, "is half done") for path in sorted(rewritten(store) - listed) if (directory / path).exists()
    ]
    if store.unexported:
        found.append((STORE_NAME, f"holds {store.unexported:,} results that are in no part yet"))
    return [
        Finding(path=path, damage=Damage.UNFINISHED, message=message, repairable=True)
        for path, message in found
    ]


def _unlisted(known: dict[str, Part], listed: dict[str, Part], again: set[str]) -> Iterator[Finding]:
    """The manifest is older than the state, or was changed."""
    for path, part in known.items():
        if path not in again and not part.agrees(listed.get(path)):
            yield Finding(
                path=MANIFEST_NAME,
                damage=Damage.OUTPUT_INCONSISTENT,
                message=f"does not list {path} as the state knows it",
                repairable=True,
            )


def _unknown_to(store: Store, listed: dict[str, Part], again: set[str]) -> Iterator[Finding]:
    """The state is older than the manifest: what it does not know would be paid for again."""
    exported = int(store.meta("exported") or 0)
    newest = [path for path in listed if path not in again and _number(path) > exported]
    lasting = sum(
        part.rows for path, part in listed.items() if path.startswith("results/") and path not in again
    )
    counts = store.counts()
    answered = counts[State.SUCCEEDED] + counts[State.DEGRADED]
    if newest or lasting > answered:
        message = f"knows of {answered:,} answers, and {lasting:,} are in the parts that the manifest lists"
        yield Finding(path=STORE_NAME, damage=Damage.STATE_SHORT, message=message, repairable=False)


def _number(path: str) -> int:
    digits = path.removesuffix(".parquet").rpartition("-")[2]
    return int(digits) if digits.isdigit() else 0


def _strays(directory: Path, pattern: str, ours: set[str]) -> Iterator[Finding]:
    """Files in the folders of parts that no run has written. Whoever reads the folder reads them, too."""
    for folder in FOLDERS:
        for file in sorted((directory / folder).glob(pattern)):
            path = f"{folder}/{file.name}"
            if path not in ours:
                yield Finding(
                    path=path,
                    damage=Damage.PART_FOREIGN,
                    message="was not written by a run here: move it away",
                    repairable=False,
                )


def refuse(directory: Path, findings: list[Finding]) -> None:
    """Raise OutputError for the first of these findings; none is fine."""
    if not findings:
        return
    more = f", and {len(findings) - 1:,} more" if len(findings) > 1 else ""
    worst = findings[0]
    if any(finding.lost for finding in findings):
        repair = f"`batchroute verify {directory}` names it all. Put back a copy, or start over with --fresh"
    elif any(finding.in_the_way for finding in findings):
        repair = f"`batchroute verify {directory}` names it all"
    else:
        repair = f"`batchroute verify {directory} --repair` mends it"
    raise OutputError(f"{directory}: {worst}{more}. {repair}.", code=worst.damage)
