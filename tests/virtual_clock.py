"""An event loop on which waiting takes no time: when nothing is ready, its clock jumps to the next timer.

For coroutines alone. Real sockets, processes and threads of one's own must not be used on it: while they work
nothing is ready, and the clock would jump or the loop report a deadlock.
"""

import asyncio
import concurrent.futures
import contextlib
import io
import random
import selectors
import traceback
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context
from typing import Any, TypeVar, TypeVarTuple, Unpack
from unittest import mock

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

WEEK = 7 * 24 * 3600.0


class DeadlockError(Exception):
    """Nothing is ready and no timer is set: whatever the coroutines wait for can never come."""


class VirtualTimeError(Exception):
    """The clock ran past its limit: something repeats for ever."""


def run(coroutine: Coroutine[Any, Any, T], *, seed: int | None = None, limit: float = WEEK) -> T:
    """Run on a new loop and return what the coroutine returns, as `asyncio.run` does.

    A seed gives one of the possible orders of the timers that are due at the same time (within a nanosecond,
    by which times may then be off) and one sequence of the `random` module; a failure names it.
    """
    state = random.getstate()
    random.seed(seed or 0)
    try:
        with (
            throttlers_on_loop_time(),
            asyncio.Runner(loop_factory=lambda: VirtualClockLoop(seed=seed, limit=limit)) as runner,
        ):
            return runner.run(coroutine)
    except BaseException as error:
        error.add_note(f"virtual clock, seed {seed}")
        raise
    finally:
        random.setstate(state)


class VirtualClockLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0 and moves only when nothing is ready, up to `limit` seconds."""

    def __init__(self, *, seed: int | None = None, limit: float = WEEK) -> None:
        self._now = 0.0
        self._limit = limit
        self._order = None if seed is None else random.Random(seed)
        super().__init__(_JumpingSelector(self))

    def time(self) -> float:
        return self._now

    def jump(self, seconds: float | None) -> None:
        """Move the clock to the next timer, `seconds` away, None when there is none."""
        if seconds is None:
            raise DeadlockError(f"nothing is ready at {self._now} s\n{_stacks(self)}")
        self._now += seconds
        if self._now > self._limit:
            raise VirtualTimeError(f"{self._limit} s have passed\n{_stacks(self)}")

    def call_at(
        self,
        when: float,
        callback: Callable[[Unpack[Ts]], object],
        *args: *Ts,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        if self._order is not None:  # asyncio promises no order of equal times: any is fair
            when += self._order.random() * 1e-9
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(
        self,
        executor: concurrent.futures.Executor | None,
        func: Callable[[Unpack[Ts]], T],
        *args: *Ts,
    ) -> asyncio.Future[T]:
        """Run it at once and in this thread, so that time does not jump while a thread works."""
        future: asyncio.Future[T] = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it is raised where the future is awaited
            future.set_exception(error)
        return future


class _JumpingSelector(selectors.DefaultSelector):
    """Reports what came from outside (a signal, a call from another thread) once nothing else is ready, or else jumps."""

    def __init__(self, loop: VirtualClockLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if (
            timeout == 0
        ):  # callbacks are ready; asking the system at each of their turns took longer than they do
            return []
        ready = super().select(0)
        if not ready:
            self._loop.jump(timeout)
        return ready


def _stacks(loop: asyncio.AbstractEventLoop) -> str:
    text = io.StringIO()
    for task in asyncio.all_tasks(loop):
        text.write(f"{task.get_name()}\n")
        awaited: Any = task.get_coro()
        while frame := getattr(awaited, "cr_frame", None):
            text.writelines(traceback.format_list(traceback.extract_stack(frame, limit=1)))
            awaited = awaited.cr_await
        text.write(f"  waits for {awaited!r}\n")
    return text.getvalue()


class _LoopTime:
    @staticmethod
    def monotonic() -> float:
        return asyncio.get_running_loop().time()


@contextlib.contextmanager
def throttlers_on_loop_time() -> Iterator[None]:
    """Throttlers read the running loop's clock. `run` does this by itself.

    asyncio_throttle 1.0.2 calls `time.monotonic` by its full name and takes no clock: the `time` of its module is
    the only door.
    """
    with mock.patch("asyncio_throttle.throttler.time", _LoopTime):
        yield
