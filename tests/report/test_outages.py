import datetime as dt
from typing import Any

import pytest

from batchroute.core.attempts import Attempt
from batchroute.io.tables import ledger_frame
from batchroute.report.counts import beats, sums
from batchroute.report.outages import Outage, availability, outages
from tests.builders import attempt
from tests.report.books import MIDNIGHT, failed

DOWN = "server_error"


def at(second: float, ended: str, provider: str = "p") -> Attempt:
    """An attempt that started so long after midnight and was answered, or ended with an error."""
    place: dict[str, Any] = {"started_at": MIDNIGHT + second, "provider": provider}
    return attempt("r", **place) if ended == "ok" else failed("r", ended, **place)


def found(attempts: list[Attempt], beat_s: float = 1.0) -> list[Outage]:
    return outages(beats(ledger_frame(attempts).lazy(), beat_s).collect(), beat_s)


def row(*endings: str) -> list[Attempt]:
    """An attempt a second."""
    return [at(second, ended) for second, ended in enumerate(endings)]


def test_an_outage_is_from_the_first_lost_attempt_to_the_last_before_an_answer() -> None:
    midnight = dt.datetime.fromtimestamp(MIDNIGHT, dt.UTC)

    assert found(row("ok", *[DOWN] * 6, "ok")) == [
        Outage(
            provider="p",
            first_at=midnight + dt.timedelta(seconds=1),
            last_at=midnight + dt.timedelta(seconds=7),
            duration_s=6.0,
            lost=6,
        )
    ]


@pytest.mark.parametrize(
    "attempts",
    [
        pytest.param(row("ok", *[DOWN] * 4, "ok"), id="too few"),
        pytest.param(row(*[DOWN] * 3, "ok", *[DOWN] * 3), id="an answer in between"),
        pytest.param(row(*["rate_limited"] * 9), id="a rate limit is ours"),
        pytest.param(row(*["bad_request"] * 9), id="the records' fault"),
        pytest.param(row(*["local_network_down"] * 9), id="our own line"),
        pytest.param(row(*["cancelled_by_run"] * 9), id="we did not wait"),
        pytest.param(
            [at(0.1 * n, DOWN) for n in range(9)] + [at(0.5, "ok")], id="answers in the same second"
        ),
        pytest.param([at(n * 1900, DOWN) for n in range(9)], id="asked too seldom to tell"),
    ],
)
def test_there_is_no_outage(attempts: list[Attempt]) -> None:
    assert found(attempts) == []


def test_rate_limits_in_between_do_not_end_an_outage() -> None:
    assert [each.lost for each in found(row(*[DOWN] * 3, "rate_limited", *[DOWN] * 3))] == [6]


def test_providers_are_down_each_for_itself_the_longest_first() -> None:
    attempts = [at(n, DOWN) for n in range(5)]
    attempts += [at(n, "attempt_timeout", "q") for n in range(8)]

    assert [(each.provider, each.lost) for each in found(attempts)] == [("q", 8), ("p", 5)]


def test_share_answered_is_of_all_and_share_available_of_what_was_up_to_the_provider() -> None:
    endings = ["ok"] * 6 + [DOWN] * 2 + ["rate_limited", "bad_request", "cancelled_by_run", "unknown_outcome"]
    told = availability(sums(ledger_frame(row(*endings)).lazy(), ["provider"]).collect()).row(0, named=True)

    assert told == {
        "provider": "p",
        "attempts": 12,
        "answered": 6,
        "answered_share": 0.5,
        "rate_limited": 1,
        "lost": 2,
        "available_share": 0.75,
    }
