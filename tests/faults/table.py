"""What a provider may answer, A19 to A105: bytes in, decision, money and word out. The same over both transports.

Two rows read otherwise than one might wish:
A33  the SDK's client takes interim replies without end: a flood ends at the deadline, or in an answer.
A105 an id that comes back is accepted: nothing obliges a server to give each answer an id of its own.
"""

import gzip
import json
import zlib
from dataclasses import dataclass
from typing import Any, Final

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType
from batchroute.providers.answers import LONGEST_ANSWER
from batchroute.providers.bodies import MAX_DECODED_BYTES
from batchroute.providers.exchanges import MAX_HEAD_BYTES, MAX_INTERIM_REPLIES
from batchroute.providers.transports import MAX_BODY_BYTES
from tests.faults.decisions import (
    ACCEPT,
    ASK_AGAIN,
    DEAD,
    DISABLE,
    DISABLE_MODEL,
    FAIL_OVER,
    FAIL_OVER_ONLY,
    LARGER_MODEL,
    LONG_PAUSE,
    NO_MORE,
    OTHER_MODEL,
    PAUSE,
    RETRY,
    RETRY_ONCE,
    Decision,
)
from tests.providers.builders import AMPLE_S, KEY, REQUEST
from tests.providers.fault_server import FIN, HANG, RST, Drip, Raw, Script, completion, error, http, ok

SHORT_S: Final = 0.2
U, B, ZERO = "usage", "upper_bound", "none"
ANSWER: Final = json.dumps(completion()).encode()
HEAD: Final = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
CLOSING: Final = HEAD + b"connection: close\r\n\r\n"
CHUNKED: Final = HEAD + b"transfer-encoding: chunked\r\n\r\n"
HTML: Final = "<!doctype html><title>no</title>"
_HINTS: Final = b"HTTP/1.1 103 Early Hints\r\n\r\n"
STALE: Final = ok(message={"content": "the answer to another prompt"})
ECHO: Final = f"refused, with the key {KEY}"


@dataclass(frozen=True, slots=True)
class Case:
    """What is sent to one request, and what its attempt must become. `says` stands in the failure's message."""

    script: Script
    decision: Decision
    money: str
    word: str | None
    status: int | None = None
    says: str = ""
    retry_after_s: float | None = None
    deadline_s: float = AMPLE_S
    request: Request = REQUEST
    over: tuple[str, ...] = ("wire", "sdk")


def _broken(word: ErrorType, decision: Decision, *script: Any, **fields: Any) -> Case:
    """Nothing that could be read came back."""
    fields.setdefault("says", word.replace("_", " "))
    return Case(script, decision, B, word, **fields)


def _silent(*script: Any, **fields: Any) -> Case:
    return _broken(ErrorType.ATTEMPT_TIMEOUT, RETRY_ONCE, *script, deadline_s=SHORT_S, **fields)


def _good(*script: Any, flag: str | None = None, money: str = U, **fields: Any) -> Case:
    return Case(script, ACCEPT, money, flag, 200, **fields)


def _no_answer(word: ErrorType, decision: Decision, body: bytes | str, **headers: str) -> Case:
    """A status 200 whose body is not read as an answer."""
    return Case((http(200, body, **headers),), decision, B, word, 200, "HTTP 200 with ")


def _refused(
    status: int,
    word: ErrorType,
    decision: Decision,
    *,
    money: str = ZERO,
    retry_after_s: float | None = None,
    code: str | None = None,
    says: str = ECHO,
    **headers: str,
) -> Case:
    """An error in OpenAI's envelope, echoing the key."""
    script = (error(status, code, says, **headers),)
    told = says.replace(KEY, "[redacted]")
    return Case(script, decision, money, word, status, f"HTTP {status}: {told}", retry_after_s)


def _page(status: int, word: ErrorType, decision: Decision, *, money: str = ZERO) -> Case:
    """An error as a web page."""
    script = (http(status, HTML, content_type="text/html"),)
    return Case(script, decision, money, word, status, f"HTTP {status}: <!doctype")


def _within(error: object, word: ErrorType, decision: Decision, money: str, **fields: Any) -> Case:
    """An error under a status 200."""
    script = (http(200, json.dumps({"error": error}), **fields.pop("headers", {})),)
    return Case(script, decision, money, word, 200, "HTTP 200 with an error: ", **fields)


