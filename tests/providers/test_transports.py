"""The contract of both transports, byte by byte, against a server that does as it is told."""

import asyncio
import gzip
import json
import socket
from dataclasses import dataclass

import httpx2
import openai  # noqa: TID251 # the contract is about its errors
import pytest

from batchroute.core.responses import ErrorType, Response
from batchroute.providers.accounts import Account
from batchroute.providers.transports import MAX_BODY_BYTES
from tests.providers.builders import AMPLE_S, KEY, REQUEST, Kind, ask, failed, provider_at
from tests.providers.fault_server import (
    FIN,
    HANG,
    RST,
    Drip,
    Raw,
    Script,
    completion,
    error,
    http,
    ok,
    serving,
)

SHORT_S = 0.15
ANSWER = json.dumps(completion()).encode()
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"


async def test_request_is_sent_as_rendered(kind: Kind) -> None:
    async with serving() as server, provider_at(kind, server.url) as provider:
        await ask(provider)

    (seen,) = server.seen
    assert (seen.method, seen.target) == ("POST", "/v1/chat/completions")
    assert seen.body == REQUEST.body("m")
    assert seen.headers["authorization"] == f"Bearer {KEY}"
    assert seen.headers["content-type"] == "application/json"
    assert seen.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("path", "target"),
    [("", "/chat/completions"), ("/", "/chat/completions"), ("/v1/", "/v1/chat/completions")],
)
async def test_a_base_url_may_have_no_path_and_may_end_in_a_slash(kind: Kind, path: str, target: str) -> None:
    async with serving() as server, provider_at(kind, server.url.removesuffix("/v1") + path) as provider:
        await ask(provider)

    assert [seen.target for seen in server.seen] == [target]


async def test_answer_is_read_with_its_headers(kind: Kind) -> None:
    limited = http(200, ANSWER, **{"X-RateLimit-Remaining-Requests": "59"})
    async with serving((limited,)) as server, provider_at(kind, server.url) as provider:
        outcome = await ask(provider)

    assert isinstance(outcome, Response)
    assert (outcome.content, outcome.finish_reason, outcome.flag) == ("yes", "stop", None)
    assert outcome.rate_limits is not None
    assert outcome.rate_limits.remaining_requests == 59


async def test_connection_is_kept_for_the_next_request(kind: Kind) -> None:
    async with serving() as server, provider_at(kind, server.url) as provider:
        for _ in range(3):
            await ask(provider)

    assert (server.connections, len(server.seen)) == (1, 3)


@dataclass(frozen=True)
class Fault:
    """A script, and what an attempt that meets it must become."""

    script: Script
    error_type: ErrorType
    sent: bool = True
    http_status: int | None = None
    timeout_s: float = AMPLE_S


