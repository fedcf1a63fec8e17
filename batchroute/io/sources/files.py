"""The files of a source: which there are, how they are shown, and that none is read twice."""

import errno
import glob
import os
import stat
from collections.abc import Iterable
from enum import StrEnum
from pathlib import Path

from msgspec import Struct

from batchroute.core.errors import InputError
from batchroute.io.sources.objects import Place, list_objects
from batchroute.job.storage import SCHEME, StorageOptions


class Kind(StrEnum):
    """What a file holds, told by its suffix and verified by its first bytes."""

    JSONL = "jsonl"
    JSONL_GZIP = "jsonl.gz"
    JSONL_ZSTD = "jsonl.zst"
    PARQUET = "parquet"


KINDS = {
    ".jsonl": Kind.JSONL,
    ".ndjson": Kind.JSONL,
    ".jsonl.gz": Kind.JSONL_GZIP,
    ".ndjson.gz": Kind.JSONL_GZIP,
    ".jsonl.zst": Kind.JSONL_ZSTD,
    ".ndjson.zst": Kind.JSONL_ZSTD,
    ".parquet": Kind.PARQUET,
}
SUFFIXES = ".jsonl or .ndjson (also .gz, .zst) or .parquet"


class Identity(Struct, frozen=True):
    """Which file it is, whatever it is called, and when it was last written (nanoseconds since the epoch)."""

    device: int
    inode: int
    mtime_ns: int

    @classmethod
    def of(cls, status: os.stat_result) -> "Identity":
        return cls(status.st_dev, status.st_ino, status.st_mtime_ns)


class SourceFile(Struct, frozen=True, kw_only=True):
    """One file or object as it was when the source was opened; `name` is relative to the files' common folder.

    An object has a `place`, whose ETag tells which one it is; its `path` is its key, or where a copy of it is.
    """

    path: Path
    name: str
    kind: Kind
    size: int
    identity: Identity | None
    place: Place | None = None

    @property
    def root(self) -> Path:
        """The folder that the names of all files of the source are relative to."""
        return self.path.parents[len(Path(self.name).parts) - 1]

    def holds(self, status: os.stat_result) -> bool:
        """Whether the bytes that were there at opening can still be there: the file may only have grown."""
        if self.identity is None:
            return False
        if (status.st_dev, status.st_ino) != (self.identity.device, self.identity.inode):
            return False
        return status.st_size > self.size or self.unchanged(status)

    @property
    def version(self) -> tuple[int | str, ...]:
        """What becomes another one when the file is written to or replaced, the object replaced."""
        if self.place is not None:
            return self.size, self.place.stored.etag
        assert self.identity is not None
        return self.size, self.identity.mtime_ns, self.identity.inode

    def modified_since(self, moment: float) -> bool:
        """Whether it was last modified at this moment (seconds since the epoch) or later; an object, stored."""
        if self.place is not None:
            return self.place.stored.modified >= moment
        assert self.identity is not None
        return self.identity.mtime_ns >= moment * 1e9

    def has_grown(self) -> bool:
        """Whether there is more in it now. An object never grows: it is replaced."""
        if self.place is not None:
            return False
        status = _status(str(self.path))
        return status is not None and status.st_size > self.size

    def unchanged(self, status: os.stat_result) -> bool:
        """Whether it is the same file, of the same size, last written at the same time."""
        return (status.st_size, Identity.of(status)) == (
            self.size,
            self.identity,
        )


class Listing(Struct, frozen=True):
    """The data files in name order, and the paths passed over because their suffix is no kind of ours."""

    files: tuple[SourceFile, ...]
    foreign: tuple[str, ...]


