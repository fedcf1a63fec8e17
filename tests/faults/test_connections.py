"""Every fault on the way to a provider: A1 to A22, where nothing was answered and little or nothing is owed.

The wire knows how far a request has come. What the SDK's client does not tell is booked on the safe side:
A2   a resolver that hangs reads as connect_timeout, as a connection that is not made does.
A18  an upload that stalls reads as attempt_timeout, at the upper bound.
A21  an upload that is reset reads as connection_lost after the whole request, at the upper bound.
A22  a kept connection that dies under a request reads as connection_lost, as a fresh one does.
A8 is a fault of the SDK's client alone: the wire opens a connection where it has none.
"""

import asyncio
import resource
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from batchroute.core.errors import NoModelError
from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response
from batchroute.providers.accounts import Account
from batchroute.providers.connect import HttpProvider
from batchroute.providers.sdk import Sdk
from batchroute.providers.wire import Wire
from tests.faults.decisions import (
    DISABLE,
    ONCE_FOR_NOTHING,
    PAUSE_ALL,
    RETRY,
    RETRY_ONCE,
    RETRY_UNHARMED,
    Decision,
    decision,
    money,
)
from tests.providers.builders import KEY, Kind, ask, failed, provider_at
from tests.providers.fault_server import DEAF, FIN, HANG, RST, Raw, Step, Take, http, ok, serving

SHORT_S = 0.3
UPLOAD = Request(messages=b'[{"role":"user","content":"%b"}]' % (b"x" * 32 * 2**20))
"""More than the kernel's buffers hold."""
WRONG_VERSION = b"\x15\x03\x01\x00\x02\x02\x46"
"""A fatal TLS alert: protocol_version."""


def told(outcome: Outcome) -> tuple[ErrorType, str, Decision]:
    """The word, the money and the decision; the message names the word and no key."""
    failure = failed(outcome)
    assert failure.message.startswith(f"{failure.error_type.replace('_', ' ')}: ")
    assert len(failure.message) > len(failure.error_type) + 2
    assert KEY[:8] not in failure.message
    return failure.error_type, money(failure), decision(failure)


@contextmanager
def silent_socket(backlog: int = 8) -> Iterator[str]:
    """The URL of a port that takes connections, as many as its backlog, and never a request."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(backlog)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/v1"


@contextmanager
def no_more_files() -> Iterator[None]:
    """This process can open nothing."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.socket() as lowest:
        free = lowest.fileno()
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)


# Names and routes


async def test_a1_a_name_that_does_not_resolve(kind: Kind) -> None:
    # A label of 64 letters is refused by the resolver itself, without asking any server.
    async with provider_at(kind, f"http://{'a' * 64}.invalid/v1") as provider:
        outcome = await ask(provider)

    assert told(outcome) == (ErrorType.DNS_FAILURE, "none", RETRY)


