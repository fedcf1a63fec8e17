"""What a status 200 is worth: accepted, flagged or refused, case by case."""

import gzip
import json
import zlib
from typing import Any

import pytest

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.providers.answers import LONGEST_ANSWER, judge
from batchroute.providers.bodies import MAX_DECODED_BYTES
from batchroute.providers.transports import Reply
from tests.providers.builders import REQUEST
from tests.providers.fault_server import completion

USAGE = Usage(input_tokens=7, output_tokens=3)


def judged(
    body: bytes | str | dict[str, Any],
    model: str = "m",
    status: int = 200,
    request: Request = REQUEST,
    **headers: str,
) -> Outcome:
    octets = (
        body if isinstance(body, bytes) else (body if isinstance(body, str) else json.dumps(body)).encode()
    )
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return judge(Reply(status, octets, fields.get), request, model)


def accepted(outcome: Outcome) -> Response:
    assert isinstance(outcome, Response), outcome
    return outcome


def test_ordinary_answer_is_taken_whole() -> None:
    usage = {
        "prompt_tokens": 87,
        "completion_tokens": 21,
        "prompt_tokens_details": {"cached_tokens": 64, "cache_write_tokens": None},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    outcome = judged(completion(model="m-2026-01-01", usage=usage, service_tier="flex"))

    assert outcome == Response(
        content="yes",
        finish_reason="stop",
        usage=Usage(input_tokens=87, output_tokens=21, cached_tokens=64, reasoning_tokens=5),
        response_model="m-2026-01-01",
        response_id="chatcmpl-1",
        service_tier="flex",
    )


ORDINARY = [
    completion(),
    completion(service_tier="default", system_fingerprint="fp"),
    completion(usage={"prompt_tokens": 9, "completion_tokens": 1, "prompt_cache_hit_tokens": 4}),
    completion(message={"content": "zwei\nZeilen\tund é", "tool_calls": []}),
    completion(id=None, model=None),
]


@pytest.mark.parametrize("body", ORDINARY)
def test_quick_and_patient_reading_agree(body: dict[str, Any]) -> None:
    # A byte order mark is all it takes to be read with patience.
    octets = json.dumps(body, ensure_ascii=False).encode()

    assert judged(octets) == judged(b"\xef\xbb\xbf" + octets)
    assert accepted(judged(octets)).flag is None


def choices(*found: Any) -> dict[str, Any]:
    return completion(choices=list(found))


def said(content: Any, **choice: Any) -> dict[str, Any]:
    return completion(message={"content": content}, choice=choice)


FLAGGED = [
    pytest.param(
        said([{"type": "text", "text": "y"}, {"type": "text", "text": "es"}]),
        "yes",
        "content_parts",
        id="A89",
    ),
    pytest.param(
        choices(
            {"index": 1, "message": {"content": "no"}, "finish_reason": "stop"},
            {"index": 0, "message": {"content": "yes"}, "finish_reason": "stop"},
        ),
        "yes",
        "extra_choices",
        id="A90",
    ),
    pytest.param(said("half", finish_reason="length"), "half", "output_truncated", id="A91"),
    pytest.param(
        completion(message={"content": None, "refusal": "I cannot."}), "I cannot.", "refusal", id="A93"
    ),
    pytest.param(said("a\ud800b"), "a\ufffdb", "text_sanitised", id="A96"),
    pytest.param(said("a\x00b"), "a\x00b", "control_chars", id="A97"),
    pytest.param(said("a\bb"), "a\bb", "control_chars", id="A97-short escape"),
    pytest.param(said("x" * (LONGEST_ANSWER + 1)), "x" * (LONGEST_ANSWER + 1), "answer_too_large", id="A98"),
    pytest.param(completion(model="other"), "yes", "model_substituted", id="A103"),
]


@pytest.mark.parametrize(("body", "content", "flag"), FLAGGED)
def test_odd_answer_is_accepted_with_its_flag(body: dict[str, Any], content: str, flag: str) -> None:
    outcome = accepted(judged(body))

    assert (outcome.content, outcome.flag, outcome.usage) == (content, flag, USAGE)


@pytest.mark.parametrize(
    ("usage", "flag"),
    [
        pytest.param(None, "usage_missing", id="A99"),
        pytest.param({}, "usage_missing", id="A99-empty"),
        pytest.param("7", "usage_implausible", id="A100-text"),
        pytest.param(
            {"prompt_tokens": "7", "completion_tokens": 3}, "usage_implausible", id="A100-text count"
        ),
        pytest.param({"prompt_tokens": -1, "completion_tokens": 3}, "usage_implausible", id="A100-negative"),
        pytest.param(
            {"prompt_tokens": float("nan"), "completion_tokens": 3}, "usage_implausible", id="A100-nan"
        ),
        pytest.param({"prompt_tokens": 1e30, "completion_tokens": 3}, "usage_implausible", id="A100-1e30"),
        pytest.param(
            {"prompt_tokens": 10**30, "completion_tokens": 3}, "usage_implausible", id="A100-10**30"
        ),
        pytest.param({"prompt_tokens": True, "completion_tokens": 3}, "usage_implausible", id="A100-bool"),
        pytest.param({"prompt_tokens": 7}, "usage_implausible", id="A100-half"),
        pytest.param(
            {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}},
            "usage_implausible",
            id="A100-cached above prompt",
        ),
        pytest.param(
            {
                "prompt_tokens": 7,
                "completion_tokens": 3,
                "completion_tokens_details": {"reasoning_tokens": 4},
            },
            "usage_implausible",
            id="A100-reasoning above completion",
        ),
        pytest.param(
            {"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": 5},
            "usage_implausible",
            id="A100-details",
        ),
    ],
)
def test_odd_usage_never_costs_the_answer(usage: object, flag: str) -> None:
    outcome = accepted(judged(completion(usage=usage)))

    assert (outcome.content, outcome.flag, outcome.usage) == ("yes", flag, None)


