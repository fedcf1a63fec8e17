"""Moments as people write them: a date, a date with a time, or how long ago."""

import datetime as dt
from typing import TypeAlias

from batchroute.job.durations import seconds

Since: TypeAlias = dt.datetime | dt.timedelta
"""A moment, in the local time zone where it names none, or how long before now it was."""


def since(text: str) -> Since:
    """Read 24h, 2026-11-20 or 2026-11-20T06:00 (also with Z or an offset). Raises ValueError with advice."""
    try:
        moment = dt.datetime.fromisoformat(text)
        moment.timestamp()  # of some years there is none
    except (ValueError, OverflowError):
        pass
    else:
        return moment
    try:
        return dt.timedelta(seconds=seconds(text))
    except ValueError:
        raise ValueError(
            "must be a date, a time or a duration of a week at most. Write 2026-11-20, 2026-11-20T06:00 or 24h"
        ) from None


def epoch(since: Since, now: float) -> float:
    """The moment in seconds since the epoch, `now` being one, too."""
    return since.timestamp() if isinstance(since, dt.datetime) else now - since.total_seconds()
