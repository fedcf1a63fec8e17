"""The Responses API: the same request and the same answer in other words than those of chat completions.

Members, items and statuses after platform.openai.com, API reference, Responses, and the OpenAPI document of
openresponses.org (both 2026-11).
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import json

from batchroute.core.requests import CAPS, Request
from batchroute.core.responses import ErrorType, Outcome
from batchroute.providers.answers import Answer, judge_choices, judge_fields
from batchroute.providers.transports import Reply

PATH: Final = "responses"

_SYSTEM: Final = frozenset({"system", "developer"})
_INCOMPLETE: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}
_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call", "computer_call"})


def body(request: Request, model: str) -> bytes:
    """The JSON body of `POST /responses`. It is not to be stored there, unless the job says so."""
    messages = json.decode(request.messages)
    first = messages[0]
    asked: dict[str, Any] = {"model": model}
    if len(messages) > 1 and first["role"] in _SYSTEM and isinstance(first["content"], str):
        asked["instructions"] = first["content"]
        messages = messages[1:]
    asked["input"] = [_item(message) for message in messages]
    return json.encode({**asked, "store": False, **_params(json.decode(b"{%b}" % request.params[1:]))})


def judge(reply: Reply, request: Request, model: str) -> Outcome:
    """Judge the answer of the model asked by this name, as that of a chat completion is judged."""
    return judge_fields(reply, request, model, _judged)


def _item(message: Mapping[str, Any]) -> dict[str, Any]:
    content = message["content"]
    if isinstance(content, list):
        said = "output_text" if message["role"] == "assistant" else "input_text"
        content = [_part(part, said) for part in content]
    return {"role": message["role"], "content": content}


def _part(part: Mapping[str, Any], said: str) -> Mapping[str, Any]:
    if part["type"] == "text":
        return {"type": said, "text": part.get("text")}
    if part["type"] == "image_url" and isinstance(image := part.get("image_url"), dict):
        detail = {"detail": image["detail"]} if "detail" in image else {}
        return {"type": "input_image", "image_url": image.get("url"), **detail}
    return part


def _params(params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters of a chat completion by the names that they have here; all others as they are."""
    sent = {name: value for name, value in params.items() if name not in _RENAMED}
    cap = next((params[name] for name in CAPS if params.get(name) is not None), None)
    if cap is not None:
        sent["max_output_tokens"] = cap
    if "reasoning_effort" in params:
        sent["reasoning"] = {"effort": params["reasoning_effort"], **_members(sent.get("reasoning"))}
    text = {"verbosity": params["verbosity"]} if "verbosity" in params else {}
    if isinstance(wanted := params.get("response_format"), dict):
        text["format"] = _format(wanted)
    if text:
        sent["text"] = {**text, **_members(sent.get("text"))}
    return sent


_RENAMED: Final = frozenset({*CAPS, "reasoning_effort", "verbosity", "response_format"})


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema stands beside its type here, and in a member of its own there."""
    return {"type": wanted.get("type"), **_members(wanted.get("json_schema"))}


def _judged(answer: Answer) -> Outcome:
    fields = answer.fields
    output = fields.get("output")
    if not isinstance(output, list):
        return answer.refused(ErrorType.CHOICES_MISSING, "The answer has no output.")
    items = [item for item in output if isinstance(item, Mapping)]
    return judge_choices(answer, [{"message": _message(items), "finish_reason": _finish_reason(fields)}])


def _finish_reason(fields: Mapping[str, object]) -> object:
    """How it ended, in the words of chat completions."""
    status, details = fields.get("status"), fields.get("incomplete_details")
    if status == "incomplete" and isinstance(details, Mapping):
        reason = details.get("reason")
        return _INCOMPLETE.get(str(reason), reason)
    if status == "failed":
        return "error"
    return "stop" if status == "completed" else status


def _message(items: list[Mapping[str, Any]]) -> dict[str, Any]:
    """All that was said, as one message; reasoning and the like is left out."""
    parts = [
        part
        for item in items
        if item.get("type") == "message" and isinstance(item.get("content"), list)
        for part in item["content"]
        if isinstance(part, Mapping)
    ]
    texts = [part.get("text") for part in parts if part.get("type") == "output_text"]
    refusals = [part.get("refusal") for part in parts if part.get("type") == "refusal"]
    whole = all(isinstance(text, str) for text in texts)
    return {
        "content": "".join(map(str, texts)) if whole and texts else (texts or None),
        "refusal": "".join(map(str, refusals)) or None,
        "tool_calls": [item for item in items if item.get("type") in _CALLS],
    }
