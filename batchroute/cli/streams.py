"""Standard streams that nobody may be reading any more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dropped_if_unread() -> Iterator[None]:
    """Drop what is written to a stdout whose reader has gone; the run's exit code stays what it is."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
