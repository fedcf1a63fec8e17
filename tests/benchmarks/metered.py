"""A provider with strict limits and a fixed latency, which notes when each request came.

A bucket holds one second's worth, refills continuously, and what is beyond it is refused with a bare 429: no hint,
no header. `python -m tests.benchmarks.metered SETTINGS` prints its base URL and serves until stdin ends.
"""

import asyncio
import contextlib
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import cast

import msgspec
import uvloop

from batchroute.providers.simulator import chat
from batchroute.providers.simulator.http import HttpRequest, RequestReader, render
from batchroute.providers.simulator.limits import Gate
from batchroute.providers.simulator.settings import Limits
from tests.benchmarks.children import pinned
from tests.benchmarks.stand_ins import ANSWER, TOKENS

_JSON = b"application/json"


class Settings(msgspec.Struct, frozen=True):
    """Limits by model, none for a model that is not named; seconds until an answer."""

    limits: dict[str, Limits] = {}
    latency_s: float = 0.0


class Noted(msgspec.Struct):
    """When each admitted request of a model came, monotonic seconds, and how many were refused."""

    arrivals: list[float] = []
    refused: int = 0


@dataclass(frozen=True)
class Metered:
    """A running one."""

    url: str

    def noted(self) -> dict[str, Noted]:
        """What it has noted so far, by model."""
        with urllib.request.urlopen(f"{self.url}/noted", timeout=30) as response:
            return msgspec.json.decode(response.read(), type=dict[str, Noted])


@contextlib.contextmanager
def metered(settings: Settings) -> Iterator[Metered]:
    """Run one in a process of its own, on the server's core."""
    command = (sys.executable, "-m", "tests.benchmarks.metered", msgspec.json.encode(settings).decode())
    with subprocess.Popen(
        pinned(command, "server"), stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            yield Metered(process.stdout.readline().strip())
        finally:
            process.stdin.close()


class _Asked(msgspec.Struct):
    model: str


class _Meter:
    def __init__(self, settings: Settings) -> None:
        now = time.monotonic()
        self._gates = {model: Gate(limits, now) for model, limits in settings.limits.items()}
        self._latency_s = settings.latency_s
        self._noted = defaultdict[str, Noted](Noted)
        self._asked = msgspec.json.Decoder(_Asked).decode
        self._answer = _rendered(200, msgspec.json.encode(ANSWER))
        self._refusal = _rendered(429, chat.error("Too many requests.", "requests", "rate_limit_exceeded"))

    def reply(self, request: HttpRequest) -> tuple[bytes, float]:
        """What to send, and in how many seconds."""
        if request.method == "GET":
            return _rendered(200, msgspec.json.encode(self._noted)), 0.0
        model, now = self._asked(request.body).model, time.monotonic()
        gate = self._gates.get(model)
        if gate is not None:
            if gate.refusal(TOKENS, now) is not None:
                self._noted[model].refused += 1
                return self._refusal, 0.0
            gate.enter(TOKENS)
        self._noted[model].arrivals.append(now)
        return self._answer, self._latency_s


class _Connection(asyncio.Protocol):
    def __init__(self, meter: _Meter) -> None:
        self._meter = meter
        self._reader = RequestReader()
        self._loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class does not inherit from it

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (request := self._reader.next()) is not None:
            reply, delay_s = self._meter.reply(request)
            if delay_s:
                self._loop.call_later(delay_s, self._send, reply)
            else:
                self._send(reply)

    def _send(self, reply: bytes) -> None:
        if not self._transport.is_closing():
            self._transport.write(reply)


def _rendered(status: int, body: bytes) -> bytes:
    return render(status, body, kind=_JSON, headers=b"", keep_alive=True)


async def _serve_until_stdin_ends(settings: Settings) -> None:
    loop, meter, ended = asyncio.get_running_loop(), _Meter(settings), asyncio.Event()
    server = await loop.create_server(lambda: _Connection(meter), "127.0.0.1", 0, backlog=8192)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", flush=True)
    loop.add_reader(sys.stdin.fileno(), ended.set)
    await ended.wait()


if __name__ == "__main__":
    uvloop.run(_serve_until_stdin_ends(msgspec.json.decode(sys.argv[1], type=Settings)))
