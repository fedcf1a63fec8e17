"""When a run has to be done: a time of day, or a moment."""

import datetime as dt
import re
from typing import Annotated, Any, Final, TypeAlias
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, WithJsonSchema

_OF_DAY: Final = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])(?: ([A-Za-z][A-Za-z0-9_+/-]*))?")
_HOWTO: Final = 'Write a time of day, "06:00" or "06:00 Europe/Berlin", or a moment with its offset, "2026-12-01T06:00:00+01:00"'


def moment(deadline: str, now: float) -> float:
    """The next time that a deadline names, seconds since the epoch; `now` is such a time, too.

    A time of day without a zone is this machine's. One that a change of the clocks skips is taken to be as much
    later; of one that comes twice, the first counts. A moment may lie in the past. Raises ValueError with advice.
    """
    match = _OF_DAY.fullmatch(deadline)
    if match is None:
        return _moment(deadline).timestamp()
    zone = _zone(match[3]) if match[3] else None
    today = dt.datetime.fromtimestamp(now, zone)
    hour, minute = int(match[1]), int(match[2])
    days = (today.date() + dt.timedelta(days) for days in (0, 1, 2))
    times = (dt.datetime.combine(day, dt.time(hour, minute), zone).timestamp() for day in days)
    return next(time for time in times if time > now)


def _moment(text: str) -> dt.datetime:
    try:
        found = dt.datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"is no time. {_HOWTO}") from None
    if found.tzinfo is None:
        raise ValueError(f"names no zone. {_HOWTO}")
    return found


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            f"names a zone that this machine does not know: {name}. Write one such as Europe/Berlin or UTC, "
            "or install tzdata"
        ) from None


def _checked(value: Any) -> Any:
    if not isinstance(value, str):
        raise ValueError(f"must be a time in quotes. {_HOWTO}")  # noqa: TRY004  pydantic wants ValueError
    moment(value, 0.0)
    return value


Deadline: TypeAlias = Annotated[
    str,
    BeforeValidator(_checked),
    WithJsonSchema({"type": "string", "examples": ["06:00", "06:00 Europe/Berlin", "2026-12-01T06:00:00Z"]}),
]
