"""Rate limit headers and the hints to wait."""

import pytest

from batchroute.core.responses import RateLimits
from batchroute.providers.limits import rate_limits, retry_after_s, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12ms", 0.012),
        ("1s", 1),
        ("6m0s", 360),
        ("1h2m3s", 3723),
        ("1d", 86_400),
        ("7.66s", 7.66),
        ("2m59.56s", 179.56),
        ("30", 30),
        ("0.5", 0.5),
        ("0", None),
        ("0s", None),
        ("-1", None),
        ("-1s", None),
        ("", None),
        ("soon", None),
        ("5x", None),
        ("nan", None),
        ("1s later", None),
        ("٣", None),
        (None, None),
    ],
)
def test_duration_is_read_in_seconds(text: str | None, expected: float | None) -> None:
    assert seconds(text) == (None if expected is None else pytest.approx(expected))


def test_all_six_headers_are_read() -> None:
    headers = {
        "x-ratelimit-limit-requests": "60",
        "x-ratelimit-remaining-requests": "59",
        "x-ratelimit-reset-requests": "1s",
        "x-ratelimit-limit-tokens": "150000",
        "x-ratelimit-remaining-tokens": "149984",
        "x-ratelimit-reset-tokens": "6m0s",
    }

    assert rate_limits(headers.get) == RateLimits(
        limit_requests=60,
        remaining_requests=59,
        reset_requests=1,
        limit_tokens=150_000,
        remaining_tokens=149_984,
        reset_tokens=360,
    )


def test_headers_that_are_absent_say_nothing() -> None:
    assert rate_limits({"x-request-id": "1"}.get) is None


@pytest.mark.parametrize(
    ("remaining", "reset", "expected"),
    [
        ("0", "6ms", 0),
        ("0", "0", None),
        ("0", None, None),
        ("-1", "1s", None),
        ("many", "1s", None),
        ("5", None, 5),
    ],
)
def test_zero_is_believed_only_with_a_reset(remaining: str, reset: str | None, expected: int | None) -> None:
    headers = {"x-ratelimit-remaining-tokens": remaining}
    if reset is not None:
        headers["x-ratelimit-reset-tokens"] = reset
    found = rate_limits(headers.get)

    assert found is not None
    assert found.remaining_tokens == expected


@pytest.mark.parametrize(
    ("whole", "project", "expected"), [("9", "4", 4), ("4", "9", 4), ("4", "x", 4), ("x", "9", 9)]
)
def test_scarcer_of_organisation_and_project_counts(whole: str, project: str, expected: int) -> None:
    headers = {"x-ratelimit-remaining-requests": whole, "x-ratelimit-remaining-project-requests": project}
    found = rate_limits(headers.get)

    assert found is not None
    assert found.remaining_requests == expected


NOW = "Sat, 21 Nov 2026 08:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        pytest.param({"retry-after": "2"}, 2, id="A78"),
        pytest.param({"retry-after": "0.5"}, 0.5, id="A78-fraction"),
        pytest.param({"retry-after-ms": "750", "retry-after": "9"}, 0.75, id="A78-ms"),
        pytest.param({"x-ms-retry-after-ms": "250"}, 0.25, id="A78-azure"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 08:00:30 GMT", "date": NOW}, 30, id="A78-date"),
        pytest.param({"retry-after-ms": "x", "retry-after": "3"}, 3, id="A78-next"),
        pytest.param({}, None, id="A79-absent"),
        pytest.param({"retry-after": "0"}, None, id="A79-0"),
        pytest.param({"retry-after": "-1"}, None, id="A79-negative"),
        pytest.param({"retry-after": "nan"}, None, id="A79-nan"),
        pytest.param({"retry-after": "inf"}, None, id="A79-inf"),
        pytest.param({"retry-after": "abc", "date": NOW}, None, id="A79-abc"),
        pytest.param({"retry-after": "1000000000"}, None, id="A79-1e9"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 07:59:00 GMT", "date": NOW}, None, id="A79-past"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 08:00:30 GMT"}, None, id="A79-no date"),
        pytest.param({"retry-after": "Sat, 21 Nov 2026 08:00:30 -0000", "date": NOW}, None, id="A79-no zone"),
    ],
)
def test_wait_asked_for_is_read(headers: dict[str, str], expected: float | None) -> None:
    assert retry_after_s(headers.get) == expected