def test_usage_of_responses_names_is_read() -> None:
    usage = {"input_tokens": 9, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 4}}

    assert accepted(judged(completion(usage=usage))).usage == Usage(
        input_tokens=9, output_tokens=2, cached_tokens=4
    )


def test_gravest_oddity_is_the_flag() -> None:
    outcome = accepted(judged(completion(model="other", choice={"finish_reason": "length"}, usage=None)))

    assert (outcome.flag, outcome.usage) == ("output_truncated", None)


UNREADABLE = [
    pytest.param(b'{"choices": [,]}', ErrorType.NOT_JSON, id="A41-comma"),
    pytest.param(b"{}{}", ErrorType.NOT_JSON, id="A41-two objects"),
    pytest.param(
        json.dumps(completion()).encode().replace(b"yes", b"\xff"), ErrorType.BODY_NOT_UTF8, id="A46"
    ),
    pytest.param(b"", ErrorType.EMPTY_BODY, id="A47"),
    pytest.param(b" \n\n", ErrorType.EMPTY_BODY, id="A47-blank"),
    pytest.param(b"\xef\xbb\xbf\n<html>", ErrorType.HTML_BODY, id="A48"),
    pytest.param(b"null", ErrorType.WRONG_SHAPE, id="A49-null"),
    pytest.param(b"[]", ErrorType.WRONG_SHAPE, id="A49-list"),
    pytest.param(b"3", ErrorType.WRONG_SHAPE, id="A49-number"),
    pytest.param(b'"x"', ErrorType.WRONG_SHAPE, id="A49-text"),
    pytest.param(b"[" * 100_000, ErrorType.NESTING_TOO_DEEP, id="A50"),
    pytest.param(b"\xef\xbb\xbf" + b"[" * 100_000, ErrorType.NESTING_TOO_DEEP, id="A50-patient"),
    pytest.param(b'data: {"choices": []}\n\n', ErrorType.UNEXPECTED_STREAM, id="A51"),
    pytest.param(b'{"choices": 1' + b"0" * 5000 + b"}", ErrorType.NOT_JSON, id="integer of 5000 digits"),
]


@pytest.mark.parametrize(("body", "expected"), UNREADABLE)
def test_body_that_is_no_answer_is_refused_and_maybe_billed(body: bytes, expected: ErrorType) -> None:
    outcome = judged(body)

    assert isinstance(outcome, Failure)
    assert (outcome.error_type, outcome.sent, outcome.http_status, outcome.usage) == (
        expected,
        True,
        200,
        None,
    )


def test_a43_encoding_nobody_asked_for_is_not_decoded() -> None:
    outcome = judged(b"\x0b\x01\x80{}\x03", content_encoding="br")

    assert isinstance(outcome, Failure)
    assert outcome.error_type == ErrorType.DECODE_FAILED


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_compressed_answer_is_read_although_nobody_asked_for_one(encoding: str) -> None:
    octets = json.dumps(completion()).encode()
    body = gzip.compress(octets) if encoding == "gzip" else zlib.compress(octets)

    assert accepted(judged(body, content_encoding=encoding)).content == "yes"


@pytest.mark.parametrize(
    ("excess", "expected"), [(0, ErrorType.NOT_JSON), (1, ErrorType.DECODE_BOMB)], ids=["most", "more"]
)
def test_a44_body_is_decompressed_up_to_its_cap(excess: int, expected: ErrorType) -> None:
    outcome = judged(gzip.compress(b"x" * (MAX_DECODED_BYTES + excess)), content_encoding="gzip")

    assert isinstance(outcome, Failure)
    assert outcome.error_type == expected


