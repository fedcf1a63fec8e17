"""One run at a time in an output directory."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from batchroute.core.errors import OutputError, OutputLockedError

LOCK_NAME = ".lock"


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Hold the directory's lock; the kernel frees it however the process ends.

    Creates the directory (mode 0700). Raises OutputLockedError at once when another run holds it,
    OutputError when the directory cannot be used.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(
            directory / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
    except OSError as error:
        raise _unusable(directory, error) from error
    try:
        if not _taken(descriptor):
            raise _held(directory)
        yield
    finally:
        os.close(descriptor)


def _taken(descriptor: int) -> bool:
    """Take the lock; False when a run holds it. Who looks holds it shared for a moment, and is no run."""
    while True:
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        fcntl.flock(descriptor, fcntl.LOCK_UN)


def _unusable(directory: Path, error: OSError) -> OutputError:
    with suppress(OSError):  # of a folder that may not be looked into there is no more to tell
        for path in (directory, *directory.parents):
            if path.is_symlink() and not path.exists():
                return OutputError(
                    f"output {directory}: {path} is a link to {path.readlink()}, which does not exist. "
                    "Make that directory, or name another."
                )
    return OutputError(f"output {directory}: {error.strerror}. Name a directory that can be written.")


def _held(directory: Path) -> OutputLockedError:
    return OutputLockedError(f"output {directory} is held by another run. Wait for it, or stop it.")


def refuse_if_held(directory: Path) -> None:
    """Raise OutputLockedError when a run holds the directory at this moment; the next moment is not promised."""
    if is_locked(directory):
        raise _held(directory)


def is_locked(directory: Path) -> bool:
    """Whether a run holds the directory now."""
    try:
        descriptor = os.open(directory / LOCK_NAME, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False
