"""A run that hangs ends with an error and its stacks; one that waits is left alone."""

import asyncio
import logging
from functools import partial
from pathlib import Path

import pytest

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine.pipeline import Options
from batchroute.engine.watchdog import LEAST_LIMIT_S, Watchdog
from tests.builders import model, records, write_records
from tests.engine.runs import run_virtually
from tests.fakes import Script, ScriptedProvider, always, answer, failure


def looks(watchdog: Watchdog, *moments: tuple[float, object, bool]) -> list[bool]:
    return [watchdog.hangs(now, signs, waits=partial(bool, waits)) for now, signs, waits in moments]


@pytest.mark.parametrize(
    ("timeouts_s", "interval_s", "limit_s"),
    [
        ([], 1.0, LEAST_LIMIT_S),
        ([1.0, 5.0], 1.0, LEAST_LIMIT_S),
        ([10.0, 600.0], 60.0, 1200.0),
        ([5.0], 60.0, 180.0),
    ],
)
def test_the_limit_is_twice_the_longest_timeout_or_a_minute_or_three_looks(
    timeouts_s: list[float], interval_s: float, limit_s: float
) -> None:
    assert Watchdog.over(timeouts_s, interval_s, 0.0).limit_s == limit_s


def test_a_standstill_counts_from_the_last_sign() -> None:
    watchdog = Watchdog(limit_s=60.0, interval_s=5.0, looked_at=0.0)
    still = [(5.0 * number, "same", False) for number in range(1, 14)]
    assert looks(watchdog, *still) == [False] * 12 + [True]
    watchdog = Watchdog(limit_s=60.0, interval_s=5.0, looked_at=0.0)
    moving = [(5.0 * number, number // 12, False) for number in range(1, 100)]
    assert not any(looks(watchdog, *moving))


def test_waiting_for_a_time_to_come_is_no_standstill() -> None:
    watchdog = Watchdog(limit_s=60.0, interval_s=5.0, looked_at=0.0)
    assert not any(looks(watchdog, *((5.0 * number, "same", number % 12 == 0) for number in range(1, 100))))


def test_an_hour_in_which_the_machine_slept_counts_for_one_look() -> None:
    watchdog = Watchdog(limit_s=60.0, interval_s=5.0, looked_at=0.0)
    assert looks(watchdog, (5.0, "same", False), (3605.0, "same", False)) == [False, False]
    assert looks(watchdog, *((3605.0 + 5 * number, "same", False) for number in range(1, 11)))[-1] is False
    assert watchdog.hangs(3660.0, "same", waits=lambda: False)


class Deaf(ScriptedProvider):
    """Answers some requests, then forgets its deadline: what only a bug of ours could do."""

    async def send(self, request: Request, model: str, *, timeout_s: float) -> Outcome:
        if self.sent[model] >= 12:
            await asyncio.Event().wait()
        return await super().send(request, model, timeout_s=timeout_s)


def test_a_hung_run_tells_its_stacks_commits_and_ends(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_records(tmp_path / "in.jsonl", records(20))
    with caplog.at_level(logging.WARNING, logger="batchroute"):
        ran = run_virtually(
            tmp_path,
            provider=Deaf({"a": always(answer())}),
            models={"a": model("a", timeout="100s", limits={"concurrency": 4})},
            routes={"default": {"models": ["a"]}},
        )

    assert ran.ended.exit_code == 1
    assert (ran.ended.succeeded, ran.ended.pending, ran.ended.event) == (12, 8, "failure")
    assert "nothing happened for 200 s with 4 requests in flight" in (ran.ended.reason or "")
    assert 200 <= ran.ended.duration_s <= 320
    assert ran.results.height == 12
    assert set(ran.ledger["error_type"].drop_nulls()) == {"cancelled_by_run"}
    (told,) = [record for record in caplog.records if getattr(record, "event", "") == "stacks"]
    assert "engine/requests.py" in told.getMessage()
    assert "4 task(s)" in told.getMessage()


@pytest.mark.parametrize(
    ("script", "fields", "exit_code"),
    [
        pytest.param(always(failure(ErrorType.RATE_LIMITED, retry_after_s=3000.0)), {}, 4, id="paused"),
        pytest.param(always(failure(ErrorType.SERVER_ERROR), 0.01), {}, 4, id="ejected"),
        pytest.param(always(answer(), 0.01), {"limits": {"rpm": 1}}, 0, id="a request a minute"),
        pytest.param(always(answer(), 300.0), {"timeout": "10m"}, 0, id="slow"),
    ],
)  # fmt: skip
def test_a_run_that_waits_does_not_hang(
    tmp_path: Path, script: Script, fields: dict[str, object], exit_code: int
) -> None:
    write_records(tmp_path / "in.jsonl", records(6))
    ran = run_virtually(
        tmp_path,
        scripts={"a": script},
        models={"a": model("a", **{"timeout": "2s", **fields})},
        routes={"default": {"models": ["a"]}},
        options=Options(max_wait_s=2000.0),
    )

    assert ran.ended.exit_code == exit_code, ran.ended.reason
    assert ran.ended.duration_s > 180