async def test_a2_a_resolver_that_hangs(kind: Kind, monkeypatch: pytest.MonkeyPatch) -> None:
    async def hang(*_: object, **__: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", hang)
    async with provider_at(kind, "http://provider.invalid/v1", connect_timeout_s=SHORT_S) as provider:
        outcome = await ask(provider)

    word = ErrorType.DNS_TIMEOUT if kind is Wire else ErrorType.CONNECT_TIMEOUT
    assert told(outcome) == (word, "none", RETRY)


async def test_a3_connection_refused(kind: Kind) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        async with provider_at(kind, f"http://127.0.0.1:{closed.getsockname()[1]}/v1") as provider:
            outcome = await ask(provider)

    assert told(outcome) == (ErrorType.CONNECT_REFUSED, "none", RETRY)


async def test_a4_a_connection_that_is_never_made(kind: Kind) -> None:
    with silent_socket(backlog=0) as url, socket.socket() as only, socket.socket() as queued:
        for each in (only, queued):
            each.setblocking(False)
            each.connect_ex(("127.0.0.1", int(url.split(":")[2].removesuffix("/v1"))))
        async with provider_at(kind, url, connect_timeout_s=SHORT_S) as provider:
            outcome = await ask(provider)

    assert told(outcome) == (ErrorType.CONNECT_TIMEOUT, "none", RETRY)


async def test_a5_a_handshake_that_stalls(kind: Kind) -> None:
    async with serving(greeting=(HANG,)) as server:
        url = server.url.replace("http:", "https:")
        async with provider_at(kind, url, connect_timeout_s=SHORT_S) as provider:
            outcome = await ask(provider)

    assert told(outcome) == (ErrorType.CONNECT_TIMEOUT, "none", RETRY)


async def test_a6_no_way_to_the_network(kind: Kind) -> None:
    # The broadcast address: a TCP connection to it is ENETUNREACH without a packet.
    async with provider_at(kind, "http://255.255.255.255:9/v1") as provider:
        outcome = await ask(provider)

    assert told(outcome) == (ErrorType.NETWORK_UNREACHABLE, "none", PAUSE_ALL)


# Our own side


async def test_a8_the_client_has_no_connection_left() -> None:
    async with serving(otherwise=(HANG,)) as server:
        account = Account(name="p", base_url=server.url, connections=1, api_key=KEY)
        provider = HttpProvider(account, Sdk(account, connect_timeout_s=SHORT_S))
        async with asyncio.TaskGroup() as group:
            asked = [
                group.create_task(ask(provider, 2 * SHORT_S)) for _ in range(account.max_connections + 1)
            ]
        await provider.close()

    outcomes = [each.result() for each in asked]
    (exhausted,) = [each for each in outcomes if failed(each).error_type != ErrorType.ATTEMPT_TIMEOUT]
    assert told(exhausted) == (ErrorType.POOL_EXHAUSTED, "none", RETRY_UNHARMED)
    assert len(server.seen) == account.max_connections


async def test_a9_no_more_open_files(kind: Kind) -> None:
    with silent_socket() as url:
        async with provider_at(kind, url) as provider:
            with no_more_files():
                outcome = await ask(provider)

    assert told(outcome) == (ErrorType.LOCAL_RESOURCE, "none", PAUSE_ALL)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def tls(
    authority: trustme.CA,
    host: str = "127.0.0.1",
    years: tuple[int, int] = (2000, 2099),
) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    begins, ends = (datetime(year, 1, 1, tzinfo=UTC) for year in years)
    authority.issue_cert(host, not_before=begins, not_after=ends).configure_cert(context)
    return context


async def test_a10_an_authority_that_nobody_knows(kind: Kind, authority: trustme.CA) -> None:
    async with serving(tls=tls(authority)) as server, provider_at(kind, server.url) as provider:
        outcome = await ask(provider)

    assert told(outcome) == (ErrorType.TLS_VERIFY_FAILED, "none", DISABLE)
    assert server.seen == []


@pytest.mark.parametrize("years", [(2000, 2001), (2098, 2099)], ids=["expired", "not yet valid"])
async def test_a11_a_certificate_of_another_time(
    kind: Kind, authority: trustme.CA, ca_file: Path, years: tuple[int, int]
) -> None:
    async with (
        serving(tls=tls(authority, years=years)) as server,
        provider_at(kind, server.url, ca_file=ca_file) as provider,
    ):
        outcome = await ask(provider)

    assert told(outcome) == (ErrorType.TLS_VERIFY_FAILED, "none", DISABLE)
    assert server.seen == []


async def test_a12_a_certificate_of_another_host(kind: Kind, authority: trustme.CA, ca_file: Path) -> None:
    async with (
        serving(tls=tls(authority, "example.org")) as server,
        provider_at(kind, server.url, ca_file=ca_file) as provider,
    ):
        outcome = await ask(provider)

    assert told(outcome) == (ErrorType.TLS_VERIFY_FAILED, "none", DISABLE)
    assert server.seen == []


async def handshake(kind: Kind, *greeting: Step) -> Outcome:
    """What becomes of a request to a TLS port that begins like this."""
    async with (
        serving(greeting=greeting) as server,
        provider_at(kind, server.url.replace("http:", "https:")) as provider,
    ):
        outcome = await ask(provider)
    assert server.seen == []
    return outcome


async def test_a13_a_server_of_another_age(kind: Kind) -> None:
    outcome = await handshake(kind, Take(5), Raw(WRONG_VERSION), FIN)

    assert told(outcome) == (ErrorType.TLS_HANDSHAKE_FAILED, "none", DISABLE)


async def test_a14_plain_http_on_a_tls_port(kind: Kind) -> None:
    outcome = await handshake(kind, Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), FIN)

    assert told(outcome) == (ErrorType.TLS_HANDSHAKE_FAILED, "none", DISABLE)


