"""What the headers of a provider say about its rate limits, and how long it wants to be left alone."""

import math
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias

from msgspec import structs

from batchroute.core.responses import RateLimits

Header: TypeAlias = Callable[[str], str | None]

LONGEST_RETRY_AFTER_S: Final = 86_400.0
"""A longer wish is no wish: the caller's own backoff applies."""

_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_NUMBER: Final = re.compile(r"[0-9]{1,12}(?:\.[0-9]{1,9})?")
_PART: Final = re.compile(rf"({_NUMBER.pattern})(ms|s|m|h|d)")
_DURATION: Final = re.compile(rf"(?:{_PART.pattern})+")


class _Bucket(NamedTuple):
    limit: int | None = None
    remaining: int | None = None
    reset_s: float | None = None


def rate_limits(header: Header) -> RateLimits | None:
    """The scarcer of organisation and project, by the x-ratelimit-* headers; None where nothing is said to remain."""
    if header("x-ratelimit-remaining-requests") is None and header("x-ratelimit-remaining-tokens") is None:
        return None
    return _scarcest(header)


def rate_limits_of_refusal(header: Header) -> RateLimits | None:
    """As `rate_limits`, but times of reset are enough: a refusal says by itself that nothing
    remains, of the one that takes longer to come back.
    """
    found = _scarcest(header)
    if found == RateLimits():
        return None
    if found.remaining_requests is None and found.remaining_tokens is None:
        requests_s, tokens_s = found.reset_requests or 0.0, found.reset_tokens or 0.0
        scarce = "remaining_requests" if requests_s > tokens_s else "remaining_tokens"
        return structs.replace(found, **{scarce: 0})
    return found


def _scarcest(header: Header) -> RateLimits:
    requests, tokens = _scarcer(header, "requests"), _scarcer(header, "tokens")
    return RateLimits(
        requests.limit, requests.remaining, requests.reset_s, tokens.limit, tokens.remaining, tokens.reset_s
    )


def _scarcer(header: Header, kind: str) -> _Bucket:
    whole = _bucket(header, kind)
    if header(f"x-ratelimit-remaining-project-{kind}") is None:
        return whole
    project = _bucket(header, f"project-{kind}")
    if project.remaining is None or (whole.remaining is not None and whole.remaining <= project.remaining):
        return whole
    return project


def _bucket(header: Header, kind: str) -> _Bucket:
    limit = _count(header(f"x-ratelimit-limit-{kind}"))
    remaining = _count(header(f"x-ratelimit-remaining-{kind}"))
    reset_s = seconds(header(f"x-ratelimit-reset-{kind}"))
    if remaining == 0 and reset_s is None:
        remaining = None  # Azure sends 0 for "not told"; an empty bucket also says when it will be full
    return _Bucket(limit or None, remaining, reset_s)


def _count(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() and len(text) < 16 else None


@lru_cache(maxsize=4096)
def seconds(text: str | None) -> float | None:
    """A duration such as `6m0s`, `12ms` or a bare number of seconds; None unless it is positive."""
    if text is None:
        return None
    if _NUMBER.fullmatch(text):
        total = float(text)
    elif _DURATION.fullmatch(text):
        total = sum(float(number) * _UNITS[unit] for number, unit in _PART.findall(text))
    else:
        return None
    return total if total > 0 else None


def retry_after_s(header: Header) -> float | None:
    """Seconds the provider asks to wait; None for a hint that is absent, not positive, odd or over a day.

    The order is the one openai's client uses; a date counts from the response's own Date, not the local clock.
    """
    for name, per_second in (("retry-after-ms", 1000), ("x-ms-retry-after-ms", 1000), ("retry-after", 1)):
        wish = _usable(_number(header(name)) / per_second)
        if wish is not None:
            return wish
    return _usable(_until(header("retry-after"), header("date")))


def _number(text: str | None) -> float:
    try:
        return float(text) if text is not None else math.nan
    except ValueError:
        return math.nan


def _until(text: str | None, now: str | None) -> float:
    if text is None or now is None:
        return math.nan
    try:
        return (parsedate_to_datetime(text) - parsedate_to_datetime(now)).total_seconds()
    except (ValueError, TypeError, OverflowError):  # TypeError: one of the two names no zone
        return math.nan


def _usable(wish: float) -> float | None:
    return wish if 0 < wish <= LONGEST_RETRY_AFTER_S else None
