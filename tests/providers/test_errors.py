"""The map of errors: complete over openai's classes, and true to what providers mean."""

import json
import socket
import ssl
from collections.abc import Iterator

import httpx2
import openai  # noqa: TID251 # the map is proved against its exception tree
import pytest

from batchroute.core.responses import ErrorType
from batchroute.providers.errors import (
    MAX_MESSAGE_BYTES,
    complaint,
    cut,
    error_type,
    error_type_in_200,
    failure,
    mapped,
)
from batchroute.providers.transports import BodyTooLargeError

REQUEST = httpx2.Request("POST", "http://h/v1/chat/completions")
HTML = "<!doctype html><title>x</title>"


def tree(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


# Raised where the SDK itself is used wrongly; no provider and no network can cause them.
MISUSES = {
    "APIRemovedInV1",
    "MutuallyExclusiveAuthError",
    "StreamAlreadyConsumed",
    "_AmbiguousModuleClientUsageError",
}


def test_every_error_of_openai_is_mapped() -> None:
    every = set(tree(openai.OpenAIError)) - {openai.OpenAIError, openai.APIError}
    unmapped = {kind for kind in every if not mapped().intersection(kind.__mro__)}

    assert {kind.__name__ for kind in unmapped} <= MISUSES
    assert len(every) > 15


def status_error(status: int, body: object = None, **headers: str) -> openai.APIStatusError:
    text = body if isinstance(body, str) else json.dumps(body)
    given = {name.replace("_", "-"): value for name, value in headers.items()}
    response = httpx2.Response(status, headers=given, text=text, request=REQUEST)
    inner = body.get("error", body) if isinstance(body, dict) else None
    return openai.APIStatusError(f"HTTP {status}", response=response, body=inner)


def coded(code: str | None, message: str = "no", kind: str | None = None) -> dict[str, object]:
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


STATUSES = [
    pytest.param(301, None, ErrorType.REDIRECT_REFUSED, id="A54-301"),
    pytest.param(308, HTML, ErrorType.REDIRECT_REFUSED, id="A54-308"),
    pytest.param(400, coded(None, kind="invalid_request_error"), ErrorType.BAD_REQUEST, id="A55"),
    pytest.param(422, {"detail": [{"loc": ["body"]}]}, ErrorType.UNPROCESSABLE, id="A56"),
    pytest.param(400, coded("unsupported_parameter"), ErrorType.UNSUPPORTED_PARAMETER, id="A57"),
    pytest.param(400, coded("unsupported_value"), ErrorType.UNSUPPORTED_PARAMETER, id="A57-value"),
    pytest.param(400, coded("context_length_exceeded"), ErrorType.CONTEXT_EXCEEDED, id="A58"),
    pytest.param(413, coded("context_length_exceeded"), ErrorType.CONTEXT_EXCEEDED, id="A58-413"),
    pytest.param(
        400,
        coded("400", "This model's maximum context length is 4096 tokens."),
        ErrorType.CONTEXT_EXCEEDED,
        id="A58-vllm",
    ),
    pytest.param(413, HTML, ErrorType.REQUEST_TOO_LARGE, id="A59"),
    pytest.param(
        429,
        coded("rate_limit_exceeded", "Request too large for m on tokens per min (TPM)", "tokens"),
        ErrorType.REQUEST_EXCEEDS_QUOTA,
        id="A60",
    ),
    pytest.param(400, coded("content_policy_violation"), ErrorType.CONTENT_BLOCKED, id="A61"),
    pytest.param(400, coded("content_filter"), ErrorType.CONTENT_BLOCKED, id="A61-azure"),
    pytest.param(401, coded("invalid_api_key"), ErrorType.AUTH_REJECTED, id="A63"),
    pytest.param(401, HTML, ErrorType.AUTH_REJECTED, id="A63-html"),
    pytest.param(403, coded("unsupported_country_region_territory"), ErrorType.PERMISSION_DENIED, id="A64"),
    pytest.param(
        402, coded("invalid_request_error", "Insufficient Balance"), ErrorType.BILLING_EXHAUSTED, id="A65-402"
    ),
    *(
        pytest.param(429, coded(code), ErrorType.BILLING_EXHAUSTED, id=f"A65-{code}")
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        )
    ),
    pytest.param(
        429, coded("new_word", kind="insufficient_quota"), ErrorType.BILLING_EXHAUSTED, id="A65-type"
    ),
    pytest.param(403, HTML, ErrorType.WAF_BLOCKED, id="A66"),
    pytest.param(400, "\n" + HTML, ErrorType.WAF_BLOCKED, id="A66-400"),
    pytest.param(404, coded("model_not_found"), ErrorType.MODEL_NOT_FOUND, id="A67"),
    pytest.param(
        404, coded(None, 'model "x" not found, try pulling it'), ErrorType.MODEL_NOT_FOUND, id="A67-ollama"
    ),
    pytest.param(400, coded(None, "Model Not Exist"), ErrorType.MODEL_NOT_FOUND, id="A67-deepseek"),
    pytest.param(410, coded(None), ErrorType.MODEL_NOT_FOUND, id="A67-410"),
    pytest.param(404, HTML, ErrorType.ENDPOINT_MISMATCH, id="A68"),
    pytest.param(404, {"detail": "Not Found"}, ErrorType.ENDPOINT_MISMATCH, id="A68-json"),
    *(
        pytest.param(status, None, ErrorType.ENDPOINT_MISMATCH, id=f"A68-{status}")
        for status in (405, 406, 415, 501)
    ),
    *(
        pytest.param(status, None, ErrorType.UNEXPECTED_4XX, id=f"A69-{status}")
        for status in (418, 431, 451, 499)
    ),
    pytest.param(408, None, ErrorType.SERVER_TIMEOUT, id="A70"),
    pytest.param(409, None, ErrorType.CONFLICT, id="A71-409"),
    pytest.param(425, None, ErrorType.CONFLICT, id="A71-425"),
    pytest.param(503, HTML, ErrorType.OVERLOADED, id="A72"),
    pytest.param(529, coded(None, kind="overloaded_error"), ErrorType.OVERLOADED, id="A72-529"),
    *(
        pytest.param(status, HTML, ErrorType.ORIGIN_UNREACHABLE, id=f"A73-{status}")
        for status in (521, 522, 523, 525, 526)
    ),
    pytest.param(500, coded(None, kind="server_error"), ErrorType.SERVER_ERROR, id="A74"),
    pytest.param(599, None, ErrorType.SERVER_ERROR, id="A74-599"),
    pytest.param(502, HTML, ErrorType.BAD_GATEWAY, id="A75-502"),
    pytest.param(520, HTML, ErrorType.BAD_GATEWAY, id="A75-520"),
    pytest.param(504, HTML, ErrorType.GATEWAY_TIMEOUT, id="A76-504"),
    pytest.param(524, HTML, ErrorType.GATEWAY_TIMEOUT, id="A76-524"),
    pytest.param(429, coded("rate_limit_exceeded", kind="requests"), ErrorType.RATE_LIMITED, id="A78"),
    pytest.param(429, HTML, ErrorType.RATE_LIMITED, id="A78-html"),
    pytest.param(429, coded("slow_down"), ErrorType.SLOW_DOWN, id="A81-429"),
    pytest.param(503, coded("slow_down"), ErrorType.SLOW_DOWN, id="A81-503"),
    pytest.param(429, coded("limit_burst_rate"), ErrorType.SLOW_DOWN, id="A81-burst"),
    pytest.param(429, coded("resource_unavailable"), ErrorType.TIER_UNAVAILABLE, id="A82"),
    pytest.param(407, None, ErrorType.PROXY_AUTH_REQUIRED, id="A16"),
    pytest.param(999, None, ErrorType.PROTOCOL_VIOLATION, id="A32"),
]

