"""manifest.json: what the dataset consists of. Written last and atomically, and read without polars."""

import hashlib
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from batchroute.core.errors import OutputError
from batchroute.io.files import STORE_NAME, write_bytes

MANIFEST_NAME = "manifest.json"
SCHEMA_VERSION = 1
_TRACES = (MANIFEST_NAME, STORE_NAME, "results/part-*.parquet", "ledger/part-*.parquet")


class Part(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One file of the dataset, as the manifest lists it. `path` is relative to the output directory.

    `replacement` is the SHA-256 of the file that is just taking its place: until that is listed, it may be either.
    """

    path: str
    rows: int
    sha256: str
    replacement: str | None = None

    def agrees(self, other: "Part | None") -> bool:
        """Whether the other one, as it is listed, may be this file."""
        return (
            other is not None
            and (self.path, self.rows) == (other.path, other.rows)
            and other.may_be(self.sha256)
        )

    def may_be(self, sha256: str) -> bool:
        """Whether a file with this SHA-256 is the one listed, or its replacement."""
        return sha256 in {self.sha256, self.replacement}


class LastRun(Struct, frozen=True, kw_only=True):
    """How the last run stands: `state` is running, finished or stopped; times are ISO 8601, UTC.

    `models` is the health of each: closed (it takes requests), paused, open (it cools down), half_open, disabled.
    """

    run_id: str
    state: str
    started_at: str
    updated_at: str
    exit_code: int | None = None
    models: dict[str, str] = {}
    repeated: int = 0
    """Records that this run finished with the answer of an equal one."""
    cached: int = 0
    """The same with an answer from the cache."""
    spared_usd: Decimal | None = None
    """What these answers cost when they were asked for; None where that is unknown."""


class Manifest(Struct, frozen=True, kw_only=True):
    """The dataset: its parts with row counts and SHA-256, and its records by status.

    `stale` are those of the answered ones whose request has changed since; `fingerprint` is the latest run's job's.
    """

    schema_version: int = SCHEMA_VERSION
    job: str
    fingerprint: str
    results: tuple[Part, ...] = ()
    ledger: tuple[Part, ...] = ()
    counts: dict[str, int] = {}
    stale: int = 0
    last_run: LastRun | None = None
    digest: str = ""
    """SHA-256 of the file with this field empty. Earlier versions wrote none."""

    def parts(self) -> tuple[Part, ...]:
        """All parts, those of the results first."""
        return (*self.results, *self.ledger)


def read_manifest(directory: Path) -> Manifest | None:
    """The manifest, or None where there is none. Raises OutputError for one that cannot be understood."""
    try:
        content = (directory / MANIFEST_NAME).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OutputError(
            f"{directory / MANIFEST_NAME}: {error.strerror}. Allow it to be read, then run again."
        ) from error
    try:
        manifest = msgspec.json.decode(content, type=Manifest)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _damaged(directory, str(error)) from error
    if manifest.schema_version != SCHEMA_VERSION:
        raise OutputError(
            f"{directory} was written by another version of batchroute (schema {manifest.schema_version}). "
            "Use that version, or name another output directory."
        )
    if manifest.digest and manifest.digest != _digest(content, manifest.digest):
        raise _damaged(directory, "its digest is not that of what it holds")
    return structs.replace(manifest, digest="")


def holds_dataset(directory: Path) -> bool:
    """Whether a run has written there, be it that some of it is lost."""
    return any(next(directory.glob(trace), None) is not None for trace in _TRACES)


def without_manifest(directory: Path) -> OutputError:
    """The error of a directory that has none, with the remedy."""
    if holds_dataset(directory):
        return OutputError(
            f"{directory} holds no manifest, though a run has written there (manifest_missing). "
            f"`batchroute verify {directory}` tells what can be had again.",
            code="manifest_missing",
        )
    return OutputError(
        f"{directory} holds no manifest: no run has begun there. Name the output directory of a job, or start one "
        "with batchroute run."
    )


def write_manifest(directory: Path, manifest: Manifest) -> None:
    """Replace the manifest atomically. Raises OutputError."""
    unsigned = msgspec.json.format(msgspec.json.encode(structs.replace(manifest, digest="")), indent=2)
    empty = b'"digest": ""'
    signed = empty[:-1] + _digest(unsigned, "").encode() + b'"'
    write_bytes(directory, MANIFEST_NAME, signed.join(unsigned.rsplit(empty, 1)))


def _digest(content: bytes, written: str) -> str:
    return hashlib.sha256(content.replace(written.encode(), b"") if written else content).hexdigest()


def _damaged(directory: Path, why: str) -> OutputError:
    return OutputError(
        f"{directory / MANIFEST_NAME} is damaged: {why} (manifest_corrupt). "
        f"`batchroute verify {directory} --repair` writes it anew from state.db, or start over with --fresh.",
        code="manifest_corrupt",
    )
