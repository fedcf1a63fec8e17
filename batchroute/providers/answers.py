"""The strict check of a status below 300: the response, or why it is none.

A typed decode takes the ordinary answer in one pass. What it does not take is read again with patience.
"""

import re
from collections.abc import Callable, Mapping
from typing import Annotated, Final, TypeAlias

from msgspec import DecodeError, Meta, Struct
from msgspec.json import Decoder
from msgspec.structs import replace

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.providers.bodies import is_encoded, parse
from batchroute.providers.errors import MAX_MESSAGE_BYTES, complaint, cut, error_type_in_200, maybe_billed
from batchroute.providers.limits import rate_limits, retry_after_s
from batchroute.providers.models import substituted
from batchroute.providers.transports import Reply
from batchroute.providers.usage import MOST_TOKENS, Reading, plausible, read_usage

LONGEST_ANSWER: Final = 2**20
"""Characters of text above which an answer is flagged."""

_CONTROL: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ESCAPED: Final = re.compile(rb"\\[ubf]")
"""How JSON writes control characters, and much else: worth a second look, at the cost of a memchr."""
_SURROGATE: Final = re.compile(r"[\ud800-\udfff]")
_EXCERPT_BYTES: Final = 200

_Count: TypeAlias = Annotated[int, Meta(ge=0, le=MOST_TOKENS)]


class _InputDetails(Struct, gc=False):
    cached_tokens: _Count | None = 0
    cache_write_tokens: _Count | None = 0


class _OutputDetails(Struct, gc=False):
    reasoning_tokens: _Count | None = 0


class _Usage(Struct, gc=False):
    prompt_tokens: _Count
    completion_tokens: _Count
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: _Count | None = 0


class _Message(Struct, gc=False):
    content: str
    refusal: None = None
    tool_calls: Annotated[list[None], Meta(max_length=0)] | None = None
    function_call: None = None


class _Choice(Struct, gc=False):
    message: _Message
    finish_reason: str
    index: int = 0


class _Completion(Struct, gc=False):
    """What is accepted at sight; the fields a careful reading would flag or refuse cannot be filled."""

    choices: Annotated[list[_Choice], Meta(min_length=1, max_length=1)]
    usage: _Usage
    id: str | None = None
    model: str | None = None
    service_tier: str | None = None
    error: None = None


_decode: Final = Decoder(_Completion).decode


def judge(reply: Reply, request: Request, model: str) -> Outcome:
    """Judge the answer of the model asked by this name: a Response, flagged where it is odd, or a Failure."""
    body = reply.body
    try:
        answer = _decode(body)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return _judge_patiently(reply, request, model)
    choice = answer.choices[0]
    content = choice.message.content
    usage = _usage(answer.usage)
    if (
        choice.finish_reason != "stop"
        or reply.status != 200
        or not content
        or content.isspace()
        or not plausible(usage)
        or len(body) > LONGEST_ANSWER
        or _ESCAPED.search(body)
        or substituted(model, answer.model)
        or usage.output_tokens > (request.max_output_tokens or MOST_TOKENS)
        or (answer.service_tier is not None and _tier_changed(request, answer.service_tier))
        or reply.extra
    ):
        return _judge_patiently(reply, request, model)
    limits = rate_limits(reply.header)
    return Response(content, "stop", usage, answer.model, answer.id, answer.service_tier, 200, None, limits)


def _usage(told: _Usage) -> Usage:
    given, made = told.prompt_tokens_details, told.completion_tokens_details
    cached = (given.cached_tokens if given else 0) or told.prompt_cache_hit_tokens or 0
    written = (given.cache_write_tokens if given else 0) or 0
    reasoning = (made.reasoning_tokens if made else 0) or 0
    return Usage(told.prompt_tokens, told.completion_tokens, cached, written, reasoning)


def _tier_changed(request: Request, answered: str) -> bool:
    return request.service_tier() not in {None, "auto", answered}


class Answer(Struct, frozen=True, kw_only=True):
    """A decoded answer and what is already known of it, whichever way it ends."""

    reply: Reply
    request: Request
    model: str
    fields: Mapping[str, object]
    reading: Reading

    def text(self, name: str) -> str | None:
        value = self.fields.get(name)
        return sanitised(value) if isinstance(value, str) else None

    def _took_too_much(self) -> bool:
        cap, usage = self.request.max_output_tokens, self.reading.usage
        return cap is not None and usage is not None and usage.output_tokens > cap

    def refused(self, kind: ErrorType, message: str, finish_reason: str | None = None) -> Failure:
        return Failure(
            error_type=kind,
            message=cut(message),
            sent=True,
            http_status=self.reply.status,
            usage=self.reading.usage,
            finish_reason=None if finish_reason is None else sanitised(finish_reason),
            response_model=self.text("model"),
            response_id=self.text("id"),
            rate_limits=rate_limits(self.reply.header),
        )

    def accepted(self, content: str, finish_reason: str, flag: str | None) -> Response:
        answered, tier = self.text("model"), self.text("service_tier")
        clean = sanitised(content)
        return Response(
            content=clean,
            finish_reason=finish_reason,
            usage=self.reading.usage,
            response_model=answered,
            response_id=self.text("id"),
            service_tier=tier,
            http_status=self.reply.status,
            flag=flag
            or _flag_of_text(content, clean)
            or ("model_substituted" if substituted(self.model, answered) else None)
            or ("tier_changed" if tier is not None and _tier_changed(self.request, tier) else None)
            or ("usage_over_reservation" if self._took_too_much() else None)
            or self.reading.flag
            or ("extra_bytes" if self.reply.extra else None),
            rate_limits=rate_limits(self.reply.header),
        )


