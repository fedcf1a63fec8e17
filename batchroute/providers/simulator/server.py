"""The simulated provider on a socket: HTTP/1.1 with keep-alive, one request in flight a connection."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, cast

from batchroute.providers.simulator import chat
from batchroute.providers.simulator.http import CONTINUE, HttpRequest, ProtocolError, RequestReader, render
from batchroute.providers.simulator.replies import Ending, Reply, Simulator
from batchroute.providers.simulator.settings import Settings

if TYPE_CHECKING:  # see settings: the server's process does without pydantic
    from batchroute.job.simulation import Simulation

_READ_AHEAD_BYTES = 256 * 1024
_LINGER_S = 2.0
_JSON = b"application/json"


class Connection(asyncio.Protocol):
    """One client. Requests that arrive while one is in flight wait in the reader, and then in the socket."""

    def __init__(self, simulator: Simulator, open_connections: "set[Connection]") -> None:
        self._simulator = simulator
        self._open = open_connections
        self._loop = asyncio.get_running_loop()
        self._reader = RequestReader()
        self._transport: asyncio.Transport
        self._pending: Reply | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writable = True
        self._closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class does not inherit from it
        self._open.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  # the protocol's signature
        self._open.discard(self)
        self._closing = True
        if self._timer is not None:
            self._timer.cancel()
        self._give_up_place()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return  # said goodbye; the client has not heard yet
        self._reader.feed(data)
        self._advance()
        if self._stalled and len(self._reader) > _READ_AHEAD_BYTES:
            self._transport.pause_reading()

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        self._proceed()

    def abort(self) -> None:
        self._transport.abort()

    @property
    def _stalled(self) -> bool:
        return self._pending is not None or not self._writable

    def _proceed(self) -> None:
        if not self._closing:
            self._transport.resume_reading()
            self._advance()

    def _advance(self) -> None:
        """Take the requests that are whole, until one has to wait."""
        while not self._stalled and not self._closing:
            try:
                request = self._reader.next()
            except ProtocolError as error:
                self._refuse(error)
                return
            if request is None:
                if self._reader.take_continue():
                    self._transport.write(CONTINUE)
                return
            self._begin(request)

    def _begin(self, request: HttpRequest) -> None:
        reply = self._simulator.reply(request.method, request.path, request.body, self._loop.time())
        self._pending = reply
        if reply.ending is Ending.HANG:
            return
        if reply.delay_s > 0:
            self._timer = self._loop.call_later(reply.delay_s, self._resume, request.keep_alive)
        else:
            self._send(request.keep_alive)

    def _resume(self, keep_alive: bool) -> None:
        self._timer = None
        self._send(keep_alive)
        self._proceed()

    def _send(self, keep_alive: bool) -> None:
        reply = self._pending
        assert reply is not None
        self._give_up_place()
        if reply.ending is Ending.DISCONNECT:
            self._closing = True
            self._transport.abort()
            return
        self._transport.write(
            render(reply.status, reply.body, kind=reply.kind, headers=reply.headers, keep_alive=keep_alive)
        )
        if not keep_alive:
            self._closing = True
            self._transport.close()

    def _give_up_place(self) -> None:
        if self._pending is not None and self._pending.gate is not None:
            self._pending.gate.leave()
        self._pending = None

    def _refuse(self, error: ProtocolError) -> None:
        """Answer what is no request. The client may still be sending: closing at once would lose the answer."""
        body = chat.error(str(error), "invalid_request_error")
        self._transport.write(render(error.status, body, kind=_JSON, headers=b"", keep_alive=False))
        self._closing = True
        self._transport.write_eof()
        self._timer = self._loop.call_later(_LINGER_S, self._transport.abort)


@asynccontextmanager
async def listen(settings: Settings, *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve until the block is left; gives the base URL. Port 0 takes a free one. Raises OSError."""
    loop = asyncio.get_running_loop()
    simulator = Simulator(settings, loop.time())
    connections: set[Connection] = set()
    server = await loop.create_server(lambda: Connection(simulator, connections), host, port, backlog=4096)
    try:
        yield _base_url(host, server.sockets[0].getsockname()[1])
    finally:
        server.close()
        for connection in tuple(connections):
            connection.abort()
        await server.wait_closed()


@asynccontextmanager
async def serve(simulation: "Simulation", *, host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[str]:
    """Serve a simulation in this process until the block is left; gives the base URL. Raises OSError."""
    async with listen(Settings.of(simulation), host=host, port=port) as url:
        yield url


async def serve_forever(
    simulation: "Simulation", *, host: str, port: int, ready: Callable[[str], None]
) -> None:
    """Serve until cancelled; `ready` is given the base URL once connections are taken. Raises OSError."""
    async with serve(simulation, host=host, port=port) as url:
        ready(url)
        await asyncio.get_running_loop().create_future()


def _base_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}/v1" if ":" in host else f"http://{host}:{port}/v1"
