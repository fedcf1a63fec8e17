"""What Ctrl-C means to a command."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


def end_at_once() -> None:
    """From now on Ctrl-C ends the program as it ends most others, and as a kill would: nothing is lost by that.

    Python raises KeyboardInterrupt wherever it happens to be. While it imports, that is at times a callback, where the
    interrupt is printed and forgotten, or leaves the lock of all imports held for ever.
    """
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt in here, where there is something to put in order first."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
