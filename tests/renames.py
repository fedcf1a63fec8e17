"""Seeing a file get its name: Python's audit hooks tell of every rename, in its own thread, before it is done."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

Listener = Callable[[Path], None]

_listeners: list[Listener] = []


def _heard(event: str, arguments: tuple[object, ...]) -> None:
    if event == "os.rename" and _listeners:
        for listener in _listeners:
            listener(Path(str(arguments[1])))


sys.addaudithook(_heard)  # for good: Python takes none of them back


@contextmanager
def renames_told_to(listener: Listener) -> Iterator[None]:
    """Tell a listener the new name of every file that is renamed; while it waits, the rename does."""
    _listeners.append(listener)
    try:
        yield
    finally:
        _listeners.remove(listener)
