"""Which moment a deadline names."""

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from batchroute.job.deadlines import moment

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> float:
    return dt.datetime.fromisoformat(text).timestamp()


@pytest.mark.parametrize(
    ("deadline", "now", "expected"),
    [
        pytest.param(
            "06:00 Europe/Berlin", "2026-11-21T02:00+01:00", "2026-11-21T06:00+01:00", id="still today"
        ),
        pytest.param(
            "06:00 Europe/Berlin", "2026-11-21T06:00+01:00", "2026-11-22T06:00+01:00", id="tomorrow"
        ),
        pytest.param("06:00 UTC", "2026-11-21T02:00+01:00", "2026-11-21T06:00+00:00", id="elsewhere"),
        pytest.param(
            "06:00 Europe/Berlin",
            "2026-03-28T22:00+01:00",
            "2026-03-29T06:00+02:00",
            id="the night that has an hour less",
        ),
        pytest.param(
            "06:00 Europe/Berlin",
            "2026-10-24T22:00+02:00",
            "2026-10-25T06:00+01:00",
            id="the night that has an hour more",
        ),
        pytest.param(
            "02:30 Europe/Berlin",
            "2026-03-29T00:00+01:00",
            "2026-03-29T03:30+02:00",
            id="a time that is skipped",
        ),
        pytest.param(
            "02:30 Europe/Berlin", "2026-10-25T00:00+02:00", "2026-10-25T02:30+02:00", id="the first of two"
        ),
        pytest.param(
            "02:30 Europe/Berlin",
            "2026-10-25T02:45+02:00",
            "2026-10-26T02:30+01:00",
            id="not the second of two",
        ),
        pytest.param(
            "02:30 America/New_York", "2026-03-08T00:00-05:00", "2026-03-08T03:30-04:00", id="New York"
        ),
        pytest.param(
            "02:15 Australia/Lord_Howe",
            "2026-10-04T00:00+10:30",
            "2026-10-04T02:45+11:00",
            id="a change of half an hour",
        ),
        pytest.param(
            "2026-12-01T06:00:00+01:00", "2026-11-21T02:00+01:00", "2026-12-01T06:00+01:00", id="a moment"
        ),
    ],
)
def test_the_next_time_that_is_named(deadline: str, now: str, expected: str) -> None:
    assert moment(deadline, at(now)) == at(expected)


def test_a_time_without_a_zone_is_this_machines() -> None:
    now = at("2026-11-21T02:00+00:00")
    found = dt.datetime.fromtimestamp(moment("06:00", now)).astimezone()
    assert (found.hour, found.minute) == (6, 0)
    assert 0 < found.timestamp() - now <= 25 * 3600


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Pacific/Apia", "UTC"])
@pytest.mark.parametrize("day", ["2026-03-08", "2026-03-29", "2026-10-25", "2026-11-01", "2026-11-21"])
def test_it_always_lies_ahead_and_shows_its_time_on_the_clock(zone: str, day: str) -> None:
    begin = dt.datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=ZoneInfo(zone)).timestamp()
    for quarter in range(100):
        now = begin + 900 * quarter
        found = moment(f"06:00 {zone}", now)
        shown = dt.datetime.fromtimestamp(found, ZoneInfo(zone))
        assert 0 < found - now <= 25 * 3600
        assert (shown.hour, shown.minute) == (6, 0)


@pytest.mark.parametrize(
    ("deadline", "advice"),
    [
        ("6 o'clock", "is no time"),
        ("25:00", "is no time"),
        ("06:00 Atlantis/Capital", "does not know"),
        ("2026-12-01T06:00:00", "names no zone"),
    ],
)
def test_what_names_no_time_is_refused_with_advice(deadline: str, advice: str) -> None:
    with pytest.raises(ValueError, match=advice):
        moment(deadline, 0.0)
