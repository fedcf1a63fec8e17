"""The Responses API: the same request and the same answer in other words than those of chat completions.

Members, items and statuses after platform.openai.com, API reference, Responses, and the OpenAPI document of
openresponses.org (both 2026-11).
"""

from collections.abc import Mapping
from typing import Any, Final

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Outcome
from batchroute.providers.answers import Answer, judge_choices, judge_fields
from batchroute.providers.transports import Reply

PATH: Final = "responses"

_INCOMPLETE: Final = {"max_output_tokens": "length", "content_filter": "content_filter"}
_CALLS: Final = frozenset({"function_call", "custom_tool_call", "mcp_call", "computer_call"})


def judge(reply: Reply, request: Request, model: str) -> Outcome:
    """Judge the answer of the model asked by this name, as that of a chat completion is judged."""
    return judge_fields(reply, request, model, _judged)


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