MAYBE_BILLED = {ErrorType.SERVER_TIMEOUT, ErrorType.GATEWAY_TIMEOUT, ErrorType.PROTOCOL_VIOLATION}


@pytest.mark.parametrize(("status", "body", "expected"), STATUSES)
def test_status_and_body_give_the_word(status: int, body: object, expected: ErrorType) -> None:
    told = failure(status_error(status, body))

    assert (told.error_type, told.http_status, told.sent) == (expected, status, expected in MAYBE_BILLED)


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": 429, "message": "slow"}, ErrorType.RATE_LIMITED),
        ({"code": "401"}, ErrorType.AUTH_REJECTED),
        ({"code": 502}, ErrorType.BAD_GATEWAY),
        ({"type": "rate_limit_error"}, ErrorType.RATE_LIMITED),
        (
            {"code": "rate_limit_exceeded", "message": "Request too large for m"},
            ErrorType.REQUEST_EXCEEDS_QUOTA,
        ),
        ({"code": "insufficient_quota"}, ErrorType.BILLING_EXHAUSTED),
        ({"code": "context_length_exceeded"}, ErrorType.CONTEXT_EXCEEDED),
        ({"code": 200}, ErrorType.ERROR_IN_200),
        ({"code": "strange"}, ErrorType.ERROR_IN_200),
        ("it broke", ErrorType.ERROR_IN_200),
    ],
)
def test_a52_inner_code_decides_under_status_200(error: object, expected: ErrorType) -> None:
    assert error_type_in_200(complaint(error, "")) == expected


