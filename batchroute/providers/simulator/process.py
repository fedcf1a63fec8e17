"""The simulator as a child process, for as long as a block of code needs it."""

import asyncio
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from msgspec import json

from batchroute.core.errors import NoModelError
from batchroute.job.simulation import Simulation
from batchroute.providers.children import environment, module_command
from batchroute.providers.simulator.settings import Settings

_START_S = 20.0
_STOP_S = 2.0


@asynccontextmanager
async def simulated(simulation: Simulation) -> AsyncIterator[str]:
    """Run the simulator on a free loopback port; gives its base URL, `http://127.0.0.1:PORT/v1`.

    The process ends with the block, and by itself when this process dies. Raises NoModelError when it
    does not start.
    """
    process = await _start()
    try:
        yield await _introduce(process, Settings.of(simulation))
    finally:
        await _stop(process)


async def _start() -> Process:
    try:
        return await asyncio.create_subprocess_exec(
            *module_command("batchroute.providers.simulator"),
            stdin=PIPE,
            stdout=PIPE,
            env=environment(),
            start_new_session=True,  # Ctrl-C in the terminal is for us; we tell the simulator
        )
    except OSError as error:
        raise NoModelError(f"The simulator did not start: {error}.") from error


async def _introduce(process: Process, settings: Settings) -> str:
    """Tell the process its settings, hear its base URL."""
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            process.stdin.write(json.encode(settings) + b"\n")
            await process.stdin.drain()
            line = await process.stdout.readline()
    except (OSError, RuntimeError) as error:  # uvloop raises the latter where the pipe is already closed
        raise NoModelError(f"The simulator did not start: {error!r}. Run the job again.") from error
    if not line.startswith(b"http://"):
        raise NoModelError(
            "The simulator ended before it listened; its own message stands above. "
            f"Run `{sys.executable} -m batchroute.providers.simulator` to see it alone."
        )
    return line.decode().strip()


async def _stop(process: Process) -> None:
    """End of stdin asks it to go; what is left after two seconds, or when we are cancelled, is killed."""
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        pass
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
