"""Vectors: what is sent for them, and which answers hold one for every text."""

import json
import struct
from base64 import b64encode
from typing import Any

import pytest

from batchroute.core.requests import Endpoint, Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.providers import embeddings
from batchroute.providers.payloads import of_embeddings
from batchroute.providers.transports import MAX_BODY_BYTES, Reply
from tests.providers.builders import AMPLE_S, Kind, provider_at
from tests.providers.fault_server import http, serving


def asking(count: int) -> Request:
    texts = json.dumps([f"text {number}" for number in range(count)]).encode()
    return Request(
        messages=texts,
        params=b',"encoding_format":"base64"',
        max_output_tokens=0,
        endpoint=Endpoint.EMBEDDINGS,
    )


TWO = asking(2)


def packed(*numbers: float) -> bytes:
    return struct.pack(f"<{len(numbers)}f", *numbers)


def body(*vectors: Any, indices: list[int] | None = None, **more: Any) -> dict[str, Any]:
    numbered = zip(indices or range(len(vectors)), vectors, strict=True)
    listed = [{"object": "embedding", "index": index, "embedding": vector} for index, vector in numbered]
    usage = {"prompt_tokens": 6, "total_tokens": 6}
    return {"object": "list", "data": listed, "model": "m", "usage": usage, **more}


def judged(told: Any) -> Outcome:
    return embeddings.judge(Reply(200, json.dumps(told).encode(), lambda _: None), TWO, "m")


@pytest.mark.parametrize(
    "told",
    [
        body([1, 2.5], [3, -4]),
        body(b64encode(packed(1, 2.5)).decode(), b64encode(packed(3, -4)).decode()),
        body([3, -4], [1, 2.5], indices=[1, 0]),
    ],
    ids=["numbers", "base64", "in-another-order"],
)
def test_vectors_stand_in_the_order_of_their_texts(told: Any) -> None:
    outcome = judged(told)

    assert isinstance(outcome, Response), outcome
    assert outcome.vectors == (packed(1, 2.5), packed(3, -4))
    assert outcome.usage == Usage(input_tokens=6, output_tokens=0)
    assert outcome.flag is None


FAULTS = [
    pytest.param(body([1, 2]), id="one-too-few"),
    pytest.param(body([1, 2], [1, 2], [1, 2]), id="one-too-many"),
    pytest.param(body([1, 2], [1, 2], indices=[0, 0]), id="one-twice"),
    pytest.param(body([1, 2], [1]), id="of-two-lengths"),
    pytest.param(body([], []), id="empty"),
    pytest.param(body([1, 2], ["a", "b"]), id="words"),
    pytest.param(body([1, 2], None), id="null"),
    pytest.param(body([1, 2], [1, 1e39]), id="beyond-32-bits"),
    pytest.param(body("AAAA", "AAAA"), id="three-bytes"),
    pytest.param(body("not base64!", "AAAAAA=="), id="no-base64"),
    pytest.param(body(b64encode(packed(float("nan"))).decode(), "AAAAAA=="), id="not-a-number"),
    pytest.param({"data": None}, id="no-data"),
    pytest.param({"data": [1, 2]}, id="no-objects"),
]


@pytest.mark.parametrize("told", FAULTS)
def test_anything_else_is_a_failure(told: Any) -> None:
    outcome = judged(told)

    assert isinstance(outcome, Failure), outcome
    assert outcome.error_type is ErrorType.WRONG_SHAPE


def test_what_it_took_is_known_of_a_bad_answer_too() -> None:
    assert judged(body([1, 2])).usage == Usage(input_tokens=6, output_tokens=0)


async def test_both_transports_send_it_to_its_path_and_read_a_large_answer(kind: Kind) -> None:
    vector = [0.1234567890123456789] * 2000
    many = asking(150)
    told = json.dumps(body(*[vector] * 150)).encode()
    assert len(told) > MAX_BODY_BYTES
    async with serving() as server, provider_at(kind, server.url) as provider:
        server.play(http(200, told))
        outcome = await provider.send(many, "m", timeout_s=AMPLE_S)

    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/v1/embeddings", of_embeddings(many, "m"))
    assert json.loads(seen.body)["input"][149] == "text 149"
    assert isinstance(outcome, Response), outcome
    assert len(outcome.vectors) == 150


async def test_an_answer_without_end_is_cut(kind: Kind) -> None:
    async with serving() as server, provider_at(kind, server.url) as provider:
        server.play(http(200, b" " * (MAX_BODY_BYTES + 100)))
        outcome = await provider.send(TWO, "m", timeout_s=AMPLE_S)

    assert isinstance(outcome, Failure), outcome
    assert outcome.error_type is ErrorType.BODY_TOO_LARGE