def test_retry_after_and_limits_come_with_the_failure() -> None:
    headers = {
        "retry_after": "2",
        "x_ratelimit_remaining_requests": "0",
        "x_ratelimit_reset_requests": "6m0s",
    }
    told = failure(status_error(429, coded("rate_limit_exceeded"), **headers))

    assert told.retry_after_s == 2
    assert told.rate_limits is not None
    assert (told.rate_limits.remaining_requests, told.rate_limits.reset_requests) == (0, 360)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (coded(None, "Bad\n thing"), "HTTP 400: Bad thing"),
        ({"error": "model \u2029gone"}, "HTTP 400: model gone"),
        ({"detail": "Not Found"}, "HTTP 400: Not Found"),
        ("plain words", "HTTP 400: plain words"),
        (HTML, f"HTTP 400: {HTML}"),
    ],
)
def test_message_is_what_the_provider_said(body: object, message: str) -> None:
    assert failure(status_error(400, body)).message == message


def raised_while_handling(error: Exception, *handled: BaseException) -> Exception:
    """An error with the others as its context, the first of them the nearest."""
    within: BaseException = error
    for one in handled:
        within.__context__ = one
        within = one
    return error


def test_an_error_with_words_of_its_own_is_not_explained_by_what_was_being_handled() -> None:
    error = BodyTooLargeError(message="The body is longer than 9 bytes.", request=REQUEST)
    told = failure(raised_while_handling(error, ssl.SSLWantReadError("did not complete")))

    assert told.message == "body too large: The body is longer than 9 bytes."


def test_an_error_without_words_is_explained_by_what_was_being_handled() -> None:
    told = failure(raised_while_handling(ConnectionError(), OSError(), ConnectionResetError(104, "reset")))

    assert told.message == "connection lost: [Errno 104] reset"


def test_message_is_cut_between_characters() -> None:
    told = cut("é" * MAX_MESSAGE_BYTES)

    assert told == "é" * (MAX_MESSAGE_BYTES // 2)


def test_message_holds_nothing_that_a_terminal_obeys() -> None:
    assert cut("a\x1b[31m\x9bb\x00") == "a\ufffd[31m\ufffdb\ufffd"


def test_nothing_known_is_maybe_billed() -> None:
    told = failure(KeyError("odd"))

    assert (told.error_type, told.sent, told.message) == (ErrorType.UNCLASSIFIED, True, "KeyError: 'odd'")


def caused_by(cause: Exception) -> openai.APIConnectionError:
    error = openai.APIConnectionError(request=REQUEST)
    error.__cause__ = cause
    return error


def sdk_connect_error(cause: OSError) -> httpx2.ConnectError:
    error = httpx2.ConnectError("All connection attempts failed")
    error.__cause__ = cause
    return error


CAUSES = [
    pytest.param(
        sdk_connect_error(socket.gaierror(-2, "no name")), (ErrorType.DNS_FAILURE, False), id="A1-sdk"
    ),
    pytest.param(
        sdk_connect_error(ssl.SSLEOFError(8, "eof")),
        (ErrorType.CONNECTION_LOST, False),
        id="eof in the handshake, sdk",
    ),
    pytest.param(
        sdk_connect_error(OSError(99, "no ports")), (ErrorType.LOCAL_RESOURCE, False), id="A9-ports, sdk"
    ),
    pytest.param(OSError(24, "Too many open files"), (ErrorType.LOCAL_RESOURCE, False), id="A9-sdk"),
    pytest.param(httpx2.LocalProtocolError("bad header"), (ErrorType.UNCLASSIFIED, False), id="not sendable"),
    pytest.param(httpx2.WriteError("gone"), (ErrorType.CONNECTION_LOST, True), id="A21"),
]


@pytest.mark.parametrize(("cause", "expected"), CAUSES)
def test_cause_of_a_lost_connection_gives_the_word(
    cause: Exception, expected: tuple[ErrorType, bool]
) -> None:
    told = failure(caused_by(cause))

    assert (told.error_type, told.sent) == expected


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        (httpx2.PoolTimeout("slots"), (ErrorType.POOL_EXHAUSTED, False)),
        (httpx2.ConnectTimeout("slow"), (ErrorType.CONNECT_TIMEOUT, False)),
        (httpx2.WriteTimeout("slow"), (ErrorType.WRITE_TIMEOUT, False)),
        (httpx2.ReadTimeout("slow"), (ErrorType.ATTEMPT_TIMEOUT, True)),
        (TimeoutError(), (ErrorType.ATTEMPT_TIMEOUT, True)),
    ],
)
def test_phase_of_a_timeout_gives_the_word(cause: Exception, expected: tuple[ErrorType, bool]) -> None:
    error = openai.APITimeoutError(REQUEST)
    error.__cause__ = cause
    told = failure(error)

    assert (told.error_type, told.sent) == expected


def test_words_decide_before_the_status() -> None:
    for status in (400, 403, 429, 500, 503):
        assert error_type(status, complaint(coded("insufficient_quota"), "")) == ErrorType.BILLING_EXHAUSTED
