"""The server over real sockets, in this process."""

import asyncio
import json
from typing import Any

import pytest

from batchroute.providers.simulator.server import serve, serve_forever
from tests.providers.simulator.client import Client, chat, connected, raw, served, simulation

PATH = "/v1/chat/completions"
REVIEW = "Classify review {}: I {} it.\nLabels: positive, negative, neutral"
PROMPTS = [REVIEW.format(number, "love" if number % 2 else "hate") for number in range(300)]


async def test_an_answer_has_the_shape_of_openai_s() -> None:
    async with served(m={}) as client:
        answered = await client.ask("m", "Tell me about the sea")
        again = await client.ask("m", "Tell me about the sea")

    body = answered.json
    usage = body["usage"]
    assert answered.status == 200
    assert answered.headers["content-type"] == "application/json"
    assert answered.headers["x-request-id"].startswith("req_")
    assert body["object"] == "chat.completion"
    assert body["model"] == "m"
    assert body["id"].startswith("chatcmpl-")
    assert body["id"] != again.json["id"]
    assert body["created"] > 1_700_000_000
    assert body["system_fingerprint"].startswith("fp_")
    assert body["service_tier"] == "default"
    (choice,) = body["choices"]
    assert (choice["index"], choice["finish_reason"], choice["logprobs"]) == (0, "stop", None)
    assert choice["message"]["role"] == "assistant"
    assert choice["message"]["refusal"] is None
    assert usage["completion_tokens"] == -(-len(choice["message"]["content"]) // 4)
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 0
    assert usage["completion_tokens_details"]["reasoning_tokens"] == 0


@pytest.mark.parametrize("cap", ["max_tokens", "max_completion_tokens"])
async def test_an_answer_is_cut_at_the_cap(cap: str) -> None:
    async with served(m={}) as client:
        answered = await client.ask("m", "Tell me about the sea", **{cap: 7})

    assert len(answered.content) == 28
    assert answered.json["choices"][0]["finish_reason"] == "length"
    assert answered.json["usage"]["completion_tokens"] == 7


async def test_a_message_in_parts_is_read_as_their_text() -> None:
    parts = [
        {"type": "text", "text": "Translate to German: Good"},
        {"type": "image_url", "image_url": {"url": "x"}},
    ]
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": parts}]
    async with served(m={}) as client:
        answered = await client.send("POST", PATH, json.dumps({"model": "m", "messages": messages}).encode())

    assert answered.content.startswith("[German] Good")


async def test_a_schema_is_answered_in_json() -> None:
    schema = {"type": "object", "properties": {"mood": {"enum": ["positive", "negative"]}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
    async with served(m={}) as client:
        answered = await client.ask("m", "I hate it", response_format=wanted)

    assert json.loads(answered.content) == {"mood": "negative"}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (chat("m", "x", stream=True), 400, None),
        (chat("m", "x", n=2), 400, None),
        (chat("m", "x", max_tokens=0), 400, None),
        (b'{"model": "m", "messages": []}', 400, None),
        (b'{"model": "m", "messages": "hello"}', 400, None),
        (b'{"messages": []}', 400, None),
        (b'{"model": "m", ', 400, None),
        (b"", 400, None),
        (b'"\xff"', 400, None),
        (b'{"model": "m", "x": ' + b"[" * 100_000, 400, None),
        (chat("nobody", "x"), 404, "model_not_found"),
    ],
)
async def test_a_request_that_cannot_be_served_gets_openai_s_error(
    body: bytes, status: int, code: str
) -> None:
    async with served(m={}) as client:
        refused = await client.send("POST", PATH, body)
        assert (await client.ask("m", "still there?")).status == 200

    error = refused.json["error"]
    assert refused.status == status
    assert error["type"] == "invalid_request_error"
    assert error["code"] == code
    assert error["message"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", PATH, 405), ("POST", "/health", 405), ("POST", "/v1/audio/speech", 404), ("GET", "/", 404)],
)
async def test_other_places_are_refused(method: str, path: str, status: int) -> None:
    async with served(m={}) as client:
        assert (await client.send(method, path)).status == status


async def test_models_are_listed_with_their_prices() -> None:
    async with served(free={}) as client:
        listing = (await client.send("GET", "/v1/models")).json

    prices = {model["id"]: model["price"] for model in listing["data"]}
    assert listing["object"] == "list"
    assert prices["sim-small"] == {"input": 0.1, "output": 0.4}
    assert prices["free"] is None


async def answers_of(model: str, seed: int, concurrency: int, **models: dict[str, Any]) -> dict[str, Any]:
    """What a model answers to all prompts, sent over this many connections."""
    waiting, found = iter(PROMPTS), {}

    async def ask(url: str) -> None:
        async with connected(url) as client:
            for text in waiting:
                answered = await client.ask(model, text)
                found[text] = (answered.status, answered.content if answered.status == 200 else None)

    async with serve(simulation(seed, **models)) as url, asyncio.TaskGroup() as group:
        for _ in range(concurrency):
            group.create_task(ask(url))
    return found


UNSTEADY = {
    "skill": {"default": 0.5},
    "errors": {"server_error": 0.2},
    "latency": {"p50": "1ms", "p95": "4ms"},
}


async def test_a_seed_gives_the_same_answers_at_any_concurrency() -> None:
    alone = await answers_of("m", 3, 1, m=UNSTEADY)

    assert await answers_of("m", 3, 25, m=UNSTEADY) == alone
    assert await answers_of("m", 4, 25, m=UNSTEADY) != alone


async def test_a_small_model_is_right_less_often_than_a_large_one() -> None:
    perfect = await answers_of("ideal", 0, 10, ideal={})
    calm: dict[str, Any] = {"errors": {}, "latency": None, "tokens_per_s": None, "limits": {}}
    right = {}
    for name in ("sim-small", "sim-medium", "sim-large"):
        found = await answers_of(name, 0, 10, **{name: calm})
        right[name] = sum(found[text] == perfect[text] for text in PROMPTS)

    assert {perfect[text] for text in PROMPTS} == {(200, "positive"), (200, "negative")}
    assert right["sim-small"] + 9 < right["sim-large"] < 300
    assert right["sim-small"] == pytest.approx(270, abs=18)  # its skill is 0.9
    assert right["sim-large"] == pytest.approx(291, abs=10)  # and here 0.97


async def test_a_limit_is_enforced_and_announced_on_every_answer() -> None:
    async with served(m={"limits": {"rpm": 600, "tpm": 600_000}}) as client:
        found = [await client.ask("m", f"question {number}") for number in range(40)]
        counts = (await client.health())["models"]["m"]

    admitted = [answered for answered in found if answered.status == 200]
    refused = [answered for answered in found if answered.status == 429]
    assert len(admitted) + len(refused) == 40
    assert 10 <= len(admitted) < 40
    assert counts["limited"] == len(refused)
    assert all(answered.headers["x-ratelimit-limit-requests"] == "600" for answered in found)
    assert all(answered.headers["x-ratelimit-limit-tokens"] == "600000" for answered in found)
    assert all(0 < int(answered.headers["retry-after-ms"]) <= 100 for answered in refused)
    assert admitted[0].headers["x-ratelimit-remaining-requests"] == "9"
    assert int(admitted[0].headers["x-ratelimit-remaining-tokens"]) < 10_000


async def test_concurrency_is_enforced_and_a_client_that_gives_up_leaves_its_place() -> None:
    model = {"limits": {"concurrency": 1}, "errors": {"timeout": 1}}
    async with serve(simulation(m=model)) as url, connected(url) as second:
        async with connected(url) as first:
            first.writer.write(raw("POST", PATH, chat("m", "x")))
            await until_in_flight(second, 1)
            assert (await second.ask("m", "y")).status == 429
        await until_in_flight(second, 0)
        counts = (await second.health())["models"]["m"]

    assert counts["peak_in_flight"] == 1
    assert counts["limited"] == 1


async def until_in_flight(client: Client, count: int) -> None:
    """Ask until the server has noticed what another connection did."""
    while (await client.health())["models"]["m"]["in_flight"] != count:
        pass


async def test_a_disconnect_ends_without_an_answer() -> None:
    async with served(m={"errors": {"disconnect": 1}}) as client:
        with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
            await client.ask("m", "x")


async def test_a_malformed_answer_is_a_page() -> None:
    async with served(m={"errors": {"malformed": 1}}) as client:
        answered = await client.ask("m", "x")

    assert answered.status == 200
    assert answered.headers["content-type"].startswith("text/html")
    assert answered.body.startswith(b"<!doctype html>")


async def test_pipelined_requests_are_answered_in_their_order() -> None:
    """Also when the first is slow, and when there is more than the server reads ahead."""
    slow = {"latency": {"p50": "20ms", "p95": "20ms"}}
    texts = [f"Translate to German: {number} {'word ' * 2_000}" for number in range(60)]
    async with served(m={}, slow=slow) as client:
        for number, text in enumerate(texts):
            client.writer.write(raw("POST", PATH, chat("m" if number else "slow", text)))
        found = [await client.receive() for _ in texts]

    assert [answered.content[:11] for answered in found] == [
        f"[German] {number} "[:11] for number in range(60)
    ]


async def test_a_client_that_reads_late_gets_every_answer() -> None:
    """The server stops taking requests while its answers find no room."""
    asked = raw("POST", PATH, chat("m", "Translate to German: " + "word " * 790))
    async with served(m={}) as client:
        writing = asyncio.get_running_loop().create_task(flood(client, asked, 3_000))
        found = [(await client.receive()).status for _ in range(3_000)]
        await writing

    assert found == [200] * 3_000


async def flood(client: Client, asked: bytes, count: int) -> None:
    for _ in range(count):
        client.writer.write(asked)
    await client.writer.drain()


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"nonsense\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 411),
        (b"POST /v1/chat/completions HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + b"x" * 9_000_000, 413),
    ],
    ids=["no request", "chunked", "too large"],
)
async def test_what_is_refused_is_answered_and_then_closed(sent: bytes, status: int) -> None:
    async with served(m={}) as client:
        client.writer.write(sent)
        refused = await client.receive()

        assert refused.status == status
        assert refused.headers["connection"] == "close"
        assert refused.json["error"]["message"]
        assert await client.reader.read() == b""


