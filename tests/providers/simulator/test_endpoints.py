"""The simulator's other endpoints: responses and vectors."""

import json
import struct
from base64 import b64decode
from typing import Any

import pytest

from tests.providers.simulator.client import Answered, Client, served


async def ask(client: Client, path: str, **members: Any) -> Answered:
    return await client.send("POST", path, json.dumps({"model": "m", **members}).encode())


async def test_a_response_says_what_a_completion_says() -> None:
    async with served(m={}) as client:
        response = await ask(client, "/v1/responses", instructions="Be brief.", input="Tell me about the sea")
    async with served(m={}) as client:
        messages = [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Tell me about the sea"},
        ]
        completion = await ask(client, "/v1/chat/completions", messages=messages)

    [message] = response.json["output"]
    assert message["content"][0]["text"] == completion.content
    assert (response.json["object"], response.json["status"]) == ("response", "completed")
    assert response.json["usage"]["output_tokens"] == completion.json["usage"]["completion_tokens"]


async def test_a_response_is_cut_at_the_cap() -> None:
    async with served(m={}) as client:
        answered = await ask(client, "/v1/responses", input="Tell me about the sea", max_output_tokens=7)

    assert answered.json["status"] == "incomplete"
    assert answered.json["incomplete_details"] == {"reason": "max_output_tokens"}


async def test_a_model_may_refuse_in_a_response() -> None:
    async with served(m={"errors": {"refusal": 1.0}}) as client:
        answered = await ask(client, "/v1/responses", input="Tell me about the sea")

    [message] = answered.json["output"]
    assert [part["type"] for part in message["content"]] == ["refusal"]


async def test_a_text_has_the_same_vector_in_whatever_company_and_form() -> None:
    async with served(m={}) as client:
        alone = await ask(client, "/v1/embeddings", input="the sea", dimensions=8)
        others = await ask(
            client, "/v1/embeddings", input=["x", "the sea"], dimensions=8, encoding_format="base64"
        )

    vector = alone.json["data"][0]["embedding"]
    assert len(vector) == 8
    assert sum(number * number for number in vector) == pytest.approx(1)
    assert list(struct.unpack("<8f", b64decode(others.json["data"][1]["embedding"]))) == pytest.approx(vector)
    assert others.json["usage"]["prompt_tokens"] == 2


WRONG = [
    pytest.param("embeddings", {"input": []}, "1 to 2048 texts", id="no-text"),
    pytest.param("embeddings", {"input": ["x", ""]}, "a text is empty", id="empty-text"),
    pytest.param("embeddings", {"input": "x", "dimensions": 0}, "'dimensions'", id="no-dimensions"),
    pytest.param("embeddings", {"input": "word " * 9000}, "maximum context length", id="too-long"),
    pytest.param("responses", {"input": []}, "empty array", id="no-input"),
    pytest.param("responses", {"input": "x", "stream": True}, "Streaming", id="stream"),
]


@pytest.mark.parametrize(("path", "members", "said"), WRONG)
async def test_what_cannot_be_answered_is_refused(path: str, members: dict[str, Any], said: str) -> None:
    async with served(m={}) as client:
        answered = await ask(client, f"/v1/{path}", **members)

    assert answered.status == 400
    assert said in answered.json["error"]["message"]


@pytest.mark.parametrize("path", ["/v1/responses", "/v1/embeddings"])
async def test_they_are_posted_to_and_know_their_models(path: str) -> None:
    async with served(m={}) as client:
        fetched = await client.send("GET", path)
        unknown = await ask(client, path, input="x", model="gone")

    assert (fetched.status, unknown.status) == (405, 404)
    assert unknown.json["error"]["code"] == "model_not_found"