def sanitised(text: str) -> str:
    """The text with every lone surrogate replaced by U+FFFD, so that it can be written anywhere."""
    return _SURROGATE.sub("\ufffd", text)


def _flag_of_text(content: str, clean: str) -> str | None:
    if clean != content:
        return "text_sanitised"
    if len(content) > LONGEST_ANSWER:
        return "answer_too_large"
    return "control_chars" if _CONTROL.search(content) else None


def _judge_patiently(reply: Reply, request: Request, model: str) -> Outcome:
    return judge_fields(reply, request, model, _judge_completion)


def judge_fields(reply: Reply, request: Request, model: str, judged: Callable[[Answer], Outcome]) -> Outcome:
    """Judge an answer of any endpoint: what has to be JSON and no error here, what it says by `judged`."""
    body = reply.body
    fields, fault = parse(body, reply.header)
    if reply.status < 200:
        return _unread(reply, body, ErrorType.PROTOCOL_VIOLATION)
    if not isinstance(fields, Mapping):
        return _unread(reply, body, fault or ErrorType.WRONG_SHAPE)
    reading = read_usage(fields.get("usage"))
    answer = Answer(reply=reply, request=request, model=model, fields=fields, reading=reading)
    return _complaining(answer, body) if fields.get("error") else judged(answer)


def _judge_completion(answer: Answer) -> Outcome:
    return judge_choices(answer, answer.fields.get("choices"))


def _unread(reply: Reply, body: bytes, kind: ErrorType) -> Failure:
    if is_encoded(reply.header):
        excerpt = f"its encoding is {reply.header('content-encoding')}"
    else:
        excerpt = body[:_EXCERPT_BYTES].decode(errors="replace")
    message = f"HTTP {reply.status} with {len(body)} bytes that are no answer: {excerpt}"
    return Failure(error_type=kind, message=cut(message), sent=True, http_status=reply.status)


def _complaining(answer: Answer, body: bytes) -> Failure:
    """An error under a status that says success: what the status should have been decides."""
    said = complaint(answer.fields.get("error"), body[:MAX_MESSAGE_BYTES].decode(errors="replace"))
    kind = error_type_in_200(said)
    refused = answer.refused(kind, f"HTTP {answer.reply.status} with an error: {said.message}")
    return replace(refused, sent=maybe_billed(kind), retry_after_s=retry_after_s(answer.reply.header))


def judge_choices(answer: Answer, choices: object) -> Outcome:
    """Judge the choices of a chat completion, or what another endpoint says as such."""
    if not isinstance(choices, list) or not choices:
        return answer.refused(ErrorType.CHOICES_MISSING, "The answer has no choices.")
    choice = next(
        (each for each in choices if isinstance(each, Mapping) and each.get("index") == 0), choices[0]
    )
    message = choice.get("message") if isinstance(choice, Mapping) else None
    if not isinstance(message, Mapping):
        return answer.refused(ErrorType.MESSAGE_MISSING, "The first choice has no message.")
    finish_reason = choice.get("finish_reason")
    fault = _unfinished(finish_reason, message)
    if fault is not None:
        told = finish_reason if isinstance(finish_reason, str) else None
        return answer.refused(fault, f"The answer ended with finish_reason {finish_reason!r}.", told)
    return _judge_message(answer, message, str(finish_reason), "extra_choices" if len(choices) > 1 else None)


def _unfinished(finish_reason: object, message: Mapping[str, object]) -> ErrorType | None:
    """The fault of an answer that did not end by itself or at its cap."""
    if finish_reason == "error":
        return ErrorType.PROVIDER_ERROR_MID_ANSWER
    if finish_reason == "content_filter":
        return ErrorType.CONTENT_BLOCKED
    if (
        finish_reason in ("tool_calls", "function_call")
        or message.get("tool_calls")
        or message.get("function_call")
    ):
        return ErrorType.UNEXPECTED_TOOL_CALL
    return None if finish_reason in ("stop", "length") else ErrorType.FINISH_UNKNOWN


def _judge_message(
    answer: Answer, message: Mapping[str, object], finish_reason: str, flag: str | None
) -> Outcome:
    refusal = message.get("refusal")
    if isinstance(refusal, str) and refusal.strip():
        return answer.accepted(refusal, finish_reason, "refusal")
    content = message.get("content")
    text = _joined(content) if isinstance(content, list) else content
    if text is not None and not isinstance(text, str):
        return answer.refused(ErrorType.CONTENT_WRONG_TYPE, "The content is not text.", finish_reason)
    cut_off = finish_reason == "length"
    if text is None or not text.strip():
        kind = ErrorType.OUTPUT_TRUNCATED if cut_off else ErrorType.EMPTY_ANSWER
        return answer.refused(kind, "The answer has no text.", finish_reason)
    if cut_off:
        flag = "output_truncated"
    elif isinstance(content, list):
        flag = "content_parts"
    return answer.accepted(text, finish_reason, flag)


def _joined(parts: list[object]) -> object:
    """The text of content that came in parts, in their order; as it came if a part is no text."""
    texts = [part.get("text") for part in parts if isinstance(part, Mapping)]
    return (
        "".join(map(str, texts))
        if len(texts) == len(parts) and all(isinstance(t, str) for t in texts)
        else parts
    )
