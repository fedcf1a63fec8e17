"""Files of a dataset. Each is complete as soon as its name is visible."""

import errno
import hashlib
import os
from collections.abc import Callable
from pathlib import Path

from batchroute.core.errors import NoRoomError, OutputError

TEMPORARY = ".tmp"
ROUTES_NAME = "routes.parquet"
STORE_NAME = "state.db"
ROOM_BYTES = 256 << 20
"""What a run needs to end in good order: answers in flight, two parts of 32 MiB, a log of 16 MiB and its checkpoint."""


def write_at(descriptor: int, content: bytes, offset: int) -> None:
    """Write into an open file. Raises OSError, also where a disk that fills up takes only what still fits."""
    if os.pwrite(descriptor, content, offset) < len(content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_bytes(directory: Path, path: str, content: bytes) -> str:
    """Write a small file so that a reader sees all of it or nothing; returns its SHA-256. Raises OutputError."""

    def write(file: Path) -> None:
        file.write_bytes(content)

    return write_whole(directory, path, write)


def write_whole(directory: Path, path: str, write: Callable[[Path], object]) -> str:
    """Have a file written with the same guarantee, by what is given the path to write to.

    An existing file of that name is replaced. Mode 0600; the folder is made with 0700.
    """
    digest = draft(directory, path, write)
    place(directory, path)
    return digest


def draft(directory: Path, path: str, write: Callable[[Path], object]) -> str:
    """Have a file written and synced under a name that no reader sees; returns its SHA-256. Raises OutputError."""
    target = directory / path
    temporary = directory / TEMPORARY / target.name
    try:
        for folder in (temporary.parent, target.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        os.close(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600))
        write(temporary)
        return _synced(temporary)
    except OSError as error:
        raise unwritten(target, error) from error


def place(directory: Path, path: str) -> None:
    """Give a draft its name, in the place of what had it. Raises OutputError."""
    target = directory / path
    try:
        (directory / TEMPORARY / target.name).rename(target)
        _sync_directory(target.parent)
    except OSError as error:
        raise unwritten(target, error) from error


def replace_beside(target: Path, content: bytes, mode: int) -> None:
    """Write a small file outside of a dataset so that its readers see all of it or the one before.

    It may be lost when the power fails. Raises OSError.
    """
    temporary = target.with_name(f".{target.name}.tmp")
    temporary.unlink(missing_ok=True)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, mode)  # whatever the umask
        file.write(content)
    temporary.rename(target)


def unwritten(target: Path, error: Exception) -> OutputError:
    """The error of a file that could not be written, with the remedy."""
    return OutputError(f"{target}: {error}. Free space or mend the disk, then run again.")


def check_room(directory: Path, more: int = 0, wanted_for: str = "") -> None:
    """Raise NoRoomError where the disk has not enough room left to end a run in good order.

    Or where it would not once so many bytes `more` are written; they are wanted for something that has a name.
    """
    try:
        disk = os.statvfs(directory)
    except OSError as error:
        raise unwritten(directory, error) from error
    free = disk.f_bavail * disk.f_frsize
    if free < ROOM_BYTES + more:
        beside = f", beside {more >> 20} for {wanted_for}" if more else ""
        raise NoRoomError(
            f"{directory}: {free >> 20} MiB are free, and a run needs {ROOM_BYTES >> 20} to end in good order"
            f"{beside}. Free space, then run again."
        )


def remove(directory: Path, path: str) -> None:
    """Remove a file of the dataset if it is there. Raises OutputError."""
    file = directory / path
    try:
        if file.exists() or file.is_symlink():
            file.unlink()
            _sync_directory(file.parent)
    except OSError as error:
        raise OutputError(f"{directory / path}: {error}. Allow it to be removed, then run again.") from error


def clear_temporary(directory: Path) -> None:
    """Remove what a crash left half written. Raises OutputError."""
    try:
        for left in (directory / TEMPORARY).glob("*"):
            left.unlink()
    except OSError as error:
        raise OutputError(f"{directory / TEMPORARY}: {error}. Remove it, then run again.") from error


def digest_of(file: Path) -> str:
    """The SHA-256 of what a file holds. Raises OSError."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _synced(file: Path) -> str:
    with file.open("rb") as stream:
        os.fsync(stream.fileno())
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync_directory(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