async def test_a_body_of_the_largest_size_is_taken() -> None:
    body = chat("m", "x" * (8 * 1024 * 1024 - 200))
    async with served(m={}) as client:
        answered = await client.send("POST", PATH, body)

    assert answered.json["usage"]["prompt_tokens"] > 2_000_000


async def test_a_client_may_wait_for_continue() -> None:
    body = chat("m", "x")
    async with served(m={}) as client:
        head = raw("POST", PATH, body, "Expect: 100-continue\r\n").removesuffix(body)
        client.writer.write(head)
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.writer.write(body)
        assert (await client.receive()).status == 200


async def test_a_connection_is_closed_when_the_client_asks_for_it() -> None:
    async with served(m={}) as client:
        client.writer.write(raw("POST", PATH, chat("m", "x"), "Connection: close\r\n"))
        assert (await client.receive()).headers["connection"] == "close"
        assert await client.reader.read() == b""


async def test_leaving_the_block_ends_what_is_in_flight() -> None:
    async with serve(simulation(m={"errors": {"timeout": 1}})) as url:
        parts = connected(url)
        client = await parts.__aenter__()
        client.writer.write(raw("POST", PATH, chat("m", "x")))
        async with connected(url) as watcher:
            await until_in_flight(watcher, 1)

    with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
        await client.receive()
    await parts.__aexit__(None, None, None)


async def test_serving_forever_says_when_it_is_ready_and_ends_when_cancelled() -> None:
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.get_running_loop().create_task(
        serve_forever(simulation(m={}), host="127.0.0.1", port=0, ready=ready.set_result)
    )
    url = await ready
    async with connected(url) as client:
        assert (await client.ask("m", "x")).status == 200
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    with pytest.raises(ConnectionRefusedError):
        await connected(url).__aenter__()
