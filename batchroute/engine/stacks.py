"""Where everything stands: the stacks of all coroutines and threads, without a single value of theirs."""

import asyncio
import logging
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

LOG = logging.getLogger("batchroute")


def tell_stacks() -> None:
    """Log where everything stands."""
    LOG.warning("%s", stacks(), extra={"event": "stacks"})


def stacks() -> str:
    """The stacks of the running loop's tasks, equal ones told once with their number, then those of all threads."""
    tasks = Counter("\n".join(_awaited(task.get_coro())) for task in asyncio.all_tasks())
    told = [f"{count} task(s), the innermost call last:\n{stack}" for stack, count in tasks.most_common()]
    names = {thread.ident: thread.name for thread in threading.enumerate()}
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  its public name
        told.append(f"thread {names.get(ident, ident)}:\n" + "\n".join(_called(frame)))
    return "\n".join(told)


def _awaited(awaitable: Any) -> Iterator[str]:
    """The line at which each coroutine of a chain waits for the next; a task itself knows only the outermost."""
    while awaitable is not None:
        frame = getattr(awaitable, "cr_frame", None) or getattr(awaitable, "gi_frame", None)
        if frame is not None:
            yield _place(frame)
        inner = getattr(awaitable, "cr_await", None) or getattr(awaitable, "gi_yieldfrom", None)
        if inner is None and frame is None:
            yield f"  waits for {type(awaitable).__name__}"
        awaitable = inner


def _called(frame: FrameType | None) -> list[str]:
    places = []
    while frame is not None:
        places.append(_place(frame))
        frame = frame.f_back
    return places[::-1]


def _place(frame: FrameType) -> str:
    return f"  {frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_qualname}"
