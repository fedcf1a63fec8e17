"""Messages that a record brings itself, in a column of messages or of whole request bodies."""

from collections.abc import Mapping
from typing import Any

import msgspec

from batchroute.core.records import Fault
from batchroute.core.requests import CAPS, Request, members
from batchroute.job.adaptations import MOST_OUTPUT_TOKENS

# The roles and the members of a chat request: platform.openai.com, API reference, Chat (2026-08).
_ROLES = frozenset({"system", "developer", "user", "assistant", "tool"})
_NOT_CARRIED = frozenset({"messages", "model", "stream", "stream_options", "n"})

HALF_CHARACTER = Fault("text_surrogate", "the text holds half of a character, and no request can carry it")

_encode = msgspec.json.encode


class Conversation:
    """A column of messages, sent as they stand, save that members that are null are left out.

    `render` raises UnicodeEncodeError for half of a character inside of them.
    """

    def __init__(self, column: str, params: bytes, cap: int | None) -> None:
        self.columns: tuple[str, ...] = (column,)
        self.spelled: tuple[str, ...] = ()
        self._params = params
        self._cap = cap

    def render(self, fields: Mapping[str, Any]) -> Request | Fault:
        value = _brought(fields, self.columns[0])
        messages = value if isinstance(value, Fault) else _checked(value)
        if isinstance(messages, Fault):
            return messages
        return Request(_encode(messages), self._params, self._cap)

    def text(self, fields: Mapping[str, Any]) -> str | None:
        return _last_user_text(_brought(fields, self.columns[0]))


class Body:
    """A column of whole request bodies. The job's parameters win, and the route names the model.

    `render` raises UnicodeEncodeError for half of a character inside of them.
    """

    def __init__(self, column: str, params: Mapping[str, Any]) -> None:
        self.columns: tuple[str, ...] = (column,)
        self.spelled: tuple[str, ...] = ()
        self._params = params

    def render(self, fields: Mapping[str, Any]) -> Request | Fault:
        body = _brought(fields, self.columns[0])
        if isinstance(body, Fault):
            return body
        if not isinstance(body, dict):
            return Fault("messages_invalid", "a body is a JSON object with messages")
        messages = _checked(body.get("messages"))
        if isinstance(messages, Fault):
            return messages
        if body.get("stream") or body.get("n") not in (None, 1):
            return Fault("override_denied", "a body may ask for neither stream nor more than one choice")
        return self._request(messages, self._merged(body))

    def text(self, fields: Mapping[str, Any]) -> str | None:
        body = _brought(fields, self.columns[0])
        return _last_user_text(body.get("messages")) if isinstance(body, dict) else None

    def _merged(self, body: Mapping[str, Any]) -> dict[str, Any]:
        # A cap of the job replaces the body's, whichever of the two names each of them uses.
        capped = CAPS if any(name in self._params for name in CAPS) else ()
        own = {
            name: value
            for name, value in body.items()
            if value is not None and name not in _NOT_CARRIED and name not in capped
        }
        return {**own, **self._params}

    def _request(self, messages: list[Any], params: dict[str, Any]) -> Request | Fault:
        cap = output_cap(params)
        if isinstance(cap, Fault):
            return cap
        return Request(
            messages=_encode(messages),
            params=members(params),
            max_output_tokens=cap,
            own_params=len(params) > len(self._params),
        )


def model_of_body(fields: Mapping[str, Any], column: str) -> Any:
    """The model that the request body in a column names; None where it names none."""
    body = _brought(fields, column)
    return body.get("model") if isinstance(body, dict) else None


def _brought(fields: Mapping[str, Any], column: str) -> Any:
    """The value of a column, read as JSON where it is text; a Fault where there is none."""
    if column not in fields:
        return Fault("field_missing", f"the record has no field {column!r}")
    value = fields[column]
    if value is None:
        return Fault("field_null", f"the field {column!r} is null")
    if not isinstance(value, str):
        return value
    try:
        return msgspec.json.decode(value)
    except UnicodeEncodeError:
        return HALF_CHARACTER
    except (msgspec.DecodeError, RecursionError) as error:
        return Fault("messages_invalid", f"the field {column!r} is not JSON: {error}")


def _checked(messages: Any) -> list[Any] | Fault:
    """The messages without their null members, or what is wrong with them."""
    if not isinstance(messages, list) or not messages:
        return Fault("messages_invalid", "messages must be a list with at least one message")
    for number, message in enumerate(messages, 1):
        wrong = _wrong_message(message)
        if wrong is not None:
            return Fault("messages_invalid", f"message {number} {wrong}")
    asked = [message["content"] for message in messages if message["role"] == "user"]
    if asked and isinstance(asked[-1], str) and not asked[-1].strip():
        return Fault("prompt_empty", "the last user message is empty")
    return [_present(message) for message in messages]


def _wrong_message(message: Any) -> str | None:
    if not isinstance(message, dict):
        return "is no object"
    role = message.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        return f"has the role {str(role)[:40]!r}, which is none of {', '.join(sorted(_ROLES))}"
    content = message.get("content")
    if content is None and message["role"] == "assistant" and message.get("tool_calls"):
        return None
    if isinstance(content, list) and content:
        typed = all(isinstance(part, dict) and isinstance(part.get("type"), str) for part in content)
        return None if typed else "has a part without a type"
    return None if isinstance(content, str) else "has a content that is neither text nor a list of parts"


def _present(message: dict[str, Any]) -> dict[str, Any]:
    """Without nulls: a struct column of Parquet has every member in every row."""
    parts = message.get("content")
    kept = {name: value for name, value in message.items() if value is not None or name == "content"}
    if isinstance(parts, list):
        kept["content"] = [
            {name: value for name, value in part.items() if value is not None} for part in parts
        ]
    return kept


def _last_user_text(messages: Any) -> str | None:
    if not isinstance(messages, list) or any(_wrong_message(message) for message in messages):
        return None
    contents = [message["content"] for message in messages if message["role"] == "user"]
    if not contents:
        return None
    if isinstance(contents[-1], str):
        return contents[-1]
    texts = [part["text"] for part in contents[-1] if isinstance(part.get("text"), str)]
    return "\n".join(texts) if texts else None


def output_cap(params: Mapping[str, Any]) -> int | Fault | None:
    """The output tokens that a request allows itself at most; None where it does not say, override_range where
    they are no count.
    """
    for name in CAPS:
        value = params.get(name)
        if value is None:
            continue
        if type(value) is not int or not 1 <= value <= MOST_OUTPUT_TOKENS:
            return Fault(
                "override_range",
                f"{name} must be a whole number above 0 and at most {MOST_OUTPUT_TOKENS:,}, got {str(value)[:40]}",
            )
        return value
    return None
