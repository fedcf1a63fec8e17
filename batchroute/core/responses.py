"""What came back from a model: a response, or a failure. Both are values; neither is raised."""

from enum import StrEnum
from typing import TypeAlias

from msgspec import Struct


class Usage(Struct, frozen=True, gc=False):
    """Token counts as reported. Cached and written tokens are part of input, reasoning is part of output."""

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0


class RateLimits(Struct, frozen=True, gc=False):
    """What the provider's rate limit headers say; None where it does not. Resets are seconds from now to full."""

    limit_requests: int | None = None
    remaining_requests: int | None = None
    reset_requests: float | None = None
    limit_tokens: int | None = None
    remaining_tokens: int | None = None
    reset_tokens: float | None = None


class Response(Struct, frozen=True, gc=False):
    """An answer that passed the transport's checks. `flag` names what was odd about it, or is None."""

    content: str
    finish_reason: str | None
    usage: Usage | None
    response_model: str | None
    response_id: str | None
    service_tier: str | None = None
    http_status: int = 200
    flag: str | None = None
    rate_limits: RateLimits | None = None
    parsed: str | None = None
    """The answer as JSON, where it has to have a form."""
    vectors: tuple[bytes, ...] = ()
    """Of a request for vectors: one for each of its texts, as little-endian 32-bit floats."""


class ErrorType(StrEnum):
    """Why an attempt failed: the public vocabulary of `error_type`. Words are added, never renamed."""

    DNS_FAILURE = "dns_failure"
    DNS_TIMEOUT = "dns_timeout"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    NETWORK_UNREACHABLE = "network_unreachable"
    LOCAL_NETWORK_DOWN = "local_network_down"
    POOL_EXHAUSTED = "pool_exhausted"
    LOCAL_RESOURCE = "local_resource"
    TLS_VERIFY_FAILED = "tls_verify_failed"
    TLS_HANDSHAKE_FAILED = "tls_handshake_failed"
    PROXY_AUTH_REQUIRED = "proxy_auth_required"
    PROXY_ERROR = "proxy_error"
    WRITE_TIMEOUT = "write_timeout"
    CONNECTION_LOST = "connection_lost"
    STALE_CONNECTION = "stale_connection"
    ATTEMPT_TIMEOUT = "attempt_timeout"
    PROTOCOL_VIOLATION = "protocol_violation"
    HEADERS_TOO_LARGE = "headers_too_large"
    BODY_TRUNCATED = "body_truncated"
    NOT_JSON = "not_json"
    DECODE_FAILED = "decode_failed"
    DECODE_BOMB = "decode_bomb"
    BODY_TOO_LARGE = "body_too_large"
    BODY_NOT_UTF8 = "body_not_utf8"
    EMPTY_BODY = "empty_body"
    HTML_BODY = "html_body"
    WRONG_SHAPE = "wrong_shape"
    NESTING_TOO_DEEP = "nesting_too_deep"
    UNEXPECTED_STREAM = "unexpected_stream"
    ERROR_IN_200 = "error_in_200"
    PROVIDER_ERROR_MID_ANSWER = "provider_error_mid_answer"
    REDIRECT_REFUSED = "redirect_refused"
    BAD_REQUEST = "bad_request"
    UNPROCESSABLE = "unprocessable"
    UNSUPPORTED_PARAMETER = "unsupported_parameter"
    CONTEXT_EXCEEDED = "context_exceeded"
    REQUEST_TOO_LARGE = "request_too_large"
    BUNDLE_REFUSED = "bundle_refused"
    REQUEST_EXCEEDS_QUOTA = "request_exceeds_quota"
    CONTENT_BLOCKED = "content_blocked"
    AUTH_REJECTED = "auth_rejected"
    PERMISSION_DENIED = "permission_denied"
    BILLING_EXHAUSTED = "billing_exhausted"
    WAF_BLOCKED = "waf_blocked"
    MODEL_NOT_FOUND = "model_not_found"
    ENDPOINT_MISMATCH = "endpoint_mismatch"
    UNEXPECTED_4XX = "unexpected_4xx"
    SERVER_TIMEOUT = "server_timeout"
    CONFLICT = "conflict"
    OVERLOADED = "overloaded"
    ORIGIN_UNREACHABLE = "origin_unreachable"
    SERVER_ERROR = "server_error"
    BAD_GATEWAY = "bad_gateway"
    GATEWAY_TIMEOUT = "gateway_timeout"
    RATE_LIMITED = "rate_limited"
    SLOW_DOWN = "slow_down"
    TIER_UNAVAILABLE = "tier_unavailable"
    CHOICES_MISSING = "choices_missing"
    MESSAGE_MISSING = "message_missing"
    EMPTY_ANSWER = "empty_answer"
    CONTENT_WRONG_TYPE = "content_wrong_type"
    FINISH_UNKNOWN = "finish_unknown"
    UNEXPECTED_TOOL_CALL = "unexpected_tool_call"
    OUTPUT_TRUNCATED = "output_truncated"
    CHECK_MIN_CHARS = "check_min_chars"
    CHECK_CONTAINS = "check_contains"
    CHECK_LACKS = "check_lacks"
    CHECK_PLACEHOLDERS = "check_placeholders"
    CHECK_UNCERTAIN = "check_uncertain"
    CHECK_REFUSAL = "check_refusal"
    CHECK_COMPLETE = "check_complete"
    CHECK_JSON = "check_json"
    CHECK_SCHEMA = "check_schema"
    CHECK_LABELS = "check_labels"
    CHECK_PYTHON = "check_python"
    CHECK_JUDGE = "check_judge"
    SCHEMA_MISMATCH = "schema_mismatch"
    UNKNOWN_OUTCOME = "unknown_outcome"
    CANCELLED_BY_RUN = "cancelled_by_run"
    UNCLASSIFIED = "unclassified"


class Failure(Struct, frozen=True, gc=False, kw_only=True):
    """An attempt that gave no answer.

    `sent` tells whether the request may have reached the model and be billed; False only when it
    certainly was not, or was definitely refused. `retry_after_s` is the provider's wish in seconds;
    `may_retry` is False when it says that asking this model again is no use.
    """

    error_type: ErrorType
    message: str
    sent: bool
    http_status: int | None = None
    retry_after_s: float | None = None
    may_retry: bool = True
    usage: Usage | None = None
    finish_reason: str | None = None
    response_model: str | None = None
    response_id: str | None = None
    rate_limits: RateLimits | None = None
    answer: str | None = None
    """What the model said, where that was no use."""


Outcome: TypeAlias = Response | Failure
