"""Messages that arrive once, and troubles that are told without the URL."""

import ssl
from pathlib import Path

import pytest
import trustme

from batchroute.providers.couriers import deliver
from tests.providers.fault_server import FIN, HANG, RST, FaultServer, Script, http, serving

SECRET = "T0-secret-word"
PATH = f"/services/{SECRET}/x?token={SECRET}"


async def delivered(server: FaultServer, path: str = PATH) -> str | None:
    return await deliver(
        f"{server.scheme}://127.0.0.1:{server.port}{path}", b'{"a":1}', "application/json", patience_s=1.0
    )


async def test_a_message_is_posted_once_and_to_the_letter() -> None:
    async with serving((http(204), FIN)) as server:
        assert await delivered(server) is None
    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("POST", PATH, b'{"a":1}')
    assert seen.headers["content-type"] == "application/json"
    assert "authorization" not in seen.headers


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ((http(500, PATH), FIN), "HTTP 500"),
        ((http(302, b"", location="/elsewhere"), FIN), "HTTP 302"),
        ((HANG,), "attempt timeout"),
        ((RST,), "connection lost"),
    ],
    ids=["refused", "redirected", "silent", "reset"],
)
async def test_what_goes_wrong_is_told_once_without_the_secret(script: Script, told: str) -> None:
    async with serving(script) as server:
        trouble = await delivered(server)
    assert trouble is not None
    assert trouble.startswith(told)
    assert SECRET not in trouble
    assert len(server.seen) == 1


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("http://127.0.0.1:1/x", "connect refused"),
        ("http://nowhere.invalid/x", "dns failure"),
        ("https://127.0.0.1:1/x", "connect refused"),
        (f"http://{'x' * 70}.invalid/{SECRET}", ""),
    ],
)
async def test_nobody_there_is_told_and_not_raised(url: str, told: str) -> None:
    trouble = await deliver(url, b"", "text/plain", patience_s=1.0)
    assert trouble is not None
    assert trouble.startswith(told)
    assert SECRET not in trouble


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    async with serving(otherwise=(http(200), FIN), tls=context) as server:
        trouble = await delivered(server)
        assert trouble is not None
        assert trouble.startswith("tls verify failed")
        authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        assert await delivered(server) is None
