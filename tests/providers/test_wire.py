"""What the wire knows and the SDK's client does not: how far an exchange had come, and where a reply ends."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Response
from batchroute.providers.dialing import Dialer
from batchroute.providers.exchanges import MAX_HEAD_BYTES, Connection
from batchroute.providers.transports import MAX_BODY_BYTES
from batchroute.providers.wire import Wire
from tests.providers.builders import AMPLE_S, ask, failed, provider_at
from tests.providers.fault_server import DEAF, FIN, HANG, Raw, Script, Take, http, ok, serving

SHORT_S = 0.2
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
LARGE = Request(messages=b'[{"role":"user","content":"%b"}]' % (b"x" * 2**24))


@asynccontextmanager
async def deaf(*, saying: bytes = b"", reset: bool = False) -> AsyncIterator[str]:
    """The URL of a server that takes the beginning of a request and no more of it."""
    leaving = asyncio.Event()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(saying)
        if reset:
            writer.transport.abort()
        await leaving.wait()
        writer.transport.abort()

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    finally:
        leaving.set()
        server.close()


class Watched:
    """The connections that are opened, and when the first of them is gone."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[Connection] = []
        self.gone = asyncio.Event()
        dial = Dialer.dial

        async def watching(dialer: Dialer, gone: Callable[[Connection], None], deadline: float) -> Connection:
            def left(connection: Connection) -> None:
                self.gone.set()
                gone(connection)

            self.opened.append(await dial(dialer, left, deadline))
            return self.opened[-1]

        monkeypatch.setattr(Dialer, "dial", watching)


@pytest.mark.parametrize(
    "junk", [b"x" * 500, ok().octets, b"\r\n\r\nHTTP"], ids=["junk", "an answer", "half a one"]
)
async def test_a36_bytes_after_the_answer_are_flagged_and_answer_nobody_else(junk: bytes) -> None:
    spoilt = Raw(ok(message={"content": "first"}).octets + junk)
    async with serving((spoilt,)) as server, provider_at(Wire, server.url) as provider:
        outcome, following = await ask(provider), await ask(provider)

    assert isinstance(outcome, Response), outcome
    assert isinstance(following, Response), following
    assert (outcome.content, outcome.flag) == ("first", "extra_bytes")
    assert (following.content, following.flag) == ("yes", None)
    assert server.connections == 2


async def test_an_answer_that_nobody_asked_for_ends_the_connection() -> None:
    unasked = Raw(ok(message={"content": "of whom?"}).octets)
    async with serving((ok(), unasked)) as server, provider_at(Wire, server.url) as provider:
        await ask(provider)
        async with asyncio.timeout(AMPLE_S):
            await server.all_left()
        following = await ask(provider)

    assert isinstance(following, Response), following
    assert (following.content, server.connections) == ("yes", 2)


ENDLESS: dict[str, tuple[Script, ErrorType]] = {
    "A33 interim replies": (
        (Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n" * 40), HANG),
        ErrorType.PROTOCOL_VIOLATION,
    ),
    "A33 another protocol": (
        (Raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), HANG),
        ErrorType.PROTOCOL_VIOLATION,
    ),
    "A35 one header": ((Raw(HEAD + b"x: " + b"y" * (MAX_HEAD_BYTES + 9)), HANG), ErrorType.HEADERS_TOO_LARGE),
    "A35 the trailer": (
        (Raw(CHUNKED + b"0\r\n" + b"x: yyyyyyyy\r\n" * 9_000), HANG),
        ErrorType.HEADERS_TOO_LARGE,
    ),
    "A45 one byte a chunk": ((Raw(CHUNKED + b"1\r\nx\r\n" * 2_000_000), HANG), ErrorType.BODY_TOO_LARGE),
    "A45 one chunk": (
        (Raw(CHUNKED + b"FFFFFFF\r\n" + b"x" * (MAX_BODY_BYTES + 9)), HANG),
        ErrorType.BODY_TOO_LARGE,
    ),
}


@pytest.mark.parametrize(("script", "error_type"), ENDLESS.values(), ids=ENDLESS.keys())
async def test_what_has_no_end_is_cut(script: Script, error_type: ErrorType) -> None:
    async with serving(script) as server, provider_at(Wire, server.url) as provider:
        told = failed(await ask(provider))
        following = await ask(provider)

    assert (told.error_type, told.sent) == (error_type, True)
    assert isinstance(following, Response), following


async def test_a18_an_upload_that_is_not_taken_was_not_handed_over() -> None:
    async with deaf() as url, provider_at(Wire, url) as provider:
        told = failed(await provider.send(LARGE, "m", timeout_s=SHORT_S))

    assert (told.error_type, told.sent) == (ErrorType.WRITE_TIMEOUT, False)


async def test_a21_an_upload_that_is_reset_was_not_handed_over() -> None:
    async with deaf(reset=True) as url, provider_at(Wire, url) as provider:
        told = failed(await provider.send(LARGE, "m", timeout_s=AMPLE_S))

    assert (told.error_type, told.sent) == (ErrorType.CONNECTION_LOST, False)


