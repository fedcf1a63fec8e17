"""The Responses API: what is sent there for a chat request, and what its answers mean."""

import json
from typing import Any

import pytest

from batchroute.core.requests import Endpoint, Request, members
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.providers import responses
from batchroute.providers.payloads import of_responses
from batchroute.providers.transports import Reply
from tests.providers.builders import AMPLE_S, Kind, provider_at
from tests.providers.fault_server import http, serving

USAGE = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 4},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 2},
    "total_tokens": 14,
}
REASONING = {"type": "reasoning", "id": "rs_1", "summary": []}


def asked(messages: list[dict[str, Any]], **params: Any) -> Request:
    cap = params.get("max_tokens")
    encoded = json.dumps(messages).encode()
    return Request(
        messages=encoded, params=members(params), max_output_tokens=cap, endpoint=Endpoint.RESPONSES
    )


HELLO = asked([{"role": "user", "content": "hi"}])


def said(*texts: str, **more: Any) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []} for text in texts]
    return {
        "id": "resp_1",
        "object": "response",
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "model": "m",
        "output": [REASONING, {"type": "message", "role": "assistant", "content": content}],
        "usage": USAGE,
        **more,
    }


def judged(body: Any) -> Outcome:
    octets = body if isinstance(body, bytes) else json.dumps(body).encode()
    return responses.judge(Reply(200, octets, lambda _: None), HELLO, "m")


def refusing(text: str) -> dict[str, Any]:
    return {"type": "message", "content": [{"type": "refusal", "refusal": text}]}


BODIES = [
    pytest.param(
        [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hi"}],
        {"max_tokens": 7, "temperature": 0},
        {
            "instructions": "be brief",
            "input": [{"role": "user", "content": "hi"}],
            "max_output_tokens": 7,
            "temperature": 0,
        },
        id="system-and-limit",
    ),
    pytest.param(
        [{"role": "system", "content": "alone"}],
        {"max_output_tokens": 7},
        {"input": [{"role": "system", "content": "alone"}], "max_output_tokens": 7},
        id="nothing-but-system",
    ),
    pytest.param(
        [
            {"role": "user", "content": [{"type": "text", "text": "what is it?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "a cat"}]},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}}
                ],
            },
        ],
        {"store": True},
        {
            "input": [
                {"role": "user", "content": [{"type": "input_text", "text": "what is it?"}]},
                {"role": "assistant", "content": [{"type": "output_text", "text": "a cat"}]},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"}
                    ],
                },
            ],
            "store": True,
        },
        id="parts",
    ),
    pytest.param(
        [{"role": "user", "content": "hi"}],
        {
            "reasoning_effort": "low",
            "verbosity": "low",
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "strict": True, "schema": {"type": "object"}},
            },
        },
        {
            "input": [{"role": "user", "content": "hi"}],
            "reasoning": {"effort": "low"},
            "text": {
                "verbosity": "low",
                "format": {"type": "json_schema", "name": "x", "strict": True, "schema": {"type": "object"}},
            },
        },
        id="members-that-stand-elsewhere",
    ),
]


@pytest.mark.parametrize(("messages", "params", "sent"), BODIES)
def test_a_chat_request_is_sent_in_its_words(
    messages: list[dict[str, Any]], params: dict[str, Any], sent: dict[str, Any]
) -> None:
    body = json.loads(of_responses(asked(messages, **params), "m"))

    assert body == {"model": "m", "store": False, **sent}


def test_an_answer_is_read_with_its_usage() -> None:
    assert judged(said("yes", " indeed", service_tier="default")) == Response(
        content="yes indeed",
        finish_reason="stop",
        usage=Usage(input_tokens=9, output_tokens=5, cached_tokens=4, reasoning_tokens=2),
        response_model="m",
        response_id="resp_1",
        service_tier="default",
    )