FAULTS = {
    "A19 closed after the request": Fault((FIN,), ErrorType.CONNECTION_LOST),
    "A20 reset after the request": Fault((RST,), ErrorType.CONNECTION_LOST),
    "A23 no answer": Fault((HANG,), ErrorType.ATTEMPT_TIMEOUT, timeout_s=SHORT_S),
    "A24 headers, then silence": Fault(
        (Raw(HEAD + b"content-length: 9\r\n\r\n"), HANG), ErrorType.ATTEMPT_TIMEOUT, timeout_s=SHORT_S
    ),
    "A25 blank lines past the deadline": Fault(
        (Raw(HEAD + b"content-length: 999\r\n\r\n"), Drip(b"\n" * 999, 0.02)),
        ErrorType.ATTEMPT_TIMEOUT,
        timeout_s=SHORT_S,
    ),
    "A26 headers byte by byte": Fault((Drip(HEAD * 9, 0.02),), ErrorType.ATTEMPT_TIMEOUT, timeout_s=SHORT_S),
    "A31 garbage status line": Fault((Raw(b"GARBAGE\r\n\r\n"), FIN), ErrorType.PROTOCOL_VIOLATION),
    "A32 status 000": Fault((http(0, ANSWER), FIN), ErrorType.PROTOCOL_VIOLATION),
    "A32 status 99": Fault((http(99, ANSWER), FIN), ErrorType.PROTOCOL_VIOLATION),
    "A32 status 999": Fault((http(999, ANSWER),), ErrorType.PROTOCOL_VIOLATION, http_status=999),
    "A34 invalid chunk size": Fault((Raw(CHUNKED + b"ZZ\r\nabc\r\n"), HANG), ErrorType.PROTOCOL_VIOLATION),
    "A33 another protocol": Fault(
        (Raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n"), FIN),
        ErrorType.PROTOCOL_VIOLATION,
    ),
    "A35 ten thousand headers": Fault(
        (Raw(HEAD + b"x-h: abcdefgh\r\n" * 10_000 + b"content-length: 2\r\n\r\n{}"), FIN),
        ErrorType.HEADERS_TOO_LARGE,
    ),
    "A37 short body": Fault((Raw(HEAD + b"content-length: 99\r\n\r\n{"), FIN), ErrorType.BODY_TRUNCATED),
    "A38 reset in the body": Fault(
        (Raw(HEAD + b"content-length: 99\r\n\r\n{"), RST), ErrorType.BODY_TRUNCATED
    ),
    "A39 last chunk missing": Fault((Raw(CHUNKED + b"2\r\n{}\r\n"), FIN), ErrorType.BODY_TRUNCATED),
    "A40 close-delimited and cut": Fault(
        (Raw(HEAD + b"connection: close\r\n\r\n" + ANSWER[:-9]), FIN), ErrorType.NOT_JSON, http_status=200
    ),
    "A43 encoding nobody asked for": Fault(
        (http(200, gzip.compress(ANSWER), content_encoding="gzip"),), ErrorType.DECODE_FAILED, http_status=200
    ),
    "A45 endless body": Fault(
        (Raw(HEAD + b"connection: close\r\n\r\n" + b"x" * (MAX_BODY_BYTES + 2**16)), HANG),
        ErrorType.BODY_TOO_LARGE,
    ),
    "A47 no content": Fault(
        (Raw(b"HTTP/1.1 204 No Content\r\n\r\n"),), ErrorType.EMPTY_BODY, http_status=204
    ),
    "A47 no body": Fault((http(200),), ErrorType.EMPTY_BODY, http_status=200),
    "A48 captive portal": Fault((http(200, "<html>log in</html>"),), ErrorType.HTML_BODY, http_status=200),
    "A54 redirect": Fault(
        (http(307, location="http://127.0.0.1:9/v1"),),
        ErrorType.REDIRECT_REFUSED,
        sent=False,
        http_status=307,
    ),
    "A64 permission": Fault((error(403),), ErrorType.PERMISSION_DENIED, sent=False, http_status=403),
    "A70 server timeout": Fault((error(408),), ErrorType.SERVER_TIMEOUT, http_status=408),
    "A74 server error": Fault((error(500),), ErrorType.SERVER_ERROR, sent=False, http_status=500),
    "A74 server error, gzipped": Fault(
        (http(500, gzip.compress(b"oops"), content_encoding="gzip"),),
        ErrorType.SERVER_ERROR,
        sent=False,
        http_status=500,
    ),
    "A74 server error, body too large": Fault(
        (http(500, b"x" * (MAX_BODY_BYTES + 9)),), ErrorType.SERVER_ERROR, sent=False, http_status=500
    ),
    "A74 server error, body cut": Fault(
        (Raw(b"HTTP/1.1 500 Oops\r\ncontent-length: 99\r\n\r\n{"), FIN), ErrorType.BODY_TRUNCATED
    ),
    "A78 rate limit": Fault((error(429),), ErrorType.RATE_LIMITED, sent=False, http_status=429),
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
async def test_fault_is_one_request_and_one_failure(kind: Kind, fault: Fault) -> None:
    async with serving(fault.script) as server, provider_at(kind, server.url) as provider:
        told = failed(await ask(provider, fault.timeout_s))
        requests = len(server.seen)
        following = await ask(provider)

    assert (told.error_type, told.sent, told.http_status) == (fault.error_type, fault.sent, fault.http_status)
    assert requests == 1
    assert isinstance(following, Response), following


GOOD = {
    "A27 blank lines, then JSON": (Raw(HEAD + b"connection: close\r\n\r\n\n\n\n" + ANSWER), FIN),
    "A28 another content type": (http(200, ANSWER, content_type="text/plain; charset=latin-1"),),
    "A28 byte order mark": (http(200, b"\xef\xbb\xbf" + ANSWER),),
    "A29 close-delimited": (Raw(HEAD + b"connection: close\r\n\r\n" + ANSWER), FIN),
    "A33 early hints": (Raw(b"HTTP/1.1 103 Early Hints\r\n\r\n"), ok()),
    "a chunk for every byte": (
        Raw(CHUNKED + b"".join(b"1\r\n%c\r\n" % octet for octet in ANSWER) + b"0\r\n\r\n"),
    ),
    "body as large as allowed": (http(200, ANSWER + b" " * (MAX_BODY_BYTES - len(ANSWER))),),
}


@pytest.mark.parametrize("script", GOOD.values(), ids=GOOD.keys())
async def test_odd_but_complete_answer_is_accepted(kind: Kind, script: Script) -> None:
    async with serving(script) as server, provider_at(kind, server.url) as provider:
        outcome, following = await ask(provider), await ask(provider)

    assert isinstance(outcome, Response), outcome
    assert outcome.content == "yes"
    assert isinstance(following, Response), following


async def test_a36_bytes_after_the_body_do_not_spoil_it(kind: Kind) -> None:
    async with serving((ok(), Raw(b"x" * 500), FIN)) as server, provider_at(kind, server.url) as provider:
        outcome = await ask(provider)

    assert isinstance(outcome, Response), outcome


async def test_redirect_is_not_followed(kind: Kind) -> None:
    async with serving() as elsewhere:
        moved = http(307, location=f"{elsewhere.url}/chat/completions")
        async with serving((moved,)) as server, provider_at(kind, server.url) as provider:
            await ask(provider)

    assert (len(server.seen), elsewhere.connections) == (1, 0)


async def test_timeout_is_wall_clock(kind: Kind) -> None:
    slow = (Raw(HEAD + b"content-length: 999\r\n\r\n"), Drip(b"\n" * 999, 0.01))
    async with serving() as server, provider_at(kind, server.url) as provider:
        await ask(provider)  # connected, and everything imported
        server.play(*slow)
        began = asyncio.get_running_loop().time()
        await ask(provider, 0.1)
        took = asyncio.get_running_loop().time() - began

    assert 0.09 < took < 2


async def test_refused_connection_was_not_sent(kind: Kind) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
        async with provider_at(kind, f"http://127.0.0.1:{port}/v1") as provider:
            told = failed(await ask(provider))

    assert (told.error_type, told.sent) == (ErrorType.CONNECT_REFUSED, False)


async def test_unreachable_network_was_not_sent(kind: Kind) -> None:
    # The broadcast address: a TCP connection to it is ENETUNREACH without a packet.
    async with provider_at(kind, "http://255.255.255.255:9/v1") as provider:
        told = failed(await ask(provider))

    assert (told.error_type, told.sent) == (ErrorType.NETWORK_UNREACHABLE, False)


async def test_stalled_handshake_is_a_connect_timeout(kind: Kind) -> None:
    async with serving(greeting=(HANG,)) as server:
        url = server.url.replace("http:", "https:")
        async with provider_at(kind, url, connect_timeout_s=SHORT_S) as provider:
            told = failed(await ask(provider))

    assert (told.error_type, told.sent) == (ErrorType.CONNECT_TIMEOUT, False)


async def test_plain_http_on_an_https_port_is_a_failed_handshake(kind: Kind) -> None:
    async with (
        serving(greeting=(Raw(b"HTTP/1.1 400 Bad Request\r\n\r\n"), FIN)) as server,
        provider_at(kind, server.url.replace("http:", "https:")) as provider,
    ):
        told = failed(await ask(provider))

    assert (told.error_type, told.sent) == (ErrorType.TLS_HANDSHAKE_FAILED, False)


async def test_cancelling_passes_through_and_leaves_the_provider_usable(kind: Kind) -> None:
    async with serving((HANG,), (HANG,)) as server, provider_at(kind, server.url) as provider:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(SHORT_S):
                await ask(provider, timeout_s=1.0)
        server.scripts.clear()
        assert isinstance(await ask(provider), Response)


async def test_many_requests_at_once_never_wait_for_each_other(kind: Kind) -> None:
    async with (
        serving(*[(HANG,)] * 4) as server,
        provider_at(kind, server.url) as provider,
        asyncio.TaskGroup() as group,
    ):
        asked = [group.create_task(ask(provider, 2 * SHORT_S)) for _ in range(4)]
        await asyncio.wait(asked)

    assert {failed(each.result()).error_type for each in asked} == {ErrorType.ATTEMPT_TIMEOUT}
    assert len(server.seen) == 4


async def test_failures_are_raised_in_the_words_of_openai(kind: Kind) -> None:
    scripts = ((error(429, retry_after="2"),), (FIN,), (HANG,))
    async with serving(*scripts) as server:
        account = Account(name="p", base_url=server.url, connections=1)
        transport = kind(account)
        with pytest.raises(openai.RateLimitError) as limited:
            await transport.post(b"{}", timeout_s=AMPLE_S)
        with pytest.raises(openai.APIConnectionError):
            await transport.post(b"{}", timeout_s=AMPLE_S)
        with pytest.raises(openai.APITimeoutError):
            await transport.post(b"{}", timeout_s=SHORT_S)
        await transport.close()

    assert limited.value.response.headers["retry-after"] == "2"
    assert isinstance(limited.value.request, httpx2.Request)


async def test_ping_lists_the_models(kind: Kind) -> None:
    scripts = ((http(200, '{"data":[]}'),), (error(401, "invalid_api_key", f"Bad key {KEY}."),))
    async with serving(*scripts) as server, provider_at(kind, server.url) as provider:
        fine = await provider.ping(AMPLE_S)
        refused = await provider.ping(AMPLE_S)

    assert [(seen.method, seen.target) for seen in server.seen] == [("GET", "/v1/models")] * 2
    assert fine is None
    assert refused is not None
    assert (refused.error_type, refused.message) == (ErrorType.AUTH_REJECTED, "HTTP 401: Bad key [redacted].")