async def test_a22_one_stale_connection_makes_all_that_are_kept_doubtful() -> None:
    async with serving() as server, provider_at(Wire, server.url) as provider:
        async with asyncio.TaskGroup() as group:
            for _ in range(3):
                group.create_task(ask(provider))
        server.otherwise = (FIN,)  # the next request on any of them
        told = failed(await ask(provider))
        server.otherwise = ()
        following = await ask(provider)

    assert (told.error_type, told.sent) == (ErrorType.STALE_CONNECTION, True)
    assert isinstance(following, Response), following
    assert server.connections == 4


async def test_a22_a_kept_connection_that_takes_no_byte_was_not_handed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    async with serving() as server, provider_at(Wire, server.url) as provider:
        await ask(provider)
        number = watched.opened[0].transport.get_extra_info("socket").fileno()
        with socket.socket(fileno=os.dup(number)) as its_socket:
            its_socket.shutdown(socket.SHUT_WR)
        told = failed(await ask(provider))

    assert (told.error_type, told.sent) == (ErrorType.STALE_CONNECTION, False)
    assert len(server.seen) == 1


async def test_a_tunnel_that_closes_in_the_handshake_says_so() -> None:
    async with serving((http(200), FIN)) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        async with provider_at(Wire, "https://provider.invalid/v1", proxy=url) as provider:
            told = failed(await ask(provider))

    assert (told.error_type, told.sent) == (ErrorType.CONNECTION_LOST, False)
    assert told.message == "connection lost: closed in the handshake"


async def test_refusal_that_comes_before_the_upload_is_through_is_heard() -> None:
    early = http(413, "{}", connection="close")
    async with deaf(saying=early.octets) as url, provider_at(Wire, url) as provider:
        told = failed(await provider.send(LARGE, "m", timeout_s=AMPLE_S))

    assert (told.error_type, told.http_status) == (ErrorType.REQUEST_TOO_LARGE, 413)


async def test_a_connection_whose_server_takes_no_more_is_closed_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    watched = Watched(monkeypatch)
    refused = http(413, "{}")
    async with (
        serving(greeting=(Take(1024), refused, DEAF)) as server,
        provider_at(Wire, server.url) as provider,
    ):
        told = failed(await provider.send(LARGE, "m", timeout_s=AMPLE_S))
        async with asyncio.timeout(AMPLE_S):
            await watched.gone.wait()

    assert (told.error_type, told.http_status) == (ErrorType.REQUEST_TOO_LARGE, 413)


async def test_cancelling_ends_the_request() -> None:
    async with serving((HANG,)) as server, provider_at(Wire, server.url) as provider:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_S):
                await ask(provider)
        async with asyncio.timeout(AMPLE_S):
            await server.all_left()

    assert len(server.seen) == 1


async def test_a_name_is_looked_up_once_for_many_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    loop = asyncio.get_running_loop()

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        await asyncio.sleep(0)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    async with serving() as server, provider_at(Wire, f"http://provider.test:{server.port}/v1") as provider:
        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        async with asyncio.TaskGroup() as group:
            for _ in range(8):
                group.create_task(ask(provider))

    assert asked.count("provider.test") == 1
    assert server.connections == 8


async def test_who_stops_asking_for_a_name_leaves_it_to_those_who_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = []

    async def getaddrinfo(host: str, port: int, **_: object) -> list[tuple[object, ...]]:
        asked.append(host)
        if len(asked) == 1:
            await asyncio.Event().wait()
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    async with (
        serving() as server,
        provider_at(Wire, f"http://provider.test:{server.port}/v1") as provider,
        asyncio.TaskGroup() as group,
    ):
        hasty = group.create_task(ask(provider, SHORT_S))
        await asyncio.sleep(0)
        patient = [group.create_task(ask(provider)) for _ in range(3)]
        await asyncio.wait([hasty, *patient])

    assert failed(hasty.result()).error_type == ErrorType.DNS_TIMEOUT
    assert all(isinstance(each.result(), Response) for each in patient)
    assert asked.count("provider.test") == 2


UNREACHABLE = "255.255.255.255"  # the broadcast address: ENETUNREACH without a packet


@pytest.mark.parametrize(
    ("hosts", "error_type"),
    [
        ((UNREACHABLE, "127.0.0.1"), ErrorType.CONNECT_REFUSED),
        (("127.0.0.1", UNREACHABLE), ErrorType.CONNECT_REFUSED),
        ((UNREACHABLE, UNREACHABLE), ErrorType.NETWORK_UNREACHABLE),
    ],
)
async def test_of_several_addresses_the_one_that_could_be_reached_tells_the_cause(
    monkeypatch: pytest.MonkeyPatch, hosts: tuple[str, ...], error_type: ErrorType
) -> None:
    async def getaddrinfo(name: str, port: int, **_: object) -> list[tuple[object, ...]]:
        found = hosts if name == "provider.test" else (name,)  # the loop looks up addresses, too
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, port)) for host in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with provider_at(Wire, f"http://provider.test:{port}/v1") as provider:
            told = failed(await ask(provider))

    assert (told.error_type, told.sent) == (error_type, False)
