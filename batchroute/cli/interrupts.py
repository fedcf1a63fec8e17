"""What Ctrl-C means to a command."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager


def end_at_once() -> None:
    """From now on Ctrl-C ends the program as it ends most others, and as a kill would: nothing is lost by that.

    Python raises KeyboardInterrupt wherever it happens to be. While it imports, that is at times a callback, where the
    interrupt is printed and forgotten, or leaves the lock of all imports held for ever.
    """
    if not _ignored():
        signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextmanager
def interruptible() -> Iterator[None]:
    """Have Ctrl-C raise KeyboardInterrupt in here, where there is something to put in order first."""
    if _ignored():
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def tidied(tidy: Callable[[], object]) -> Iterator[None]:
    """Have Ctrl-C do this before it ends the program, without raising anything."""
    if _ignored():
        yield
        return

    def end(number: int, _: object) -> None:
        tidy()
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)

    before = signal.signal(signal.SIGINT, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _ignored() -> bool:
    """Whether who started the program wants it to be: as a shell does of what a script runs in the background."""
    return signal.getsignal(signal.SIGINT) is signal.SIG_IGN
