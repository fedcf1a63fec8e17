"""The contract of both transports, byte by byte, against a server that does as it is told."""

import asyncio
import json
from operator import attrgetter

import httpx2
import openai  # noqa: TID251 # the contract is about its errors
import pytest

from batchroute.core.responses import ErrorType, Response
from batchroute.providers import sdk
from batchroute.providers.accounts import Account
from tests.providers.builders import AMPLE_S, KEY, REQUEST, Kind, ask, failed, provider_at
from tests.providers.fault_server import (
    FIN,
    HANG,
    Drip,
    Raw,
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


async def test_a36_where_nobody_knows_what_came_after_an_answer_no_connection_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sdk, "_LEFT_OVER", attrgetter("of.another.version"))
    twice = Raw(ok().octets + ok(message={"content": "of whom?"}).octets)
    async with serving((twice,), (twice,)) as server, provider_at(sdk.Sdk, server.url) as provider:
        outcomes = [await ask(provider) for _ in range(3)]

    assert [each.content for each in outcomes if isinstance(each, Response)] == ["yes"] * 3
    assert server.connections == 3


async def test_a_chunk_for_every_byte_is_an_answer(kind: Kind) -> None:
    chunks = b"".join(b"1\r\n%c\r\n" % octet for octet in ANSWER)
    async with (
        serving((Raw(CHUNKED + chunks + b"0\r\n\r\n"),)) as server,
        provider_at(kind, server.url) as provider,
    ):
        outcome = await ask(provider)

    assert isinstance(outcome, Response), outcome


async def test_timeout_is_wall_clock(kind: Kind) -> None:
    slow = (Raw(HEAD + b"content-length: 999\r\n\r\n"), Drip(b"\n" * 999, 0.01))
    async with serving() as server, provider_at(kind, server.url) as provider:
        await ask(provider)  # connected, and everything imported
        server.play(*slow)
        began = asyncio.get_running_loop().time()
        await ask(provider, 0.1)
        took = asyncio.get_running_loop().time() - began

    assert 0.09 < took < 2


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