def test_a28_headers_that_lie_about_plain_json_are_ignored() -> None:
    accepted(judged(completion(), content_encoding="gzip", content_type="text/html; charset=latin-1"))


def test_status_below_200_is_no_answer() -> None:
    outcome = judged(completion(), status=101)

    assert isinstance(outcome, Failure)
    assert outcome.error_type == ErrorType.PROTOCOL_VIOLATION


REFUSED = [
    pytest.param(
        completion(choice={"finish_reason": "error"}), ErrorType.PROVIDER_ERROR_MID_ANSWER, id="A53"
    ),
    pytest.param(completion(choice={"finish_reason": "content_filter"}), ErrorType.CONTENT_BLOCKED, id="A62"),
    pytest.param({"usage": completion()["usage"]}, ErrorType.CHOICES_MISSING, id="A83"),
    pytest.param(completion(choices=None), ErrorType.CHOICES_MISSING, id="A83-null"),
    pytest.param(choices(), ErrorType.CHOICES_MISSING, id="A83-empty"),
    pytest.param(choices({"finish_reason": "stop"}), ErrorType.MESSAGE_MISSING, id="A84"),
    pytest.param(choices(None), ErrorType.MESSAGE_MISSING, id="A84-null choice"),
    pytest.param(completion(choice={"message": None}), ErrorType.MESSAGE_MISSING, id="A84-null"),
    pytest.param(said(None), ErrorType.EMPTY_ANSWER, id="A85"),
    pytest.param(said(""), ErrorType.EMPTY_ANSWER, id="A85-empty"),
    pytest.param(said(" \n"), ErrorType.EMPTY_ANSWER, id="A85-blank"),
    pytest.param(said([]), ErrorType.EMPTY_ANSWER, id="A85-no parts"),
    pytest.param(said(5), ErrorType.CONTENT_WRONG_TYPE, id="A86"),
    pytest.param(said({"text": "yes"}), ErrorType.CONTENT_WRONG_TYPE, id="A86-object"),
    pytest.param(said([{"type": "image"}]), ErrorType.CONTENT_WRONG_TYPE, id="A86-image part"),
    pytest.param(said("yes", finish_reason=None), ErrorType.FINISH_UNKNOWN, id="A87"),
    pytest.param(said("yes", finish_reason="abort"), ErrorType.FINISH_UNKNOWN, id="A87-abort"),
    pytest.param(said("yes", finish_reason=["stop"]), ErrorType.FINISH_UNKNOWN, id="A87-list"),
    pytest.param(said(None, finish_reason="tool_calls"), ErrorType.UNEXPECTED_TOOL_CALL, id="A88"),
    pytest.param(
        completion(message={"tool_calls": [{"id": "1"}]}), ErrorType.UNEXPECTED_TOOL_CALL, id="A88-stop"
    ),
    pytest.param(said(" ", finish_reason="length"), ErrorType.OUTPUT_TRUNCATED, id="A92"),
]


@pytest.mark.parametrize(("body", "expected"), REFUSED)
def test_answer_without_text_is_refused_but_its_usage_counts(
    body: dict[str, Any], expected: ErrorType
) -> None:
    outcome = judged(body)

    assert isinstance(outcome, Failure)
    assert (outcome.error_type, outcome.sent, outcome.usage) == (expected, True, USAGE)


@pytest.mark.parametrize(
    ("error", "expected", "sent"),
    [
        ({"code": 429, "message": "later"}, ErrorType.RATE_LIMITED, False),
        ({"code": "invalid_api_key"}, ErrorType.AUTH_REJECTED, False),
        ({"code": "whatever"}, ErrorType.ERROR_IN_200, True),
        ("overloaded", ErrorType.ERROR_IN_200, True),
    ],
)
def test_a52_error_in_a_200_is_what_its_code_says(error: object, expected: ErrorType, sent: bool) -> None:
    outcome = judged({"error": error, "choices": []}, retry_after="3")

    assert isinstance(outcome, Failure)
    assert (outcome.error_type, outcome.sent, outcome.retry_after_s) == (expected, sent, 3)


def test_null_error_beside_an_answer_is_none() -> None:
    assert accepted(judged(completion(error=None))).flag is None


def test_lone_surrogates_are_gone_from_every_field() -> None:
    outcome = accepted(judged(completion(id="\udfff", model="m", message={"content": "a\ud83d\ude00\udc00"})))

    assert (outcome.response_id, outcome.content) == ("\ufffd", "a\U0001f600\ufffd")
    refused = judged(completion(choice={"finish_reason": "a\ud800"}))
    assert isinstance(refused, Failure)
    assert (refused.error_type, refused.finish_reason) == (ErrorType.FINISH_UNKNOWN, "a\ufffd")
