"""What is sent for a request: the JSON body of each endpoint.

Members of the Responses API after platform.openai.com, API reference, Responses (2026-11).
"""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import json

from batchroute.core.requests import CAPS, Endpoint, Request

_SYSTEM: Final = frozenset({"system", "developer"})
_RENAMED: Final = frozenset({*CAPS, "reasoning_effort", "verbosity", "response_format"})


def payload(request: Request, model: str) -> bytes:
    """The JSON body that is sent for a request to the model of this name, whatever its endpoint."""
    if request.endpoint is Endpoint.CHAT:
        return request.body(model)
    if request.endpoint is Endpoint.RESPONSES:
        return of_responses(request, model)
    return of_embeddings(request, model)


def of_responses(request: Request, model: str) -> bytes:
    """The JSON body of `POST /responses`. It is not to be stored there, unless the job says so."""
    messages = json.decode(request.messages)
    first = messages[0]
    asked: dict[str, Any] = {"model": model}
    if len(messages) > 1 and first["role"] in _SYSTEM and isinstance(first["content"], str):
        asked["instructions"] = first["content"]
        messages = messages[1:]
    asked["input"] = [_item(message) for message in messages]
    return json.encode({**asked, "store": False, **_params(json.decode(b"{%b}" % request.params[1:]))})


def of_embeddings(request: Request, model: str) -> bytes:
    """The JSON body of `POST /embeddings`."""
    return b'{"model":%b,"input":%b%b}' % (json.encode(model), request.messages, request.params)


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


def _members(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _format(wanted: dict[str, Any]) -> dict[str, Any]:
    """A JSON Schema stands beside its type here, and in a member of its own there."""
    return {"type": wanted.get("type"), **_members(wanted.get("json_schema"))}
