"""The Responses API as values: a request read as that of a chat completion, and its answer in other words.

Shapes after platform.openai.com, API reference, Responses (2026-11).
"""

from typing import Any

from msgspec import Struct, ValidationError, json

from batchroute.providers.simulator import chat


class TextFormat(Struct, frozen=True):
    """text, json_object or json_schema, the schema beside it."""

    type: str = "text"
    schema: dict[str, Any] = {}


class TextSettings(Struct, frozen=True):
    """The `text` member."""

    format: TextFormat = TextFormat()


class ResponsesRequest(Struct, frozen=True):
    """What is read of a request; every other member is ignored."""

    model: str
    input: str | list[chat.Message]
    instructions: str | None = None
    max_output_tokens: int | None = None
    stream: bool | None = None
    text: TextSettings = TextSettings()


_DECODER = json.Decoder(ResponsesRequest)


def read(body: bytes) -> chat.ChatRequest:
    """Read and check a request's body. Raises ValueError with a sentence for the client."""
    try:
        asked = _DECODER.decode(body)
    except ValidationError as error:
        raise ValueError(f"Invalid request: {error}.") from None
    except (ValueError, RecursionError):
        raise ValueError("We could not parse the JSON body of your request.") from None
    said = [chat.Message("user", asked.input)] if isinstance(asked.input, str) else asked.input
    told = [] if asked.instructions is None else [chat.Message("system", asked.instructions)]
    wanted = asked.text.format
    return chat.checked(
        chat.ChatRequest(
            model=asked.model,
            messages=[*told, *said],
            max_completion_tokens=asked.max_output_tokens,
            stream=asked.stream,
            response_format=chat.ResponseFormat(wanted.type, chat.SchemaFormat(wanted.schema)),
        )
    )


def written(completion: chat.Completion) -> bytes:
    """The body of a 200 that says what this completion says."""
    choice, usage = completion.choices[0], completion.usage
    cut = choice.finish_reason == "length"
    refused = choice.message.refusal
    part = (
        {"type": "output_text", "text": choice.message.content or "", "annotations": []}
        if refused is None
        else {"type": "refusal", "refusal": refused}
    )
    tag = completion.id.removeprefix("chatcmpl-")
    status = "incomplete" if cut else "completed"
    message = {
        "type": "message",
        "id": f"msg_{tag}",
        "role": "assistant",
        "status": status,
        "content": [part],
    }
    return json.encode(
        {
            "id": f"resp_{tag}",
            "object": "response",
            "created_at": completion.created,
            "status": status,
            "error": None,
            "incomplete_details": {"reason": "max_output_tokens"} if cut else None,
            "model": completion.model,
            "output": [message],
            "service_tier": completion.service_tier,
            "usage": {
                "input_tokens": usage.prompt_tokens,
                "input_tokens_details": {"cached_tokens": usage.cached_tokens},
                "output_tokens": usage.completion_tokens,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": usage.total_tokens,
            },
        }
    )
