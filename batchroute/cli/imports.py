"""Importing what a command needs, without looking for garbage meanwhile."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def quick_imports() -> Iterator[None]:
    """Import in here what makes many objects. None of them is garbage, and no later search looks at them.

    Searching them for cycles again and again while they grew took a seventh of a short run.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
