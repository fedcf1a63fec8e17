"""Importing what a command needs, without looking for garbage meanwhile."""

import gc
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in here what makes many objects. None of them is garbage, and no later search looks at them.

    Searching them for cycles again and again while they grew took a seventh of a short run.
    """
    gc.disable()
    try:
        with _ended_by_interrupt():
            yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _ended_by_interrupt() -> Iterator[None]:
    """Let Ctrl-C end the program as it ends most others: there is nothing yet that it could lose.

    Python raises KeyboardInterrupt wherever it happens to be, and while it imports, that is often in a callback where
    it is printed, forgotten, and the command goes on.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
