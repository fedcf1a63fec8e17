"""Standard streams that nobody may be reading any more."""

import io
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer


@contextmanager
def dropped_if_unread() -> Iterator[None]:
    """Drop what is written to a stdout that takes no more: its reader has gone, or its disk is full. The run's exit code
    stays what it is.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError:
        drop_stdout()


def drop_stdout() -> None:
    """Let nobody have what is written to stdout from now on, nor what it has not taken yet."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class StdoutError(OSError):
    """Stdout, and no file, did not take what was written: its disk is full, say."""


class _Stdout(io.FileIO):
    """The descriptor of a stream, which stays open with it: whoever drops that closes this."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(stream.fileno(), "w", closefd=False)
        self._stream = stream

    def write(self, octets: "ReadableBuffer") -> int:
        try:
            return super().write(octets)
        except BrokenPipeError:
            raise
        except OSError as error:
            raise StdoutError(error.errno, error.strerror) from None


def tell_stdout_apart() -> None:
    """Have what stdout does not take raised as StdoutError, or as BrokenPipeError."""
    was = sys.stdout
    was.flush()
    sys.stdout = io.TextIOWrapper(
        io.BufferedWriter(_Stdout(was)),
        encoding=was.encoding,
        errors=was.errors,
        line_buffering=bool(was.line_buffering),
    )
