"""Standard streams that nobody may be reading any more."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def dropped_if_unread() -> Iterator[None]:
    """Drop what is written to a stdout that takes no more: its reader has gone, or its disk is full. The run's exit code
    stays what it is.
    """
    try:
        yield
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
