import datetime as dt

import pytest

from batchroute.job.moments import epoch, since

NOON = dt.datetime(2026, 11, 20, 12, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("2026-11-20T12:00Z", NOON),
        ("2026-11-20T14:00+02:00", NOON),
        ("2026-11-21", dt.datetime(2026, 11, 21).astimezone()),
        ("24h", NOON),
        ("90m", NOON + dt.timedelta(hours=22, minutes=30)),
    ],
)
def test_a_date_is_local_unless_it_says_otherwise_and_a_duration_is_before_now(
    text: str, meant: dt.datetime
) -> None:
    now = (NOON + dt.timedelta(hours=24)).timestamp()
    assert epoch(since(text), now) == meant.timestamp()


@pytest.mark.parametrize("text", ["", "yesterday", "24", "9999h", "2026-13-01", "0001-01-01"])
def test_what_is_no_moment_is_refused_with_advice(text: str) -> None:
    with pytest.raises(ValueError, match="Write 2026-11-20"):
        since(text)