async def test_a15_no_trust_store_stops_before_anything_is_sent(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # No word in the ledger: there is no attempt.
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))

    with pytest.raises(NoModelError, match="trusted certificates") as stopped:
        kind(Account(name="p", base_url="https://127.0.0.1/v1", connections=1))

    assert stopped.value.exit_code == 5


# Proxies


async def through_proxy(kind: Kind, status: int) -> Failure:
    """What becomes of a request for which the proxy opens no tunnel."""
    async with serving((http(status, "no"),)) as proxy:
        url = f"http://user:password@127.0.0.1:{proxy.port}"
        async with provider_at(kind, "https://provider.invalid/v1", proxy=url) as provider:
            outcome = failed(await ask(provider))
    (seen,) = proxy.seen
    assert (seen.method, seen.target) == ("CONNECT", "provider.invalid:443")
    assert "password" not in outcome.message
    return outcome


async def test_a16_a_proxy_that_wants_credentials(kind: Kind) -> None:
    assert told(await through_proxy(kind, 407)) == (ErrorType.PROXY_AUTH_REQUIRED, "none", DISABLE)


@pytest.mark.parametrize("status", [502, 503])
async def test_a17_a_proxy_that_fails(kind: Kind, status: int) -> None:
    assert told(await through_proxy(kind, status)) == (ErrorType.PROXY_ERROR, "none", RETRY)


# The upload, and connections that are kept


async def upload(kind: Kind, *greeting: Step) -> Outcome:
    """What becomes of a large request to a server that begins like this."""
    async with serving(greeting=greeting) as server, provider_at(kind, server.url) as provider:
        outcome = await provider.send(UPLOAD, "m", timeout_s=1.0)
    assert server.seen == []
    return outcome


async def test_a18_an_upload_that_stalls() -> None:
    assert told(await upload(Wire, DEAF)) == (ErrorType.WRITE_TIMEOUT, "none", RETRY)
    assert told(await upload(Sdk, DEAF)) == (ErrorType.ATTEMPT_TIMEOUT, "upper_bound", RETRY_ONCE)


async def test_a21_an_upload_that_is_reset(kind: Kind) -> None:
    cost = "none" if kind is Wire else "upper_bound"
    assert told(await upload(kind, Take(1024), RST)) == (ErrorType.CONNECTION_LOST, cost, RETRY)


async def test_a22_a_kept_connection_that_was_closed_is_not_used(kind: Kind) -> None:
    async with serving((ok(), FIN)) as server, provider_at(kind, server.url) as provider:
        first = await ask(provider)
        await server.all_left()
        following = await ask(provider)

    assert isinstance(first, Response), first
    assert isinstance(following, Response), following
    assert (len(server.seen), server.connections) == (2, 2)


@pytest.mark.parametrize("end", [FIN, RST])
async def test_a22_a_kept_connection_that_dies_under_a_request(kind: Kind, end: Step) -> None:
    async with serving((ok(),), (end,)) as server, provider_at(kind, server.url) as provider:
        await ask(provider)
        outcome, following = await ask(provider), await ask(provider)

    stale = ErrorType.STALE_CONNECTION, "upper_bound", ONCE_FOR_NOTHING
    lost = ErrorType.CONNECTION_LOST, "upper_bound", RETRY
    assert told(outcome) == (stale if kind is Wire else lost)
    assert isinstance(following, Response), following
    assert (len(server.seen), server.connections) == (3, 2)


async def test_a22_a_kept_connection_that_dies_in_an_answer_was_alive(kind: Kind) -> None:
    begun = (Raw(b"HTTP/1.1 2"), FIN)
    async with serving((ok(),), begun) as server, provider_at(kind, server.url) as provider:
        await ask(provider)
        outcome = await ask(provider)

    assert told(outcome) == (ErrorType.CONNECTION_LOST, "upper_bound", RETRY)


async def test_a22_a_fresh_tunnel_is_no_kept_connection(
    kind: Kind, authority: trustme.CA, ca_file: Path
) -> None:
    async with serving((FIN,), tls=tls(authority)) as server, serving((http(200),)) as proxy:
        proxy.tunnel_to = server.port
        url = f"http://127.0.0.1:{proxy.port}"
        async with provider_at(kind, server.url, ca_file=ca_file, proxy=url) as provider:
            outcome = await ask(provider)

    assert told(outcome) == (ErrorType.CONNECTION_LOST, "upper_bound", RETRY)
    assert len(server.seen) == 1
