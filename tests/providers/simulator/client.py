"""A client of a few lines over a raw socket, so that no library mends what the server sends."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from batchroute.job.simulation import Simulation
from batchroute.providers.simulator.server import serve


@dataclass(frozen=True)
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def content(self) -> Any:
        return self.json["choices"][0]["message"]["content"]


class Client:
    """One keep-alive connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, method: str, path: str, body: bytes = b"") -> Answered:
        self.writer.write(raw(method, path, body))
        return await self.receive()

    async def receive(self) -> Answered:
        """The next response; raises IncompleteReadError when the server closes instead."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        status_line, *lines = head.rstrip().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await self.reader.readexactly(int(headers.get("content-length", 0)))
        return Answered(int(status_line.split()[1]), headers, body)

    async def ask(self, model: str, text: str, **members: Any) -> Answered:
        return await self.send("POST", "/v1/chat/completions", chat(model, text, **members))

    async def health(self) -> Any:
        return (await self.send("GET", "/health")).json


def raw(method: str, path: str, body: bytes = b"", headers: str = "") -> bytes:
    head = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def chat(model: str, text: str, **members: Any) -> bytes:
    return json.dumps({"model": model, "messages": [{"role": "user", "content": text}], **members}).encode()


def simulation(seed: int = 0, **models: dict[str, Any]) -> Simulation:
    return Simulation.model_validate({"seed": seed, "models": models})


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def served(seed: int = 0, **models: dict[str, Any]) -> AsyncIterator[Client]:
    """A simulator in this process, and a client connected to it."""
    async with serve(simulation(seed, **models)) as url, connected(url) as client:
        yield client