def _useless(word: ErrorType, decision: Decision, *, says: str, money: str = U, **changes: Any) -> Case:
    """An answer that is read, and is of no use; its usage counts."""
    return Case((ok(**changes),), decision, money, word, 200, says)


def _flagged(flag: str | None, *, money: str = U, request: Request = REQUEST, **changes: Any) -> Case:
    return _good(ok(**changes), flag=flag, money=money, request=request)


def _said(content: Any) -> dict[str, Any]:
    return {"message": {"content": content}}


def _chunk(octets: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(octets), octets)


def _flipped(octets: bytes) -> bytes:
    middle = len(octets) // 2
    return octets[:middle] + bytes((octets[middle] ^ 0xFF,)) + octets[middle + 1 :]


_SQUEEZED = gzip.compress(ANSWER)
_BOMB = gzip.compress(b" " * (MAX_DECODED_BYTES + 1) + ANSWER)
_INVALID = ANSWER.replace(b"yes", b"\xff")
_TWO = [{"index": n, "message": {"content": text}, "finish_reason": "stop"} for n, text in ((1, "no"), (0, "yes"))]  # fmt: skip
_NO_TEXT = {"says": "The answer has no text."}
_CAPPED = Request(messages=REQUEST.messages, params=b',"max_tokens":2', max_output_tokens=2)
_FLEX = Request(messages=REQUEST.messages, params=b',"service_tier":"flex"')

