"""SIGINT and SIGTERM as events of the loop: the first one asks to stop, the second one insists."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def listening(heard: Callable[[signal.Signals], None]) -> Iterator[None]:
    """Call `heard` in the running event loop for every SIGINT and SIGTERM. Only in the main thread."""
    loop = asyncio.get_running_loop()
    for number in SIGNALS:
        loop.add_signal_handler(number, heard, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)  # the terminal went away: the run goes on
    try:
        yield
    finally:
        for number in (*SIGNALS, signal.SIGHUP):
            loop.remove_signal_handler(number)