CUT = {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
ODD = [
    pytest.param(said("yes", **CUT), "length", "output_truncated", id="cut-off"),
    pytest.param(said(output=[refusing("no, thank you")]), "stop", "refusal", id="refusal"),
    pytest.param(said("yes", model="another"), "stop", "model_substituted", id="another-model"),
    pytest.param(said("yes", usage=None), "stop", "usage_missing", id="no-usage"),
]


@pytest.mark.parametrize(("body", "finish_reason", "flag"), ODD)
def test_an_odd_answer_is_flagged(body: Any, finish_reason: str, flag: str) -> None:
    outcome = judged(body)

    assert isinstance(outcome, Response), outcome
    assert (outcome.finish_reason, outcome.flag) == (finish_reason, flag)


FAULTS = [
    pytest.param(said(output=[REASONING], **CUT), ErrorType.OUTPUT_TRUNCATED, id="cut-off-before-a-word"),
    pytest.param(
        said("x", status="incomplete", incomplete_details={"reason": "content_filter"}),
        ErrorType.CONTENT_BLOCKED,
        id="filtered",
    ),
    pytest.param(
        said("x", status="failed", error={"code": "server_error", "message": "sorry"}),
        ErrorType.SERVER_ERROR,
        id="failed",
    ),
    pytest.param(
        said("x", status="failed", error={"code": "rate_limit_exceeded", "message": "slow"}),
        ErrorType.RATE_LIMITED,
        id="failed-by-a-limit",
    ),
    pytest.param(said("x", status="failed"), ErrorType.PROVIDER_ERROR_MID_ANSWER, id="failed-in-silence"),
    pytest.param(said("x", status="queued"), ErrorType.FINISH_UNKNOWN, id="not-done"),
    pytest.param(said(output=[REASONING]), ErrorType.EMPTY_ANSWER, id="nothing-but-thoughts"),
    pytest.param(said("  "), ErrorType.EMPTY_ANSWER, id="blank"),
    pytest.param(said(output=None), ErrorType.CHOICES_MISSING, id="no-output"),
    pytest.param(
        said(output=[{"type": "function_call", "name": "f", "arguments": "{}"}]),
        ErrorType.UNEXPECTED_TOOL_CALL,
        id="a-call",
    ),
    pytest.param(
        said(output=[{"type": "message", "content": [{"type": "output_text", "text": 7}]}]),
        ErrorType.CONTENT_WRONG_TYPE,
        id="a-number-for-text",
    ),
    pytest.param(b"<html>", ErrorType.HTML_BODY, id="no-json"),
]


@pytest.mark.parametrize(("body", "error_type"), FAULTS)
def test_what_is_no_answer_is_a_failure(body: Any, error_type: ErrorType) -> None:
    outcome = judged(body)

    assert isinstance(outcome, Failure), outcome
    assert outcome.error_type is error_type


async def test_both_transports_send_it_to_its_path(kind: Kind) -> None:
    async with serving() as server, provider_at(kind, server.url) as provider:
        server.play(http(200, json.dumps(said("yes")).encode()))
        outcome = await provider.send(HELLO, "m", timeout_s=AMPLE_S)

    (seen,) = server.seen
    assert (seen.method, seen.target, seen.body) == ("POST", "/v1/responses", of_responses(HELLO, "m"))
    assert isinstance(outcome, Response), outcome
    assert outcome.content == "yes"


@pytest.mark.parametrize(
    ("status", "error_type"),
    [(400, ErrorType.BAD_REQUEST), (429, ErrorType.RATE_LIMITED), (500, ErrorType.SERVER_ERROR)],
)
async def test_errors_are_those_of_every_endpoint(kind: Kind, status: int, error_type: ErrorType) -> None:
    async with serving() as server, provider_at(kind, server.url) as provider:
        server.play(http(status, b'{"error":{"message":"no","type":"x","code":null}}'))
        outcome = await provider.send(HELLO, "m", timeout_s=AMPLE_S)

    assert isinstance(outcome, Failure), outcome
    assert outcome.error_type is error_type
