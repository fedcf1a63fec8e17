"""What leaves the machine besides the request: whose key, which headers, by which way, to whom."""

import base64
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from batchroute.core.errors import JobError
from batchroute.core.responses import ErrorType, Response
from batchroute.providers.accounts import Account, client, trust
from tests.providers.builders import AMPLE_S, KEY, Kind, ask, failed, provider_at
from tests.providers.fault_server import HANG, Raw, ok, serving

ENVIRONMENT = {
    "OPENAI_API_KEY": "sk-ambient-key",
    "OPENAI_ADMIN_KEY": "sk-ambient-admin",
    "OPENAI_ORG_ID": "ambient-org",
    "OPENAI_PROJECT_ID": "ambient-project",
    "OPENAI_BASE_URL": "http://127.0.0.1:9/ambient",
    "OPENAI_CUSTOM_HEADERS": "X-Ambient: ambient-header\nauthorization: Bearer ambient-bearer\nContent-Type: ambient/type",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
    "ALL_PROXY": "http://127.0.0.1:9",
}


@pytest.fixture
def ambient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca_file(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def tls(authority: trustme.CA, host: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(host).configure_cert(context)
    return context


@pytest.mark.usefixtures("ambient")
@pytest.mark.parametrize("key", [KEY, None])
async def test_environment_adds_nothing_to_a_request(kind: Kind, key: str | None) -> None:
    async with serving() as server, provider_at(kind, server.url, api_key=key) as provider:
        outcome = await ask(provider)
        assert await provider.ping(AMPLE_S) is None

    assert isinstance(outcome, Response), outcome
    for seen in server.seen:
        assert "ambient" not in repr(seen)
        assert seen.headers.get("authorization") == (None if key is None else f"Bearer {key}")
        assert seen.headers.get("content-type", "application/json") == "application/json"


@pytest.mark.usefixtures("ambient")
async def test_declared_headers_are_sent_as_declared(kind: Kind) -> None:
    declared = {
        "api-key": "azure",
        "openai-organization": "ours",
        "AUTHORIZATION": "Basic abc",
        "User-Agent": "me/1",
    }
    async with serving() as server, provider_at(kind, server.url, headers=declared) as provider:
        await ask(provider)

    (seen,) = server.seen
    assert {name: seen.headers[name.lower()] for name in declared} == declared


async def test_two_providers_share_no_header(kind: Kind) -> None:
    async with (
        serving() as ours,
        serving() as theirs,
        provider_at(kind, ours.url, api_key="sk-ours-111111111", headers={"x-ours": "1"}) as first,
        provider_at(kind, theirs.url, api_key="sk-theirs-2222222") as second,
    ):
        for provider in (first, second, first, second):
            await ask(provider)

    assert "ours" not in repr([seen.headers for seen in theirs.seen])
    assert "theirs" not in repr([seen.headers for seen in ours.seen])


async def test_private_authority_is_trusted_by_its_file(
    kind: Kind, authority: trustme.CA, ca_file: Path
) -> None:
    async with (
        serving(tls=tls(authority)) as server,
        provider_at(kind, server.url, ca_file=ca_file) as provider,
    ):
        outcome = await ask(provider)

    assert isinstance(outcome, Response), outcome


async def test_private_authority_is_trusted_by_ssl_cert_file(
    kind: Kind, authority: trustme.CA, ca_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(ca_file))
    async with serving(tls=tls(authority)) as server, provider_at(kind, server.url) as provider:
        outcome = await ask(provider)

    assert isinstance(outcome, Response), outcome


async def test_a23_a_timeout_says_so_over_tls_too(kind: Kind, authority: trustme.CA, ca_file: Path) -> None:
    """It told what the socket was doing when the time ran out: that a read did not complete."""
    async with (
        serving((ok(),), (HANG,), tls=tls(authority)) as server,
        provider_at(kind, server.url, ca_file=ca_file) as provider,
    ):
        await ask(provider)  # so that the short time is not spent on the handshake
        told = failed(await ask(provider, 0.15))

    assert (told.error_type, told.sent) == (ErrorType.ATTEMPT_TIMEOUT, True)
    assert "timed out" in told.message


@pytest.mark.parametrize("opened", [client, trust])
@pytest.mark.parametrize("content", [None, "", "no certificate"])
def test_unusable_ca_file_is_an_error_of_the_job(
    tmp_path: Path, content: str | None, opened: Callable[[Account], object]
) -> None:
    path = tmp_path / "ca.pem"
    if content is not None:
        path.write_text(content)
    account = Account(name="lab", base_url="https://127.0.0.1/v1", connections=1, ca_file=path)

    with pytest.raises(JobError, match=r"providers\.lab\.ca_file"):
        opened(account)


@pytest.mark.parametrize("value", ["sk-1\n", "sk\r\nx-admin: yes", "sk-\u20ac", "sk-\x00"])
def test_key_or_header_that_would_break_the_request_is_an_error_of_the_job(kind: Kind, value: str) -> None:
    for secret, told in (
        (Account(name="p", base_url="http://h/v1", connections=1, api_key=value), "p.api_key"),
        (
            Account(name="p", base_url="http://h/v1", connections=1, headers={"x-key": value}),
            "p.headers.x-key",
        ),
        (Account(name="p", base_url="http://h/v1", connections=1, headers={f"x{value}": "v"}), "p.headers"),
    ):
        with pytest.raises(JobError, match=f"^providers.{told}") as refused:
            kind(secret)
        assert "\n" not in str(refused.value)


async def test_plain_http_needs_no_trust_store(
    kind: Kind, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty.pem").touch()
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "empty.pem"))
    async with serving() as server, provider_at(kind, server.url) as provider:
        outcome = await ask(provider)

    assert isinstance(outcome, Response), outcome


async def test_declared_proxy_carries_the_request(kind: Kind) -> None:
    async with serving() as proxy:
        url = f"http://user:pass%40word@127.0.0.1:{proxy.port}"
        async with provider_at(kind, "http://provider.invalid/v1", proxy=url) as provider:
            outcome = await ask(provider)

    (seen,) = proxy.seen
    assert isinstance(outcome, Response), outcome
    assert seen.target == "http://provider.invalid/v1/chat/completions"
    assert seen.headers["proxy-authorization"] == f"Basic {base64.b64encode(b'user:pass@word').decode()}"


async def test_tunnel_of_the_proxy_reaches_the_provider(
    kind: Kind, authority: trustme.CA, ca_file: Path
) -> None:
    established = Raw(b"HTTP/1.1 200 Connection established\r\n\r\n")
    async with serving(tls=tls(authority)) as server, serving() as proxy:
        proxy.play(established)
        proxy.tunnel_to = server.port
        async with provider_at(
            kind, server.url, ca_file=ca_file, proxy=f"http://127.0.0.1:{proxy.port}"
        ) as provider:
            outcome = await ask(provider)

    assert isinstance(outcome, Response), outcome
    assert (proxy.seen[0].method, len(server.seen)) == ("CONNECT", 1)
    assert "proxy-authorization" not in server.seen[0].headers


def test_account_shows_no_secret() -> None:
    account = Account(
        name="p",
        base_url="http://h/v1",
        connections=1,
        api_key=KEY,
        headers={"api-key": "azure-secret"},
        proxy="http://u:hidden@h",
    )

    assert not any(secret in repr(account) for secret in (KEY, "azure-secret", "hidden"))


@pytest.mark.parametrize(("connections", "most"), [(1, 17), (64, 80), (1000, 1250)])
def test_client_has_room_for_cancelled_requests(connections: int, most: int) -> None:
    assert Account(name="p", base_url="http://h/v1", connections=connections).max_connections == most
