"""A second request for the slowest answers, its price, and what it is worth."""

import asyncio
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine.hedges import HedgeBudget, race
from tests import virtual_clock
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, answer, failure

SLOW_S = 1.8  # less than any timeout


def held(*after: tuple[float, Outcome | None], both_sent: bool = True) -> tuple[list[Outcome | None], float]:
    """How a race of these requests ended, and when; the second one starts after a second."""

    async def main() -> tuple[list[Outcome | None], float]:
        async def send(number: int) -> Any:
            seconds, outcome = after[number]
            await asyncio.sleep(seconds)
            return outcome

        found = await race(send(0), lambda: send(1), after_s=1.0, both_sent=lambda: both_sent)
        return found, asyncio.get_running_loop().time()

    return virtual_clock.run(main())


FIRST, SECOND, BROKEN = answer("first"), answer("second"), failure(ErrorType.SERVER_ERROR)


@pytest.mark.parametrize(
    ("sent", "outcomes", "ends"),
    [
        pytest.param([(0.5, FIRST)], [FIRST], 0.5, id="soon answered"),
        pytest.param([(0.5, BROKEN)], [BROKEN], 0.5, id="soon failed"),
        pytest.param([(9.0, FIRST), (2.0, SECOND)], [None, SECOND], 3.0, id="the second one is faster"),
        pytest.param([(2.0, FIRST), (2.0, SECOND)], [FIRST, None], 2.0, id="the first one is still faster"),
        pytest.param([(2.0, BROKEN), (5.0, SECOND)], [BROKEN, SECOND], 6.0, id="the first one fails"),
        pytest.param([(5.0, FIRST), (0.1, BROKEN)], [FIRST, BROKEN], 5.0, id="the second one fails"),
        pytest.param([(5.0, BROKEN), (0.1, BROKEN)], [BROKEN, BROKEN], 5.0, id="both fail"),
    ],
)
def test_the_first_answer_counts(
    sent: list[tuple[float, Outcome]], outcomes: list[Outcome | None], ends: float
) -> None:
    assert held(*sent) == (outcomes, ends)


def test_without_room_for_a_second_one_the_first_is_waited_for() -> None:
    assert held((9.0, FIRST), (0.0, None)) == ([FIRST, None], 9.0)


def test_whoever_still_waits_for_a_slot_when_the_first_has_failed_is_not_waited_for() -> None:
    assert held((9.0, BROKEN), (1000.0, FIRST), both_sent=False) == ([BROKEN, None], 9.0)


def test_nothing_goes_on_when_a_race_is_cancelled() -> None:
    ended: list[str] = []

    async def main() -> None:
        async def send() -> Outcome:
            try:
                await asyncio.sleep(60.0)
            finally:
                ended.append("ended")
            return FIRST

        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5.0):
                await race(send(), send, after_s=1.0, both_sent=lambda: True)

    virtual_clock.run(main())
    assert ended == ["ended", "ended"]


def test_at_most_one_request_in_fifty_is_sent_twice() -> None:
    budget, spent = HedgeBudget(), 0
    for _ in range(10_000):
        if budget.affordable:
            budget.spend()
            spent += 1
        budget.earn()

    assert 195 <= spent <= 202


def slow_now_and_then(every: int) -> Script:
    """Each so many-th request takes much longer than all others."""
    return lambda sent: (SLOW_S if sent.number % every == 0 else 0.5, answer())


def ran(folder: Path, script: Script, *, hedge: bool, count: int = 2000, **fields: Any) -> Ran:
    folder.mkdir(exist_ok=True)
    write_records(folder / "in.jsonl", records(count))
    hedged = model("a", limits={"concurrency": 10}, timeout="60s", hedge=hedge)
    return run_virtually(
        folder, scripts={"a": script}, models={"a": hedged}, routes={"default": {"models": ["a"]}}, **fields
    )


def test_slow_answers_are_not_waited_for_and_both_requests_are_booked(tmp_path: Path) -> None:
    done = ran(tmp_path, slow_now_and_then(150), hedge=True)

    assert (done.ended.exit_code, done.ended.succeeded) == (0, 2000)
    assert done.ledger.height == len(done.provider.log)
    lost = done.ledger.filter(error_type="cancelled_by_run")
    assert 5 <= lost.height <= 0.02 * 2000 + 5
    assert lost["verdict"].null_count() == lost.height
    assert set(lost["cost_basis"]) == {"upper_bound"}
    results = done.results
    assert results.filter(pl.col("attempts") == 2).height == lost.height
    assert results["cost_usd"].sum() == done.ledger["cost_usd"].sum()


@pytest.mark.parametrize(("per_record_usd", "twice"), [(0.0003, False), (0.0004, True)])
def test_a_record_that_may_not_cost_two_requests_is_not_sent_twice(
    tmp_path: Path, per_record_usd: float, *, twice: bool
) -> None:
    # The second request was taken from the purse without a look at what the record may cost: up to 0.000156 each.
    def dear(sent: Sent) -> tuple[float, Outcome]:
        slow = sent.number % 150 == 0
        return (SLOW_S if slow else 0.5), answer(input_tokens=120, output_tokens=16)

    done = ran(tmp_path, dear, hedge=True, budget={"per_record_usd": per_record_usd})

    assert done.ended.succeeded == 2000
    assert (done.results["attempts"].max() == 2) == twice
    assert (done.results["cost_usd"] <= Decimal(str(per_record_usd))).all()


def test_without_it_they_are_waited_for(tmp_path: Path) -> None:
    hedged, plain = (
        ran(tmp_path / name, slow_now_and_then(150), hedge=hedge)
        for name, hedge in (("hedged", True), ("plain", False))
    )

    assert plain.ledger.filter(error_type="cancelled_by_run").is_empty()
    slow = [done.results.filter(pl.col("latency_s") >= SLOW_S).height for done in (hedged, plain)]
    assert slow[1] >= 5
    assert slow[0] <= slow[1] / 2


def test_a_model_that_is_slow_as_a_whole_is_hardly_asked_twice(tmp_path: Path) -> None:
    def slows_down(sent: Sent) -> tuple[float, Outcome]:
        return (0.5 if sent.number < 500 else 20.0), answer()

    done = ran(tmp_path, slows_down, hedge=True)

    assert done.ended.succeeded == 2000
    assert len(done.provider.log) <= 1.02 * 2000 + 5
