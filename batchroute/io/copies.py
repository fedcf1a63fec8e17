"""A copy of a dataset in object storage, brought up to date object by object; it knows nothing of runs.

Storage has no rename and no transaction, but an object is replaced as a whole. So what the dataset does not hold any
more is removed first, what it has replaced takes the place of its object in one step, then comes what is new, and the
manifest last: no reader finds a record in two parts, though one that comes in between may miss what was taken away, or
hold the manifest of before. Of a dataset that was started over nothing may stand beside the new one: all of it goes first.
"""

import hashlib
import re
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from io import BytesIO
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from batchroute.core.errors import OutputError
from batchroute.io.buckets import Bucket, Head, StorageError, Stored, Trouble
from batchroute.io.files import ROUTES_NAME, digest_of
from batchroute.io.manifest import MANIFEST_NAME, Manifest
from batchroute.job.jobs import Job
from batchroute.job.storage import parts_of

_OURS: Final = re.compile(r"(results|ledger)/part-[^/]*\.parquet|routes\.parquet")
_BEGINNINGS: Final = ("results/part-", "ledger/part-", ROUTES_NAME)
_AT_ONCE: Final = 8
_SHA256: Final = "sha256"
_JOB: Final = "batchroute-job"
_WORDS: Final = {Trouble.DENIED: "copy_denied", Trouble.NO_BUCKET: "copy_missing"}


class _GivenUp(Exception):  # noqa: N818 - it never leaves this module
    pass


class DatasetCopy:
    """The copy of one output directory below a prefix, which belongs to that directory alone.

    Which objects are there is asked of the storage once; after that only what has changed is sent. An object tells by
    notes beside it its SHA-256, and whose it is. `unseen`: the directory is a new one, which knows of no copy.
    """

    def __init__(self, job: Job, url: str, *, unseen: bool) -> None:
        """Raises JobError where what speaks to object storage is not installed."""
        name, prefix = parts_of(url)
        self.url = url
        self._directory = job.output.path
        self._prefix = f"{prefix.rstrip('/')}/" if prefix else ""
        self._job = job.job
        self._unseen = unseen
        self._there: dict[str, str | None] | None = None
        """SHA-256 by path of the dataset, None where nothing tells it; nothing before the storage was asked."""
        self._writing = threading.Lock()
        self._given_up = threading.Event()
        with _refusals():
            self._bucket = Bucket(name, job.output.storage_options)

    def check(self) -> None:
        """Raise OutputError where somebody must mend something first: copy_denied, copy_missing, copy_foreign.

        A storage that does not answer is no reason to wait: it may answer when there is something to copy.
        """
        with suppress(StorageError), _refusals():
            self._found()

    def give_up(self) -> None:
        """End after the object that is on its way, in whatever thread, and begin nothing more."""
        self._given_up.set()

    def bring_up_to_date(self) -> None:
        """Copy what the dataset consists of at this moment. Raises StorageError or OutputError where that fails.

        What was copied before stays, and the next time goes on from there. One thread at a time does it.
        """
        with self._writing, suppress(_GivenUp), _readable():
            manifest = (self._directory / MANIFEST_NAME).read_bytes()
            wanted = _wanted(self._directory, manifest)
            there = self._found()
            kept = wanted.keys() if _goes_on(there, wanted) else ()
            for path in [path for path, sha256 in there.items() if wanted.get(path) != sha256]:
                if path not in kept:
                    self._remove(path)
                    del there[path]
            for path in _unsent(there, wanted):
                there[path] = None  # when its writing fails it may be there, or what it replaces
                self._put(path, wanted[path])
                there[path] = wanted[path]
            self._write(MANIFEST_NAME, BytesIO(manifest), hashlib.sha256(manifest).hexdigest())

    def _put(self, path: str, sha256: str) -> None:
        file = self._directory / path
        with file.open("rb") as body:  # once: meanwhile a refresh may put another file in its place
            if hashlib.file_digest(body, "sha256").hexdigest() != sha256:
                raise OutputError(
                    f"{file} is not what the manifest says it is. `batchroute verify` tells more."
                )
            body.seek(0)
            self._write(path, body, sha256)

    def _remove(self, path: str) -> None:
        self._go_on_unless_given_up()
        self._bucket.remove(self._prefix + path)

    def _go_on_unless_given_up(self) -> None:
        if self._given_up.is_set():
            raise _GivenUp

    def _write(self, path: str, body: BinaryIO, sha256: str) -> None:
        self._go_on_unless_given_up()
        self._bucket.put(self._prefix + path, body, sha256, {_SHA256: sha256, _JOB: self._job})

    def _found(self) -> dict[str, str | None]:
        if self._there is None:
            owner = self._bucket.head(self._prefix + MANIFEST_NAME)
            if owner is not None:
                self._refuse_foreign(MANIFEST_NAME, owner)
            paths = [stored.key.removeprefix(self._prefix) for stored in self._listed()]
            with ThreadPoolExecutor(_AT_ONCE) as askers:
                self._there = dict(zip(paths, askers.map(self._digest, paths), strict=True))
        return self._there

    def _listed(self) -> Iterator[Stored]:
        for beginning in _BEGINNINGS:
            for stored in self._bucket.listed(self._prefix + beginning):
                if _OURS.fullmatch(stored.key.removeprefix(self._prefix)):
                    yield stored

    def _digest(self, path: str) -> str | None:
        head = self._bucket.head(self._prefix + path)
        if head is None:
            return None
        self._refuse_foreign(path, head)
        return head.notes.get(_SHA256)

    def _refuse_foreign(self, path: str, head: Head) -> None:
        """To bring a copy up to date removes what does not belong to it, so it must surely be ours."""
        owner = head.notes.get(_JOB)
        if owner == self._job and not self._unseen:
            return
        whose = f"a copy of job {owner!r}" if owner else "files that batchroute has not written"
        remedy = "Name another prefix, or empty this one"
        if owner == self._job:
            whose = f"a copy of this job, of which {self._directory} knows nothing"
            remedy = "Name another prefix, or replace it with --fresh"
        raise OutputError(
            f"output.copy_to: {self.url} holds {whose} ({path}). {remedy} (copy_foreign).",
            code="copy_foreign",
        )