def list_files(path: str, options: StorageOptions | None = None) -> Listing:
    """Find what a path stands for: a file, a folder's data files (not recursive) or the matches of a glob.

    Hidden names (`.`, `_`) are skipped in folders. `s3://bucket/key` is looked for in object storage, which `options`
    tell how to reach. Raises InputError: input_missing, input_unreadable, input_not_regular, input_duplicate_file,
    input_format, and input_io where the storage fails; JobError where what speaks to it is not installed.
    """
    if path.startswith(SCHEME):
        return _objects(path, options or StorageOptions())
    status = _status(path)
    if status is None:
        # Path.glob refuses absolute patterns.
        matches = sorted(glob.glob(path, recursive=True)) if glob.has_magic(path) else []  # noqa: PTH207
        paths = [Path(match) for match in matches if not Path(match).is_dir()]
    elif stat.S_ISDIR(status.st_mode):
        paths = _visible(path)
    else:
        return Listing(_files([Path(path)]), ())
    data = [found for found in paths if kind_of(found) is not None]
    foreign = tuple(shown(found.name) for found in paths if kind_of(found) is None)
    if not data:
        raise _nothing(path, foreign)
    return Listing(_files(data), foreign)


def kind_of(path: Path) -> Kind | None:
    """The kind that a file's name declares; None for a suffix that no source reads."""
    name = path.name.lower()
    return next((kind for suffix, kind in KINDS.items() if name.endswith(suffix)), None)


def shown(name: str) -> str:
    """A file name as text that can be written anywhere; bytes that are not UTF-8 appear as escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def unreadable(name: str, error: OSError) -> InputError:
    return InputError(f"{shown(name)} cannot be read: {error.strerror}", code="input_unreadable")


def _status(path: str) -> os.stat_result | None:
    try:
        return os.stat(path)  # noqa: PTH116 - a glob is not a Path
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return None
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return None
        raise unreadable(path, error) from error


def _visible(folder: str) -> list[Path]:
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if entry.name[0] not in "._" and not entry.is_dir()]
    except OSError as error:
        raise unreadable(folder, error) from error
    return [Path(folder, name) for name in sorted(names)]


def _nothing(path: str, foreign: tuple[str, ...]) -> InputError:
    if not foreign:
        return InputError(f"there is no data file at {shown(path)!r}", code="input_missing")
    return InputError(
        f"{shown(path)!r} has no data file, only {', '.join(foreign[:3])}. Convert to {SUFFIXES}",
        code="input_missing",
    )


def _objects(url: str, options: StorageOptions) -> Listing:
    places = [(Path(place.stored.key), place) for place in list_objects(url, options)]
    data = [(path, place) for path, place in places if kind_of(path) is not None]
    foreign = tuple(shown(path.name) for path, _ in places if kind_of(path) is None)
    if not data:
        raise _nothing(url, foreign)
    parent = os.path.commonpath([Path("/", path).parent for path, _ in data])
    return Listing(tuple(_object(path, place, parent) for path, place in data), foreign)


def _object(path: Path, place: Place, parent: str) -> SourceFile:
    kind = kind_of(path)
    assert kind is not None
    name = shown(str(Path("/", path).relative_to(parent)))
    return SourceFile(path=path, name=name, kind=kind, size=place.stored.size, identity=None, place=place)


def _files(paths: list[Path]) -> tuple[SourceFile, ...]:
    parent = os.path.commonpath([path.absolute().parent for path in paths])
    files = tuple(_file(path, parent) for path in paths)
    _refuse_twins(files)
    return files


def _file(path: Path, parent: str) -> SourceFile:
    name = shown(str(path.absolute().relative_to(parent)))
    status = _status(str(path))
    if status is None:
        raise InputError(f"{name} is a link to nothing", code="input_missing")
    if not stat.S_ISREG(status.st_mode):
        raise InputError(
            f"{name} is not a regular file, so it cannot be read twice", code="input_not_regular"
        )
    kind = kind_of(path)
    if kind is None:
        raise InputError(
            f"{name} has a suffix that is not read. Convert it to {SUFFIXES}", code="input_format"
        )
    return SourceFile(path=path, name=name, kind=kind, size=status.st_size, identity=Identity.of(status))


def _refuse_twins(files: Iterable[SourceFile]) -> None:
    seen: dict[tuple[int, int], str] = {}
    for file in files:
        assert file.identity is not None
        first = seen.setdefault((file.identity.device, file.identity.inode), file.name)
        if first is not file.name:
            raise InputError(
                f"{file.name} is the same file as {first}. Keep one of them", code="input_duplicate_file"
            )
