"""The chat completions protocol as values: the request that is read, the bodies that are written.

Shapes after the OpenAI API reference, chat completions and error codes (platform.openai.com, 2026-09).
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Raw, Struct, ValidationError, json

from batchroute.providers.simulator.settings import ModelSettings

_PROMPT_DETAILS = b'{"cached_tokens":%d,"audio_tokens":0}'
_NOTHING_CACHED = Raw(_PROMPT_DETAILS % 0)
_COMPLETION_DETAILS = Raw(
    b'{"reasoning_tokens":0,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}'
)


class Part(Struct, frozen=True):
    """A part of a message; only text is read."""

    type: str
    text: str = ""


class Message(Struct, frozen=True):
    """One message of the conversation."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if self.content is None or isinstance(self.content, str):
            return self.content or ""
        return "\n".join([part.text for part in self.content])


class SchemaFormat(Struct, frozen=True):
    """A JSON schema with its name left out."""

    schema: dict[str, Any] = {}


class ResponseFormat(Struct, frozen=True):
    """text, json_object or json_schema."""

    type: str
    json_schema: SchemaFormat | None = None


class ChatRequest(Struct, frozen=True):
    """What is read of a request; every other member is ignored."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    stream: bool | None = None
    n: int | None = None
    response_format: ResponseFormat | None = None

    @property
    def cap(self) -> int | None:
        """The most tokens that the answer may have."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def subject(self) -> str | None:
        """What a conversation in which the model has spoken before is about: its first user message. None for others."""
        if not any(message.role == "assistant" for message in self.messages):
            return None
        return next((message.text for message in self.messages if message.role == "user"), None)

    @property
    def schema(self) -> dict[str, Any] | None:
        """The JSON schema asked for; None when any text will do."""
        if self.response_format is None or self.response_format.type == "text":
            return None
        asked = self.response_format.json_schema
        return asked.schema if asked else {"properties": {"answer": {"type": "string"}}}


class AnswerMessage(Struct, frozen=True):
    """What the model says, or why it refuses to."""

    content: str | None
    refusal: str | None = None
    role: str = "assistant"
    annotations: tuple[str, ...] = ()


class Choice(Struct, frozen=True):
    """The only choice."""

    message: AnswerMessage
    finish_reason: str
    index: int = 0
    logprobs: None = None


class Tokens(Struct, frozen=True):
    """The `usage` member."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    prompt_tokens_details: Raw = _NOTHING_CACHED
    completion_tokens_details: Raw = _COMPLETION_DETAILS

    @classmethod
    def of(cls, prompt: int, cached: int, completion: int) -> "Tokens":
        """These counts, the cached ones being part of the prompt."""
        details = Raw(_PROMPT_DETAILS % cached) if cached else _NOTHING_CACHED
        return cls(prompt, completion, prompt + completion, details)

    @property
    def cached_tokens(self) -> int:
        details: dict[str, int] = json.decode(self.prompt_tokens_details)
        return details["cached_tokens"]


class Completion(Struct, frozen=True, kw_only=True):
    """The body of a 200."""

    id: str
    object: str = "chat.completion"
    created: int
    model: str
    choices: tuple[Choice, ...]
    usage: Tokens
    service_tier: str = "default"
    system_fingerprint: str


_DECODER = json.Decoder(ChatRequest)


def read(body: bytes) -> ChatRequest:
    """Read and check a request's body. Raises ValueError with a sentence for the client."""
    try:
        request = _DECODER.decode(body)
    except ValidationError as error:
        raise ValueError(f"Invalid request: {error}.") from None
    except (ValueError, RecursionError):  # broken JSON, broken UTF-8, nesting without end
        raise ValueError("We could not parse the JSON body of your request.") from None
    return checked(request)


def checked(request: ChatRequest) -> ChatRequest:
    """The request, if it can be answered. Raises ValueError with a sentence for the client."""
    if not request.messages:
        raise ValueError("Invalid 'messages': empty array.")
    if request.stream:
        raise ValueError("Streaming is not supported. Leave 'stream' out.")
    if request.n not in (None, 1):
        raise ValueError("Invalid 'n': only 1 is supported.")
    if request.cap is not None and request.cap < 1:
        raise ValueError("Invalid 'max_tokens': below the minimum of 1.")
    return request


def error(message: str, kind: str, code: str | None = None, param: str | None = None) -> bytes:
    """The body of an error."""
    return json.encode({"error": {"message": message, "type": kind, "param": param, "code": code}})


def listing(models: Mapping[str, ModelSettings], created: int) -> bytes:
    """The body of `GET /v1/models`; beside OpenAI's members each model states its price, null if unknown."""
    return json.encode({"object": "list", "data": [_listed(name, models[name], created) for name in models]})


def _listed(name: str, model: ModelSettings, created: int) -> dict[str, object]:
    price = model.price
    stated = None if price is None else {"input": float(price.input), "output": float(price.output)}
    return {"id": name, "object": "model", "created": created, "owned_by": "batchroute", "price": stated}
