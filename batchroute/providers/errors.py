"""The one map from what openai's client raises, and from what providers say is wrong, to failures.

Status and code words: https://platform.openai.com/docs/guides/error-codes, and for other hosts the
codes of Azure, Anthropic, DeepSeek, Groq, Alibaba and vLLM as seen in their error bodies (2026-11).
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

import openai
from msgspec import Struct
from openai._exceptions import SubjectTokenProviderError  # not exported, but part of the tree

from batchroute.core.responses import ErrorType, Failure
from batchroute.providers import causes
from batchroute.providers.limits import rate_limits_of_refusal, retry_after_s
from batchroute.providers.transports import BodyLostError, BodyTooLargeError

MAX_MESSAGE_BYTES: Final = 2048

_UNPRINTABLE: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


class Complaint(Struct, frozen=True):
    """What the body of an error says: its code, then its type, in lower case; its message; whether it is HTML."""

    words: tuple[str, ...]
    message: str
    html: bool


_BY_WORD: Final[dict[str, ErrorType]] = {
    "insufficient_quota": ErrorType.BILLING_EXHAUSTED,
    "credit_balance_exhausted": ErrorType.BILLING_EXHAUSTED,
    "organization_spend_limit_exceeded": ErrorType.BILLING_EXHAUSTED,
    "project_spend_limit_exceeded": ErrorType.BILLING_EXHAUSTED,
    "organization_usage_limit_exceeded": ErrorType.BILLING_EXHAUSTED,
    "billing_hard_limit_reached": ErrorType.BILLING_EXHAUSTED,
    "billing_not_active": ErrorType.BILLING_EXHAUSTED,
    "billing_error": ErrorType.BILLING_EXHAUSTED,
    "slow_down": ErrorType.SLOW_DOWN,
    "limit_burst_rate": ErrorType.SLOW_DOWN,
    "resource_unavailable": ErrorType.TIER_UNAVAILABLE,
    "context_length_exceeded": ErrorType.CONTEXT_EXCEEDED,
    "exceed_context_size_error": ErrorType.CONTEXT_EXCEEDED,
    "content_filter": ErrorType.CONTENT_BLOCKED,
    "content_policy_violation": ErrorType.CONTENT_BLOCKED,
    "data_inspection_failed": ErrorType.CONTENT_BLOCKED,
    "unsupported_parameter": ErrorType.UNSUPPORTED_PARAMETER,
    "unsupported_value": ErrorType.UNSUPPORTED_PARAMETER,
    "unknown_parameter": ErrorType.UNSUPPORTED_PARAMETER,
    "model_not_found": ErrorType.MODEL_NOT_FOUND,
    "model_decommissioned": ErrorType.MODEL_NOT_FOUND,
    "deploymentnotfound": ErrorType.MODEL_NOT_FOUND,
    "invalid_api_key": ErrorType.AUTH_REJECTED,
    "account_deactivated": ErrorType.AUTH_REJECTED,
    "unsupported_country_region_territory": ErrorType.PERMISSION_DENIED,
    "server_is_overloaded": ErrorType.OVERLOADED,
    "overloaded_error": ErrorType.OVERLOADED,
    "request_too_large": ErrorType.REQUEST_TOO_LARGE,
}
"""Words that decide before the status: not every 429 is a rate limit, nor every 400 the record's fault."""

