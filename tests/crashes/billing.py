"""A provider in a process of its own that bills what it is asked, so that a killed run cannot forget it."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from random import Random

from tests.crashes.books import INPUT_TOKENS, OUTPUT_TOKENS, answer_to
from tests.forks import FORKS

_ASKED = re.compile(rb"question (\d+)")
_LENGTH = re.compile(rb"content-length: *(\d+)", re.IGNORECASE)
_WHOLE_BILL, _CLOSE = "bill", "close"


@dataclass(frozen=True)
class BillingProvider:
    """The provider as the tester sees it."""

    url: str
    _line: Connection
    _asked: "Synchronized[int]"

    @property
    def asked(self) -> int:
        """How many requests have arrived; looking costs nothing."""
        return self._asked.value

    def bill(self) -> list[int]:
        """The record of every request that has arrived since the provider started, in order."""
        self._line.send(_WHOLE_BILL)
        told: list[int] = self._line.recv()
        return told


@contextmanager
def billing_provider(latency_s: float) -> Iterator[BillingProvider]:
    """Serve on a loopback port; answers take from half to one and a half of the latency."""
    here, there = FORKS.Pipe()
    asked = FORKS.Value("q", 0)
    process = FORKS.Process(target=_serve, args=(there, asked, latency_s), daemon=True)
    process.start()
    try:
        yield BillingProvider(f"http://127.0.0.1:{here.recv()}/v1", here, asked)
    finally:
        here.send(_CLOSE)
        process.join()


def _serve(line: Connection, asked: "Synchronized[int]", latency_s: float) -> None:
    asyncio.run(_serving(line, asked, latency_s))


async def _serving(line: Connection, asked: "Synchronized[int]", latency_s: float) -> None:
    loop = asyncio.get_running_loop()
    bill: list[int] = []
    closed = asyncio.Event()

    def told() -> None:
        if line.recv() == _WHOLE_BILL:
            line.send(bill)
        else:
            closed.set()

    chance = Random(1)
    server = await loop.create_server(lambda: _Conversation(bill, asked, latency_s, chance), "127.0.0.1", 0)
    line.send(server.sockets[0].getsockname()[1])
    loop.add_reader(line.fileno(), told)
    await closed.wait()
    server.close()


class _Conversation(asyncio.Protocol):
    """One connection: a request, its answer after a while, the next request."""

    def __init__(self, bill: list[int], asked: "Synchronized[int]", latency_s: float, chance: Random) -> None:
        self._bill, self._asked, self._latency_s, self._chance = bill, asked, latency_s, chance
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end, body = self._received.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not end or length is None or len(body) < int(length[1]):
            return
        self._received = b""
        asked = _ASKED.search(body)
        assert asked is not None, body
        self._bill.append(int(asked[1]))
        self._asked.value = len(self._bill)
        loop = asyncio.get_running_loop()
        delay_s = self._latency_s * (0.5 + self._chance.random())
        loop.call_later(delay_s, self._answer, int(asked[1]))

    def _answer(self, record: int) -> None:
        if not self._transport.is_closing():
            self._transport.write(_reply(answer_to(record)))


def _reply(content: str) -> bytes:
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
        ],
        "usage": {
            "prompt_tokens": INPUT_TOKENS,
            "completion_tokens": OUTPUT_TOKENS,
            "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS,
        },
    }
    body = json.dumps(completion).encode()
    head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body
