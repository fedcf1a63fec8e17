"""Files of a source that are objects: which there are, their bytes, and that they are still the same ones."""

import os
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from fnmatch import fnmatchcase
from glob import has_magic
from pathlib import Path, PurePosixPath
from typing import Final

from msgspec import Struct

from batchroute.core.errors import InputError
from batchroute.io.buckets import Bucket, StorageError, Stored, Trouble
from batchroute.io.files import check_room, unwritten, write_at
from batchroute.job.storage import StorageOptions, parts_of

PIECE: Final = 8 << 20
"""Bytes of one request for a part of an object."""
AT_ONCE: Final = 4
_CODES: Final = {
    Trouble.DENIED: "input_unreadable",
    Trouble.NO_BUCKET: "input_missing",
    Trouble.MISSING: "input_missing",
    Trouble.CHANGED: "input_changed",
    Trouble.UNREACHABLE: "input_io",
}


class Place(Struct, frozen=True):
    """Where an object is, and which version of it. Every method raises InputError."""

    bucket: Bucket
    stored: Stored

    @property
    def url(self) -> str:
        return self.bucket.url(self.stored.key)

    def read(self, start: int, length: int) -> bytes:
        """So many bytes of this version; input_changed where the object is another one by now."""
        with _told():
            return self.bucket.read(self.stored, start, length)

    def unchanged(self) -> bool:
        """Whether the object is still this version."""
        with _told():
            return self.bucket.holds(self.stored)

    def polars_options(self) -> dict[str, str]:
        """With which polars finds it."""
        with _told():
            return self.bucket.polars_options()

    def bring(self, folder: Path, unwanted: threading.Event) -> Path:
        """A copy in a new file of this folder, for whoever removes it; nothing is left of one that became `unwanted`.

        Raises NoRoomError where it would fill the disk, OutputError where it cannot be written.
        """
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            check_room(folder, self.stored.size, f"{self.url} while it is read")
            descriptor, path = tempfile.mkstemp(
                dir=folder, prefix="object-", suffix=PurePosixPath(self.stored.key).suffix
            )
            copy = Path(path)
            try:
                self._fill(descriptor, unwanted)
            except BaseException:
                copy.unlink()
                raise
            finally:
                os.close(descriptor)
            if unwanted.is_set():
                copy.unlink()
        except OSError as error:
            raise unwritten(folder, error) from error
        return copy

    def _fill(self, descriptor: int, unwanted: threading.Event) -> None:
        def piece(start: int) -> None:
            if unwanted.is_set():
                return
            content = self.read(start, min(PIECE, self.stored.size - start))
            write_at(descriptor, content, start)

        with ThreadPoolExecutor(AT_ONCE) as readers:
            for _ in readers.map(piece, range(0, self.stored.size, PIECE)):
                pass


def list_objects(url: str, options: StorageOptions) -> list[Place]:
    """What a URL stands for: an object, those directly below a prefix, or the matches of a glob.

    In the order of their keys. Names that begin with `.` or `_` are skipped below a prefix. Raises InputError.
    """
    name, pattern = parts_of(url)
    with _told():
        bucket = Bucket(name, options)
        if has_magic(pattern):
            return [Place(bucket, stored) for stored in _matching(bucket, pattern)]
        return [Place(bucket, stored) for stored in _below(bucket, pattern)]


def _below(bucket: Bucket, key: str) -> Iterator[Stored]:
    folder = f"{key.rstrip('/')}/" if key else ""
    for stored in bucket.listed(key):
        if stored.key == key and not key.endswith("/"):
            yield stored  # it comes first
            return
        rest = stored.key.removeprefix(folder)
        if stored.key.startswith(folder) and rest and "/" not in rest and rest[0] not in "._":
            yield stored


def _matching(bucket: Bucket, pattern: str) -> Iterator[Stored]:
    parts = pattern.split("/")
    plain = next(index for index, part in enumerate(parts) if has_magic(part))
    prefix = "".join(f"{part}/" for part in parts[:plain])
    for stored in bucket.listed(prefix):
        if not stored.key.endswith("/") and matches(stored.key.split("/"), parts):
            yield stored


def matches(names: list[str], patterns: list[str]) -> bool:
    """Whether a key fits, as `glob` has it: `*` stays within a part, `**` takes any number, neither takes hidden ones."""
    if not patterns:
        return not names
    first, rest = patterns[0], patterns[1:]
    if first == "**":
        below = bool(names) and not names[0].startswith(".") and matches(names[1:], patterns)
        return matches(names, rest) or below
    if not names or (names[0].startswith(".") and has_magic(first) and not first.startswith(".")):
        return False
    return fnmatchcase(names[0], first) and matches(names[1:], rest)


@contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except StorageError as error:
        raise InputError(str(error), code=_CODES[error.trouble]) from None
