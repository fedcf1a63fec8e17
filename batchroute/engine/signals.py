"""Signals as events of the loop: SIGINT and SIGTERM ask to stop, SIGUSR1 where everything stands."""

import asyncio
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

STOPPING = (signal.SIGINT, signal.SIGTERM)


class Ear:
    """What hears signals for a run that is not in the main thread."""

    def __init__(self) -> None:
        self._hear: Callable[[signal.Signals], object] | None = None

    def hear(self, number: signal.Signals) -> None:
        """Tell the run. Raises KeyboardInterrupt while there is none that listens. From the main thread."""
        if self._hear is None:
            raise KeyboardInterrupt
        self._hear(number)

    @contextmanager
    def lent(self, heard: Callable[[signal.Signals], None]) -> Iterator[None]:
        """Have signals told to `heard` in the running loop."""
        loop = asyncio.get_running_loop()
        self._hear = lambda number: loop.call_soon_threadsafe(heard, number)
        try:
            yield
        finally:
            self._hear = None


@contextmanager
def listening(heard: Callable[[signal.Signals], None], asked: Callable[[], None], ear: Ear) -> Iterator[None]:
    """Call `heard` in the running event loop for every SIGINT and SIGTERM, `asked` for SIGUSR1.

    SIGHUP is nothing: the terminal went away, and the run goes on. Afterwards signals mean again what they meant
    before. They reach only the main thread: a run in another one hears what its caller tells its `ear`.
    """
    if threading.current_thread() is not threading.main_thread():
        with ear.lent(heard):
            yield
        return
    loop = asyncio.get_running_loop()
    numbers = (*STOPPING, signal.SIGHUP, signal.SIGUSR1)
    before = {number: signal.getsignal(number) for number in numbers}
    for number in STOPPING:
        loop.add_signal_handler(number, heard, number)
    loop.add_signal_handler(signal.SIGHUP, lambda: None)
    loop.add_signal_handler(signal.SIGUSR1, asked)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
            if before[number] is not None:  # None: installed by other means than Python's
                signal.signal(number, before[number])
