"""Token counts as providers report them, believed only where they fit together."""

from collections.abc import Mapping
from typing import Final, NamedTuple

from batchroute.core.responses import Usage

MOST_TOKENS: Final = 10**8
"""No single request counts more tokens than this."""


class Reading(NamedTuple):
    """The usage, or the flag that says why there is none."""

    usage: Usage | None
    flag: str | None


MISSING: Final = Reading(None, "usage_missing")
IMPLAUSIBLE: Final = Reading(None, "usage_implausible")


def read_usage(value: object) -> Reading:
    """Read a decoded `usage` in the names of chat completions or of responses; details that are null count 0."""
    if value is None or value == {}:
        return MISSING
    if not isinstance(value, Mapping):
        return IMPLAUSIBLE
    try:
        usage = _usage(value)
    except ValueError:
        return IMPLAUSIBLE
    return Reading(usage, None) if plausible(usage) else IMPLAUSIBLE


def plausible(usage: Usage) -> bool:
    """Whether the counts fit: cached and written within input, reasoning within output, nothing absurd."""
    return (
        usage.input_tokens <= MOST_TOKENS
        and usage.output_tokens <= MOST_TOKENS
        and usage.cached_tokens + usage.cache_write_tokens <= usage.input_tokens
        and usage.reasoning_tokens <= usage.output_tokens
    )


def _usage(value: Mapping[str, object]) -> Usage:
    chat = "prompt_tokens" in value
    given = _details(value, "prompt_tokens_details" if chat else "input_tokens_details")
    made = _details(value, "completion_tokens_details" if chat else "output_tokens_details")
    cached = _count(given, "cached_tokens")
    return Usage(
        input_tokens=_told(value, "prompt_tokens" if chat else "input_tokens"),
        output_tokens=_told(value, "completion_tokens" if chat else "output_tokens"),
        cached_tokens=cached or _count(value, "prompt_cache_hit_tokens"),  # DeepSeek's name
        cache_write_tokens=_count(given, "cache_write_tokens"),
        reasoning_tokens=_count(made, "reasoning_tokens"),
    )


def _details(value: Mapping[str, object], name: str) -> Mapping[str, object]:
    details = value.get(name)
    if details is not None and not isinstance(details, Mapping):
        raise ValueError(name)
    return details or {}


def _count(value: Mapping[str, object], name: str) -> int:
    return 0 if value.get(name) is None else _told(value, name)


def _told(value: Mapping[str, object], name: str) -> int:
    count = value.get(name)
    if not isinstance(count, int) or isinstance(count, bool) or count < 0:
        raise ValueError(name)
    return count