_BY_STATUS: Final[dict[int, ErrorType]] = {
    400: ErrorType.BAD_REQUEST,
    401: ErrorType.AUTH_REJECTED,
    402: ErrorType.BILLING_EXHAUSTED,
    403: ErrorType.PERMISSION_DENIED,
    404: ErrorType.ENDPOINT_MISMATCH,
    405: ErrorType.ENDPOINT_MISMATCH,
    406: ErrorType.ENDPOINT_MISMATCH,
    407: ErrorType.PROXY_AUTH_REQUIRED,
    408: ErrorType.SERVER_TIMEOUT,
    409: ErrorType.CONFLICT,
    410: ErrorType.MODEL_NOT_FOUND,
    413: ErrorType.REQUEST_TOO_LARGE,
    415: ErrorType.ENDPOINT_MISMATCH,
    422: ErrorType.UNPROCESSABLE,
    425: ErrorType.CONFLICT,
    429: ErrorType.RATE_LIMITED,
    501: ErrorType.ENDPOINT_MISMATCH,
    502: ErrorType.BAD_GATEWAY,
    503: ErrorType.OVERLOADED,
    504: ErrorType.GATEWAY_TIMEOUT,
    520: ErrorType.BAD_GATEWAY,
    521: ErrorType.ORIGIN_UNREACHABLE,
    522: ErrorType.ORIGIN_UNREACHABLE,
    523: ErrorType.ORIGIN_UNREACHABLE,
    524: ErrorType.GATEWAY_TIMEOUT,
    525: ErrorType.ORIGIN_UNREACHABLE,
    526: ErrorType.ORIGIN_UNREACHABLE,
    529: ErrorType.OVERLOADED,
}

_BY_HUNDRED: Final[dict[int, ErrorType]] = {
    3: ErrorType.REDIRECT_REFUSED,
    4: ErrorType.UNEXPECTED_4XX,
    5: ErrorType.SERVER_ERROR,
}

_MAYBE_BILLED: Final = frozenset(
    {
        ErrorType.SERVER_TIMEOUT,
        ErrorType.GATEWAY_TIMEOUT,
        ErrorType.PROTOCOL_VIOLATION,
        ErrorType.ERROR_IN_200,
    }
)
"""Errors after which a model may have worked all the same."""

_STATUS_OF_WORD: Final[dict[str, int]] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "rate_limit_exceeded": 429,
    "rate_limit_error": 429,
    "server_error": 500,
    "api_error": 500,
}

# Where hosts send no code of their own, only the sentence tells.
_BY_SENTENCE: Final = (
    (
        frozenset({400, 413, 422}),
        re.compile(
            r"maximum context length|context (?:length|window|size)|prompt is too long", re.IGNORECASE
        ),
        ErrorType.CONTEXT_EXCEEDED,
    ),
    (
        frozenset({400, 404}),
        re.compile(r"\bmodel\b.{0,200}?\b(?:not exist|not found|not supported)", re.IGNORECASE | re.DOTALL),
        ErrorType.MODEL_NOT_FOUND,
    ),
    (frozenset({429}), re.compile(r"request too large", re.IGNORECASE), ErrorType.REQUEST_EXCEEDS_QUOTA),
)


def complaint(body: object, text: str) -> Complaint:
    """Read an error's decoded envelope, or its raw text where it is no JSON."""
    if isinstance(body, Mapping):
        inner = body.get("error")
        fields = inner if isinstance(inner, Mapping) else body
        words = tuple(str(fields[name]).lower() for name in ("code", "type") if fields.get(name) is not None)
        message = next((fields[name] for name in ("message", "detail", "error") if fields.get(name)), text)
        return Complaint(words, str(message), html=False)
    if isinstance(body, str):
        return Complaint((), body, html=False)
    return Complaint((), text, html=text.lstrip("\ufeff \t\r\n").startswith("<"))


def error_type(status: int, said: Complaint) -> ErrorType:
    """The public word for a status of 300 and more, and for what its body says."""
    told = next((_BY_WORD[word] for word in said.words if word in _BY_WORD), None)
    return told or _by_sentence(status, said) or _by_status(status)


def error_type_in_200(said: Complaint) -> ErrorType:
    """The public word for an error body under a status 200, by the status that its code or type stands for."""
    for word in said.words:
        status = int(word) if word.isascii() and word.isdigit() else _STATUS_OF_WORD.get(word, 0)
        if 300 <= status < 600:
            return error_type(status, said)
    return next((_BY_WORD[word] for word in said.words if word in _BY_WORD), ErrorType.ERROR_IN_200)


