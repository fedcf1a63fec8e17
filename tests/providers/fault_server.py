"""A provider on loopback sockets that answers as it is told, down to the byte and the reset."""

import asyncio
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final

_NEVER_SLOW = 10.0  # seconds the server waits for its own connections to end


@dataclass(frozen=True, slots=True)
class Seen:
    """One request as it arrived on the wire; header names are lower case."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Raw:
    """Send these bytes."""

    octets: bytes


@dataclass(frozen=True, slots=True)
class Drip:
    """Send these bytes one by one, `gap_s` apart, until they end or the peer leaves."""

    octets: bytes
    gap_s: float


@dataclass(frozen=True, slots=True)
class Fin:
    """Close in good order."""


@dataclass(frozen=True, slots=True)
class Rst:
    """Close with a reset: SO_LINGER on, zero seconds."""


@dataclass(frozen=True, slots=True)
class Hang:
    """Stay open and silent until the peer leaves or the server closes."""


@dataclass(frozen=True, slots=True)
class Take:
    """Read this many bytes and go on."""

    octets: int


@dataclass(frozen=True, slots=True)
class Deaf:
    """Stay open and read nothing more, until the peer leaves or the server closes."""


Step = Raw | Drip | Fin | Rst | Hang | Take | Deaf
Script = tuple[Step, ...]
FIN: Final = Fin()
RST: Final = Rst()
HANG: Final = Hang()
DEAF: Final = Deaf()


def http(status: int, body: bytes | str = b"", **headers: str) -> Raw:
    """A full response; `retry_after="2"` becomes the header `retry-after`, and content-length is right."""
    octets = body.encode() if isinstance(body, str) else body
    lines = {"content-type": "application/json", "content-length": str(len(octets))}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    try:
        phrase = HTTPStatus(status).phrase
    except ValueError:
        phrase = "Unknown"
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return Raw(f"HTTP/1.1 {status:03d} {phrase}\r\n{head}\r\n".encode() + octets)


def error(status: int, code: str | None = None, message: str = "refused", **headers: str) -> Raw:
    """A response with the error envelope of OpenAI's API."""
    body = {"error": {"message": message, "type": "some_error", "param": None, "code": code}}
    return http(status, json.dumps(body), **headers)


def completion(**changes: Any) -> dict[str, Any]:
    """The JSON of a good answer; `message`, `choice` and `usage` change the parts of those names."""
    message = {"role": "assistant", "content": "yes", "refusal": None} | changes.pop("message", {})
    choice = {"index": 0, "message": message, "finish_reason": "stop"} | changes.pop("choice", {})
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "m",
        "choices": [choice],
        "usage": usage,
    } | changes


def ok(**changes: Any) -> Raw:
    """A good answer over HTTP."""
    return http(200, json.dumps(completion(**changes)))


@dataclass(slots=True)
class FaultServer:
    """Plays one script a request, in order, then `otherwise`; `greeting` is played before any request."""

    port: int = 0
    scheme: str = "http"
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    scripts: list[Script] = field(default_factory=list)
    greeting: Script = ()
    otherwise: Script = ()
    tunnel_to: int | None = None
    """A loopback port that what follows a CONNECT is piped to."""
    _open: dict[asyncio.Task[None], asyncio.StreamWriter] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}/v1"

    def play(self, *steps: Step) -> None:
        """Answer the next request that has no script with these steps."""
        self.scripts.append(steps)

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        conversation = asyncio.current_task()
        assert conversation is not None
        self._open[conversation] = writer
        try:
            await self._converse(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError):
            pass  # the client left, which is what many of these tests are about
        finally:
            writer.close()
            with suppress(Exception):
                await writer.wait_closed()
            del self._open[conversation]

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.greeting and not await _play(self.greeting, reader, writer):
            return
        while (request := await _read(reader)) is not None:
            self.seen.append(request)
            script = self.scripts.pop(0) if self.scripts else self.otherwise or (ok(),)
            if not await _play(script, reader, writer):
                return
            if request.method == "CONNECT" and self.tunnel_to is not None:
                await _tunnel(self.tunnel_to, reader, writer)
                return

    async def all_left(self) -> None:
        """Wait until no connection is open any more."""
        while self._open:
            await asyncio.wait(self._open)

    async def hang_up(self) -> None:
        """Drop every open connection and see its conversation end."""
        for writer in self._open.values():
            writer.transport.abort()
        if self._open:
            await asyncio.wait(self._open, timeout=_NEVER_SLOW)


async def _play(script: Sequence[Step], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
    for step in script:
        match step:
            case Raw(octets):
                writer.write(octets)
                await writer.drain()
            case Drip(octets, gap_s):
                await _drip(octets, gap_s, reader, writer)
            case Hang():
                await reader.read()
                return False
            case Take(count):
                await reader.readexactly(count)
            case Deaf():
                writer.transport.pause_reading()  # type: ignore[attr-defined] # a socket's transport has it
                await writer.wait_closed()
                return False
            case Rst():
                _reset(writer)
                return False
            case Fin():
                return False
    return True


async def _tunnel(port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    there_reader, there_writer = await asyncio.open_connection("127.0.0.1", port)
    async with asyncio.TaskGroup() as group:
        group.create_task(_pipe(reader, there_writer))
        group.create_task(_pipe(there_reader, writer))


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while octets := await reader.read(2**16):
            writer.write(octets)
            await writer.drain()
    writer.close()


async def _drip(
    octets: bytes, gap_s: float, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    for number in octets:
        writer.write(bytes((number,)))
        await writer.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(gap_s):
                if not await reader.read(1):
                    raise ConnectionResetError


def _reset(writer: asyncio.StreamWriter) -> None:
    sock: socket.socket = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n") if not reader.at_eof() else b""
    if not head:
        return None
    first, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = dict(_fields(lines))
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body)


def _fields(lines: Iterable[str]) -> Iterable[tuple[str, str]]:
    for line in lines:
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()


@asynccontextmanager
async def serving(
    *scripts: Script,
    tls: ssl.SSLContext | None = None,
    greeting: Script = (),
    otherwise: Script = (),
) -> AsyncIterator[FaultServer]:
    """A fault server on a free loopback port, gone at the end with all its connections."""
    fault = FaultServer(
        scheme="https" if tls else "http", scripts=list(scripts), greeting=greeting, otherwise=otherwise
    )
    server = await asyncio.start_server(fault.talk, "127.0.0.1", 0, ssl=tls, limit=2**20)
    fault.port = server.sockets[0].getsockname()[1]
    try:
        yield fault
    finally:
        server.close()
        await fault.hang_up()