@contextmanager
def _readable() -> Iterator[None]:
    """A file of the dataset that cannot be read is an OutputError."""
    try:
        yield
    except OSError as error:
        raise OutputError(
            f"{error.filename}: {error.strerror}. Allow it to be read, then run again."
        ) from error


def _wanted(directory: Path, manifest: bytes) -> dict[str, str]:
    """SHA-256 by path of all that a copy holds beside the manifest, in the order in which it is written."""
    parts = msgspec.json.decode(manifest, type=Manifest).parts()
    wanted = {part.path: part.sha256 for part in parts}
    with suppress(FileNotFoundError):
        wanted[ROUTES_NAME] = digest_of(directory / ROUTES_NAME)
    return wanted


def _goes_on(there: dict[str, str | None], wanted: dict[str, str]) -> bool:
    """Whether the copy is of this dataset as it was, and of none before a fresh start: a part of a ledger never changes."""
    known = {path: sha256 for path, sha256 in there.items() if path.startswith("ledger/") and sha256}
    return bool(known) and all(wanted.get(path) == sha256 for path, sha256 in known.items())


def _unsent(there: dict[str, str | None], wanted: dict[str, str]) -> list[str]:
    """What is to be written: first what takes an object's place, as its records stand in no other."""
    unsent = [path for path in wanted if there.get(path) != wanted[path]]
    return sorted(unsent, key=lambda path: path not in there)


@contextmanager
def _refusals() -> Iterator[None]:
    """What only a person can mend is an OutputError."""
    try:
        yield
    except StorageError as error:
        code = _WORDS.get(error.trouble)
        if code is None:
            raise
        raise OutputError(f"output.copy_to: {error} ({code}).", code=code) from None
