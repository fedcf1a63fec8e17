"""The simulator as a real process: how it starts, what it loads, and that it never stays behind."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import msgspec
import psutil
import pytest

from batchroute.core.errors import NoModelError
from batchroute.job.simulation import Simulation
from batchroute.providers.simulator.process import simulated
from batchroute.providers.simulator.settings import Settings
from tests.providers.simulator.client import Client, connected, simulation

ROOT = Path(__file__).resolve().parents[3]
COMMAND = [sys.executable, "-m", "batchroute.providers.simulator"]
TIMEOUTS = simulation(m={}, hanging={"errors": {"timeout": 1}})


def children() -> list[psutil.Process]:
    return list(psutil.Process().children())


async def test_it_answers_while_the_block_lasts_and_is_gone_after_it() -> None:
    async with simulated(TIMEOUTS) as url, connected(url) as client:
        (child,) = children()
        assert url.startswith("http://127.0.0.1:")
        assert url.endswith("/v1")
        assert (await client.ask("m", "hello")).status == 200

    assert not child.is_running()
    assert children() == []


async def test_it_is_gone_after_an_error_in_the_block() -> None:
    found: list[psutil.Process] = []

    async def fail() -> None:
        async with simulated(TIMEOUTS):
            found.extend(children())
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await fail()

    assert [child.is_running() for child in found] == [False]


async def test_it_is_gone_after_a_cancellation() -> None:
    started = asyncio.Event()

    async def hold() -> None:
        async with simulated(TIMEOUTS):
            started.set()
            await asyncio.get_running_loop().create_future()

    holding = asyncio.get_running_loop().create_task(hold())
    await started.wait()
    (child,) = children()
    holding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holding

    assert not child.is_running()


async def test_two_at_once_listen_on_ports_of_their_own() -> None:
    async with simulated(Simulation()) as first, simulated(Simulation()) as second:
        assert first != second


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_to_the_group_is_left_to_the_parent(number: signal.Signals) -> None:
    async with simulated(TIMEOUTS) as url, connected(url) as client:
        (child,) = children()
        assert child.pid == os.getsid(child.pid)  # a session of its own: Ctrl-C does not even arrive
        child.send_signal(number)

        assert (await client.ask("m", "still there?")).status == 200


PARENT = """
import asyncio, os, sys
from batchroute.job.simulation import Simulation
from batchroute.providers.simulator.process import simulated

async def main():
    async with simulated(Simulation()) as url:
        print(url, flush=True)
        await asyncio.get_running_loop().create_future()

asyncio.run(main())
"""


async def test_it_ends_by_itself_when_its_parent_is_killed() -> None:
    parent = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PARENT, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert parent.stdout is not None
    url = (await parent.stdout.readline()).decode().strip()
    (child,) = psutil.Process(parent.pid).children()
    async with connected(url) as client:
        assert (await client.ask("nobody", "x")).status == 404
        parent.kill()
        await parent.wait()

        assert await rest_of(client) == b""
    while not ended(child):  # the test's time limit is the assertion
        pass


def ended(child: psutil.Process) -> bool:
    """Whether it has exited; its new parent may take its time to notice."""
    try:
        return child.status() in {psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD}
    except psutil.NoSuchProcess:
        return True


async def rest_of(client: Client) -> bytes:
    """What the server still sends until its end of the connection goes."""
    try:
        return await client.reader.read()
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize("program", ["/nowhere/python", "/bin/false", "/bin/true"])
async def test_what_cannot_start_says_so(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", program)

    with pytest.raises(NoModelError, match="simulator"):
        async with simulated(Simulation()):
            pytest.fail("nothing was started")

    assert children() == []


def test_its_process_loads_no_client_and_no_heavy_library() -> None:
    heavy = {"openai", "pyreqwest", "httpx2", "polars", "pydantic", "jinja2", "rich"}
    script = "import json, sys, batchroute.providers.simulator.__main__; print(json.dumps(list(sys.modules)))"
    loaded = subprocess.run([sys.executable, "-c", script], cwd=ROOT, check=True, capture_output=True).stdout

    assert heavy.isdisjoint(json.loads(loaded))


@pytest.mark.parametrize("told", [b"", b'{"models": {'])
def test_it_leaves_without_a_word_when_its_parent_dies_before_it_has_told_everything(told: bytes) -> None:
    ended = subprocess.run(COMMAND, cwd=ROOT, input=told, capture_output=True, check=False)

    assert (ended.returncode, ended.stdout, ended.stderr) == (0, b"", b"")


def test_it_leaves_without_a_word_when_nobody_is_left_to_hear_where_it_listens() -> None:
    process = subprocess.Popen(
        COMMAND, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    _, said = process.communicate(msgspec.json.encode(Settings.of(TIMEOUTS)) + b"\n")

    assert (process.returncode, said) == (0, b"")
