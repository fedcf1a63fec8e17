"""The simulator's process: settings on the first line of stdin, the base URL on stdout, gone when stdin ends."""

import asyncio
import gc
import os
import signal
import sys
from collections.abc import Callable

from msgspec import json

from batchroute.providers.simulator.server import listen
from batchroute.providers.simulator.settings import Settings

_STDIN, _STDOUT = 0, 1


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    try:
        import uvloop  # noqa: PLC0415  # has no Windows build
    except ImportError:
        return asyncio.new_event_loop
    new_event_loop: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return new_event_loop


async def _serve_until_stdin_ends(settings: Settings) -> None:
    ended = asyncio.Event()

    def read() -> None:
        if not os.read(_STDIN, 4096):
            ended.set()

    async with listen(settings) as url:
        try:
            os.write(_STDOUT, f"{url}\n".encode())
        except BrokenPipeError:
            return  # nobody is left to be served
        asyncio.get_running_loop().add_reader(_STDIN, read)
        await ended.wait()
        asyncio.get_running_loop().remove_reader(_STDIN)


def main() -> None:
    """Serve as long as the other end of stdin lives. Its end alone says when to stop: signals that reach
    the whole process group are for the parent, which may still have requests in flight.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    line = sys.stdin.buffer.readline()
    if not line.endswith(b"\n"):
        return  # who started it died before all was said
    settings = json.decode(line, type=Settings)
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve_until_stdin_ends(settings))


if __name__ == "__main__":
    main()