CASES: Final[dict[str, Case]] = {
    # The connection
    "A19 closed after the request": _broken(ErrorType.CONNECTION_LOST, RETRY, FIN),
    "A20 reset after the request": _broken(ErrorType.CONNECTION_LOST, RETRY, RST),
    "A23 no answer": _silent(HANG),
    "A24 headers, then silence": _silent(Raw(HEAD + b"content-length: 9\r\n\r\n"), HANG),
    "A25 blank lines past the deadline": _silent(
        Raw(HEAD + b"content-length: 999\r\n\r\n"), Drip(b"\n" * 999, 0.02)
    ),
    "A26 headers byte by byte": _silent(Drip(HEAD * 9, 0.02)),
    "A27 blank lines, then JSON in time": _good(Raw(CLOSING), Drip(b"\n" * 5, 0.01), Raw(ANSWER), FIN),
    "A28 another content type": _good(http(200, ANSWER, content_type="text/plain; charset=latin-1")),
    "A28 byte order mark": _good(http(200, b"\xef\xbb\xbf" + ANSWER)),
    "A29 close-delimited": _good(Raw(CLOSING + ANSWER), FIN),
    "A30 gzip trailer missing": _good(http(200, _SQUEEZED[:-8], content_encoding="gzip")),
    # HTTP
    "A31 garbage status line": _broken(ErrorType.PROTOCOL_VIOLATION, RETRY, Raw(b"GARBAGE\r\n\r\n"), FIN),
    "A32 status 000": _broken(ErrorType.PROTOCOL_VIOLATION, RETRY, http(0, ANSWER), FIN),
    "A32 status 99": _broken(ErrorType.PROTOCOL_VIOLATION, RETRY, http(99, ANSWER), FIN),
    "A32 status 999": _broken(
        ErrorType.PROTOCOL_VIOLATION, RETRY, http(999, ANSWER), status=999, says="HTTP 999: "
    ),
    "A33 as many 1xx as are allowed": _good(Raw(_HINTS * MAX_INTERIM_REPLIES), ok()),
    "A33 one 1xx more": _broken(
        ErrorType.PROTOCOL_VIOLATION, RETRY, Raw(_HINTS * (MAX_INTERIM_REPLIES + 1)), ok(), over=("wire",)
    ),
    "A33 endless 1xx": _broken(ErrorType.PROTOCOL_VIOLATION, RETRY, Raw(_HINTS * 999), HANG, over=("wire",)),
    "A33 one 1xx more, not counted": _good(Raw(_HINTS * (MAX_INTERIM_REPLIES + 1)), ok(), over=("sdk",)),
    "A33 endless 1xx, not counted": _silent(Raw(_HINTS * 999), HANG, over=("sdk",)),
    "A34 invalid chunk size": _broken(
        ErrorType.PROTOCOL_VIOLATION, RETRY, Raw(CHUNKED + b"ZZ\r\nabc\r\n"), HANG
    ),
    "A35 ten thousand headers": _broken(
        ErrorType.HEADERS_TOO_LARGE,
        RETRY_ONCE,
        Raw(HEAD + b"x-h: abcdefgh\r\n" * 10_000 + b"content-length: 2\r\n\r\n{}"),
        FIN,
    ),
    "A35 one header": _broken(
        ErrorType.HEADERS_TOO_LARGE, RETRY_ONCE, Raw(HEAD + b"x: " + b"y" * 2 * MAX_HEAD_BYTES), HANG
    ),
    "A36 bytes after the body": _good(Raw(ok().octets + b"x" * 500), flag="extra_bytes"),
    "A36 bytes after the last chunk": _good(
        Raw(CHUNKED + _chunk(ANSWER) + _chunk(b"") + b"x" * 500), flag="extra_bytes"
    ),
    # Once taken for the answer to the next request on the connection: `following` of the test over this table.
    "A36 a second answer": _good(Raw(ok().octets + STALE.octets), flag="extra_bytes"),
    # The body
    "A37 short body": _broken(
        ErrorType.BODY_TRUNCATED, RETRY, Raw(HEAD + b"content-length: 99\r\n\r\n{"), FIN
    ),
    "A38 reset in the body": _broken(
        ErrorType.BODY_TRUNCATED, RETRY, Raw(HEAD + b"content-length: 99\r\n\r\n{"), RST
    ),
    "A39 last chunk missing": _broken(ErrorType.BODY_TRUNCATED, RETRY, Raw(CHUNKED + _chunk(ANSWER)), FIN),
    "A40 close-delimited and cut": _broken(
        ErrorType.NOT_JSON, RETRY_ONCE, Raw(CLOSING + ANSWER[:-9]), FIN, status=200, says="no answer: {"
    ),
    "A41 trailing comma": _no_answer(ErrorType.NOT_JSON, RETRY_ONCE, '{"choices": [],}'),
    "A41 two objects": _no_answer(ErrorType.NOT_JSON, RETRY_ONCE, ANSWER * 2),
    "A42 gzip corrupt": _no_answer(
        ErrorType.DECODE_FAILED, RETRY_ONCE, _flipped(_SQUEEZED), content_encoding="gzip"
    ),
    "A43 encoding nobody asked for": _no_answer(
        ErrorType.DECODE_FAILED, RETRY_ONCE, b"\x0b\x01\x80{}\x03", content_encoding="br"
    ),
    "A43 gzip nobody asked for": _good(http(200, _SQUEEZED, content_encoding="gzip")),
    "A43 deflate nobody asked for": _good(http(200, zlib.compress(ANSWER), content_encoding="deflate")),
    "A44 decompression bomb": _no_answer(ErrorType.DECODE_BOMB, NO_MORE, _BOMB, content_encoding="gzip"),
    "A45 endless body": _broken(
        ErrorType.BODY_TOO_LARGE, NO_MORE, Raw(CLOSING + b"x" * (MAX_BODY_BYTES + 2**16)), HANG
    ),
    "A45 body as large as allowed": _good(http(200, ANSWER + b" " * (MAX_BODY_BYTES - len(ANSWER)))),
    "A46 invalid UTF-8": _no_answer(ErrorType.BODY_NOT_UTF8, RETRY, _INVALID),
    "A47 no content": _broken(
        ErrorType.EMPTY_BODY,
        RETRY_ONCE,
        Raw(b"HTTP/1.1 204 No Content\r\n\r\n"),
        status=204,
        says="HTTP 204 with 0 bytes",
    ),
    "A47 no body": _no_answer(ErrorType.EMPTY_BODY, RETRY_ONCE, b""),
    "A47 blank body": _no_answer(ErrorType.EMPTY_BODY, RETRY_ONCE, b" \n\n"),
    "A48 captive portal": _no_answer(ErrorType.HTML_BODY, RETRY_ONCE, HTML, content_type="text/html"),
    "A49 null": _no_answer(ErrorType.WRONG_SHAPE, RETRY_ONCE, "null"),
    "A49 list": _no_answer(ErrorType.WRONG_SHAPE, RETRY_ONCE, "[]"),
    "A49 number": _no_answer(ErrorType.WRONG_SHAPE, RETRY_ONCE, "3"),
    "A49 text": _no_answer(ErrorType.WRONG_SHAPE, RETRY_ONCE, '"x"'),
    "A50 nested 100,000 deep": _no_answer(ErrorType.NESTING_TOO_DEEP, RETRY_ONCE, b"[" * 100_000),
    "A51 event stream": _no_answer(
        ErrorType.UNEXPECTED_STREAM, RETRY_ONCE, b"data: {}\n\n", content_type="text/event-stream"
    ),
    "A52 rate limit": _within(
        {"code": 429, "message": "later"},
        ErrorType.RATE_LIMITED,
        PAUSE,
        ZERO,
        headers={"retry_after": "2"},
        retry_after_s=2,
    ),
    "A52 key": _within({"code": "invalid_api_key", "message": KEY}, ErrorType.AUTH_REJECTED, DISABLE, ZERO),
    "A52 unknown": _within({"code": "whatever"}, ErrorType.ERROR_IN_200, RETRY_ONCE, B),
    "A52 words": _within("overloaded", ErrorType.ERROR_IN_200, RETRY_ONCE, B),
    "A53 error in a choice": _useless(
        ErrorType.PROVIDER_ERROR_MID_ANSWER, RETRY, choice={"finish_reason": "error"}, says="'error'"
    ),
    "A53 without usage": _useless(
        ErrorType.PROVIDER_ERROR_MID_ANSWER,
        RETRY,
        choice={"finish_reason": "error"},
        usage=None,
        money=B,
        says="'error'",
    ),
    # Refusals
    **{
        f"A54 {status}": _refused(
            status, ErrorType.REDIRECT_REFUSED, DISABLE, location="http://127.0.0.1:9/v1/chat/completions"
        )
        for status in (301, 302, 303, 307, 308)
    },
    "A55 this record": _refused(400, ErrorType.BAD_REQUEST, DEAD, code="invalid_request_error"),
    "A56 unprocessable": _refused(422, ErrorType.UNPROCESSABLE, DEAD),
    "A57 parameter of the job": _refused(
        400, ErrorType.UNSUPPORTED_PARAMETER, DISABLE_MODEL, code="unsupported_parameter"
    ),
    "A58 context": _refused(400, ErrorType.CONTEXT_EXCEEDED, LARGER_MODEL, code="context_length_exceeded"),
    "A59 too large": _refused(413, ErrorType.REQUEST_TOO_LARGE, LARGER_MODEL),
    "A60 larger than the quota": _refused(
        429, ErrorType.REQUEST_EXCEEDS_QUOTA, LARGER_MODEL, says="Request too large for m on TPM"
    ),
    "A61 blocked, 400": _refused(
        400, ErrorType.CONTENT_BLOCKED, OTHER_MODEL, code="content_policy_violation"
    ),
    "A62 blocked, 200": _useless(
        ErrorType.CONTENT_BLOCKED,
        OTHER_MODEL,
        choice={"finish_reason": "content_filter"},
        says="'content_filter'",
    ),
    "A63 key": _refused(401, ErrorType.AUTH_REJECTED, DISABLE, code="invalid_api_key"),
    "A64 permission": _refused(403, ErrorType.PERMISSION_DENIED, DISABLE),
    "A64 region": _refused(
        403, ErrorType.PERMISSION_DENIED, DISABLE, code="unsupported_country_region_territory"
    ),
    "A65 payment required": _refused(402, ErrorType.BILLING_EXHAUSTED, DISABLE),
    **{
        f"A65 {code}": _refused(429, ErrorType.BILLING_EXHAUSTED, DISABLE, code=code)
        for code in (
            "insufficient_quota",
            "credit_balance_exhausted",
            "organization_spend_limit_exceeded",
            "project_spend_limit_exceeded",
            "organization_usage_limit_exceeded",
        )
    },
    "A65 gzipped": Case(
        (http(429, gzip.compress(b'{"error":{"code":"insufficient_quota"}}'), content_encoding="gzip"),),
        DISABLE,
        ZERO,
        ErrorType.BILLING_EXHAUSTED,
        429,
        "insufficient_quota",
    ),
    "A66 firewall, 403": _page(403, ErrorType.WAF_BLOCKED, LONG_PAUSE),
    "A66 firewall, 400": _page(400, ErrorType.WAF_BLOCKED, LONG_PAUSE),
    "A67 unknown model": _refused(404, ErrorType.MODEL_NOT_FOUND, DISABLE_MODEL, code="model_not_found"),
    "A67 retired model": _refused(410, ErrorType.MODEL_NOT_FOUND, DISABLE_MODEL),
    "A68 wrong path": _page(404, ErrorType.ENDPOINT_MISMATCH, DISABLE),
    **{
        f"A68 {status}": _refused(status, ErrorType.ENDPOINT_MISMATCH, DISABLE)
        for status in (405, 406, 415, 501)
    },
    **{f"A69 {status}": _refused(status, ErrorType.UNEXPECTED_4XX, DEAD) for status in (418, 431, 451, 499)},
    "A70 server timeout": _refused(408, ErrorType.SERVER_TIMEOUT, RETRY, money=B),
    **{f"A71 {status}": _refused(status, ErrorType.CONFLICT, RETRY) for status in (409, 425)},
    "A71 409, no retry": _refused(409, ErrorType.CONFLICT, FAIL_OVER_ONLY, x_should_retry="false"),
    # Outages
    "A72 503": _refused(503, ErrorType.OVERLOADED, FAIL_OVER),
    "A72 503 with a time": _refused(503, ErrorType.OVERLOADED, FAIL_OVER, retry_after="7", retry_after_s=7),
    "A72 529": _refused(529, ErrorType.OVERLOADED, FAIL_OVER, code="overloaded_error"),
    **{
        f"A73 {status}": _page(status, ErrorType.ORIGIN_UNREACHABLE, FAIL_OVER)
        for status in (521, 522, 523, 525, 526)
    },
    "A74 500": _refused(500, ErrorType.SERVER_ERROR, FAIL_OVER),
    "A74 500, no retry": _refused(500, ErrorType.SERVER_ERROR, FAIL_OVER_ONLY, x_should_retry="false"),
    "A74 500, HTML": _page(500, ErrorType.SERVER_ERROR, FAIL_OVER),
    "A74 599": _refused(599, ErrorType.SERVER_ERROR, FAIL_OVER),
    "A74 body too large": Case(
        (http(500, b"x" * (MAX_BODY_BYTES + 9)),),
        FAIL_OVER,
        ZERO,
        ErrorType.SERVER_ERROR,
        500,
        "HTTP 500: xxx",
    ),
    "A74 body cut": _broken(
        ErrorType.BODY_TRUNCATED, RETRY, Raw(b"HTTP/1.1 500 Oops\r\ncontent-length: 99\r\n\r\n{"), FIN
    ),
    **{f"A75 {status}": _page(status, ErrorType.BAD_GATEWAY, FAIL_OVER) for status in (502, 520)},
    **{
        f"A76 {status}": _page(status, ErrorType.GATEWAY_TIMEOUT, FAIL_OVER, money=B) for status in (504, 524)
    },
    # Limits
    "A78 seconds": _refused(429, ErrorType.RATE_LIMITED, PAUSE, retry_after="2", retry_after_s=2),
    "A78 half a second": _refused(429, ErrorType.RATE_LIMITED, PAUSE, retry_after="0.5", retry_after_s=0.5),
    "A78 milliseconds": _refused(
        429, ErrorType.RATE_LIMITED, PAUSE, retry_after_ms="750", retry_after_s=0.75
    ),
    "A78 date": _refused(
        429,
        ErrorType.RATE_LIMITED,
        LONG_PAUSE,
        date="Sat, 01 Jan 2000 00:00:00 GMT",
        retry_after="Sat, 01 Jan 2000 00:00:09 GMT",
        retry_after_s=9,
    ),
    "A79 no hint": _refused(429, ErrorType.RATE_LIMITED, PAUSE),
    **{
        f"A79 {hint}": _refused(429, ErrorType.RATE_LIMITED, PAUSE, retry_after=hint)
        for hint in ("0", "-1", "nan", "abc", "Sat, 01 Jan 2000 00:00:00 GMT", "1000000000")
    },
    **{
        f"A80 {hint}": _refused(429, ErrorType.RATE_LIMITED, PAUSE, x_ratelimit_reset_tokens=hint)
        for hint in ("6m0s", "30", "-1")
    },
    "A81 429": _refused(429, ErrorType.SLOW_DOWN, PAUSE, code="slow_down"),
    "A81 503": _refused(503, ErrorType.SLOW_DOWN, PAUSE, code="slow_down"),
    "A81 burst": _refused(429, ErrorType.SLOW_DOWN, PAUSE, code="limit_burst_rate"),
    "A82 cheap tier": _refused(429, ErrorType.TIER_UNAVAILABLE, PAUSE, code="resource_unavailable"),
    # Answers of no use
    "A83 choices null": _useless(ErrorType.CHOICES_MISSING, ASK_AGAIN, choices=None, says="no choices"),
    "A83 choices empty": _useless(ErrorType.CHOICES_MISSING, ASK_AGAIN, choices=[], says="no choices"),
    "A83 choices missing": Case(
        (http(200, '{"id":"x"}'),), ASK_AGAIN, B, ErrorType.CHOICES_MISSING, 200, "no choices"
    ),
    "A84 message null": _useless(
        ErrorType.MESSAGE_MISSING, ASK_AGAIN, choice={"message": None}, says="no message"
    ),
    "A84 message missing": _useless(
        ErrorType.MESSAGE_MISSING, ASK_AGAIN, choices=[{"finish_reason": "stop"}], says="no message"
    ),
    **{
        f"A85 content {content!r}": _useless(ErrorType.EMPTY_ANSWER, ASK_AGAIN, **_said(content), **_NO_TEXT)
        for content in (None, "", " \n")
    },
    "A86 content is a number": _useless(ErrorType.CONTENT_WRONG_TYPE, ASK_AGAIN, **_said(5), says="not text"),
    "A86 content is an object": _useless(
        ErrorType.CONTENT_WRONG_TYPE, ASK_AGAIN, **_said({"text": "yes"}), says="not text"
    ),
    **{
        f"A87 ended with {reason!r}": _useless(
            ErrorType.FINISH_UNKNOWN, ASK_AGAIN, choice={"finish_reason": reason}, says=repr(reason)
        )
        for reason in (None, "abort", "whatever")
    },
    "A88 tool call": _useless(
        ErrorType.UNEXPECTED_TOOL_CALL, ASK_AGAIN, choice={"finish_reason": "tool_calls"}, says="'tool_calls'"
    ),
    "A92 no text within the cap": _useless(
        ErrorType.OUTPUT_TRUNCATED,
        ASK_AGAIN,
        message={"content": None},
        choice={"finish_reason": "length", "message": {"content": None}},
        **_NO_TEXT,
    ),
    # Odd answers
    "A89 parts": _flagged(
        "content_parts", **_said([{"type": "text", "text": "y"}, {"type": "text", "text": "es"}])
    ),
    "A90 more choices than asked": _flagged("extra_choices", choices=_TWO),
    "A91 cut off": _flagged("output_truncated", choice={"finish_reason": "length"}),
    "A93 refusal": _flagged("refusal", message={"content": None, "refusal": "I cannot."}),
    "A96 lone surrogate": _flagged("text_sanitised", **_said("a\ud800b")),
    "A97 NUL": _flagged("control_chars", **_said("a\x00b")),
    "A98 two MiB of text": _flagged("answer_too_large", **_said("x" * 2 * LONGEST_ANSWER)),
    "A99 usage missing": _flagged("usage_missing", money=B, usage=None),
    **{
        f"A100 {counted!r} tokens": _flagged(
            "usage_implausible", money=B, usage={"prompt_tokens": counted, "completion_tokens": 3}
        )
        for counted in ("7", -1, float("nan"), 1e30)
    },
    "A100 more cached than sent": _flagged(
        "usage_implausible",
        money=B,
        usage={"prompt_tokens": 7, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 8}},
    ),
    "A101 usage above the cap": _flagged("usage_over_reservation", request=_CAPPED),
    "A102 dated name": _flagged(None, model="m-2026-01-01"),
    "A103 another model": _flagged("model_substituted", model="other"),
    "A104 another tier": _flagged("tier_changed", request=_FLEX, service_tier="default"),
    "A104 the tier asked for": _flagged(None, request=_FLEX, service_tier="flex"),
    "A105 an id that was seen": _flagged(None, id="chatcmpl-1"),
}
