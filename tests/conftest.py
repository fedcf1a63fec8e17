"""Examples have no deadline of their own: a busy machine is no failure, and pytest's timeout ends what hangs."""

import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

GC_THRESHOLD = 50_000

MEMORY, ROOM = Path("/dev/shm"), 4 << 30
"""Where a sync takes no time, which was a third of many a test's; ROOM is ten times what a whole run has left."""
if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(MEMORY))


if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # a shell starts what it puts into the background so, and every child would inherit it
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """One more than there are cores: a quarter of the time tests wait, for a child, a deadline or a latency."""
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    return cores + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Garbage is not looked for while everything is imported, and then as in a run: seldom, and not among all that.

    Each run within this process asks for one full search, which took longer than many of the runs.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(GC_THRESHOLD, 10, 10)
        gc.enable()


@pytest.fixture(autouse=True)
def _signals_mean_afterwards_what_they_meant_before() -> Iterator[None]:
    """A command that runs within the tests' process changes them for good, and its children would inherit that."""
    numbers = (signal.SIGHUP, signal.SIGTERM, signal.SIGUSR1)
    before = [signal.getsignal(number) for number in numbers]
    yield
    for number, handler in zip(numbers, before, strict=True):
        if signal.getsignal(number) is not handler:
            signal.signal(number, handler)