def _by_sentence(status: int, said: Complaint) -> ErrorType | None:
    if said.html:
        return ErrorType.WAF_BLOCKED if status in {400, 403} else None
    for statuses, pattern, kind in _BY_SENTENCE:
        if status in statuses and pattern.search(said.message):
            return kind
    return None


def _by_status(status: int) -> ErrorType:
    return _BY_STATUS.get(status) or _BY_HUNDRED.get(status // 100, ErrorType.PROTOCOL_VIOLATION)


def maybe_billed(kind: ErrorType) -> bool:
    """Whether an error of this type leaves it open that the model worked and is paid for."""
    return kind in _MAYBE_BILLED


def cut(message: str) -> str:
    """At most MAX_MESSAGE_BYTES of UTF-8, on one line, and nothing that a terminal would obey."""
    line = _UNPRINTABLE.sub("\ufffd", " ".join(message.split()))
    return line.encode(errors="replace")[:MAX_MESSAGE_BYTES].decode(errors="ignore")


def failure(error: Exception) -> Failure:
    """What an exception of a transport means for the attempt; UNCLASSIFIED, and maybe billed, if nothing is known."""
    for kind in type(error).__mro__:
        if kind in _BY_CLASS:
            return _BY_CLASS[kind](error)
    return _failed(ErrorType.UNCLASSIFIED, error, sent=True)


def _failed(kind: ErrorType, error: Exception, *, sent: bool) -> Failure:
    told = causes.told(error)
    what = type(error).__name__ if kind is ErrorType.UNCLASSIFIED else kind.replace("_", " ")
    return Failure(error_type=kind, message=cut(f"{what}: {told}" if told else what), sent=sent)


def _of_status(error: Exception) -> Failure:
    assert isinstance(error, openai.APIStatusError)
    header = error.response.headers.get
    said = complaint(error.body, error.response.text)
    kind = error_type(error.status_code, said)
    return Failure(
        error_type=kind,
        message=cut(f"HTTP {error.status_code}: {said.message}"),
        sent=maybe_billed(kind),
        http_status=error.status_code,
        retry_after_s=retry_after_s(header),
        may_retry=header("x-should-retry") != "false",
        rate_limits=rate_limits_of_refusal(header),
    )


def _of_lost_request(error: Exception) -> Failure:
    cause = causes.lost(error)
    return _failed(cause.error_type, error, sent=cause.sent)


def _of_lost_body(error: Exception) -> Failure:
    cause = causes.lost(error, answered=True)
    return _failed(cause.error_type, error, sent=cause.sent)


def _of_timeout(error: Exception) -> Failure:
    cause = causes.slow(error)
    return _failed(cause.error_type, error, sent=cause.sent)


def _always(kind: ErrorType, *, sent: bool) -> Callable[[Exception], Failure]:
    return lambda error: _failed(kind, error, sent=sent)


_BY_CLASS: Final[dict[type, Callable[[Exception], Failure]]] = {
    openai.APIStatusError: _of_status,
    openai.APITimeoutError: _of_timeout,
    openai.APIConnectionError: _of_lost_request,
    BodyLostError: _of_lost_body,
    BodyTooLargeError: _always(ErrorType.BODY_TOO_LARGE, sent=True),
    openai.APIResponseValidationError: _always(ErrorType.WRONG_SHAPE, sent=True),
    openai.LengthFinishReasonError: _always(ErrorType.OUTPUT_TRUNCATED, sent=True),
    openai.ContentFilterFinishReasonError: _always(ErrorType.CONTENT_BLOCKED, sent=True),
    SubjectTokenProviderError: _always(ErrorType.AUTH_REJECTED, sent=False),
    openai.WebSocketConnectionClosedError: _always(ErrorType.CONNECTION_LOST, sent=True),
    openai.WebSocketQueueFullError: _always(ErrorType.LOCAL_RESOURCE, sent=False),
    OSError: _of_lost_request,
}
"""The nearest class in an exception's own order of bases decides."""


def mapped() -> frozenset[type]:
    """The exception classes whose meaning is known."""
    return frozenset(_BY_CLASS)
