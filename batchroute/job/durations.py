"""Durations as people write them. Light to import: the command line reads its own with it."""

import re
from typing import Any, Final

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_LONGEST_S: Final = 7 * 24 * 3600.0
_DURATION: Final = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,6})?) ?(ms|s|m|h)")
DURATION_PATTERN: Final = r"^[0-9]{1,9}(\.[0-9]{1,6})? ?(ms|s|m|h)$"
"""The same for a JSON Schema."""


def seconds(value: Any) -> float:
    """Read a duration such as "30s", "500ms", "2m" or "1h" as seconds; raises ValueError with advice."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        if isinstance(value, int | float) and not isinstance(value, bool):
            raise ValueError(f"must be a duration with a unit. Write {value:g}s or {value:g}m")
        raise ValueError("must be a duration. Write a number and a unit: 500ms, 30s, 2m or 1h")
    duration = float(match[1]) * _SECONDS[match[2]]
    if duration > _LONGEST_S:
        raise ValueError("is longer than a week. Write at most 168h")
    return duration


def spelled(seconds: float) -> str:
    """A duration for people: 12.5 s, 4m05s or 2h30m."""
    if seconds < 59.95:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"
