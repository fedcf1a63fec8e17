"""What the end of a run means to whoever started it."""

import asyncio
import signal
from typing import Any

import pytest

from batchroute.core.errors import BatchrouteError, DeadlineError, InputError, JobError, OutputError
from batchroute.engine.cutoffs import Cutoff
from batchroute.engine.endings import Ending, weightiest
from tests.virtual_clock import VirtualClockLoop

THROUGH: dict[str, Any] = {
    "signal": None,
    "stopped_by": None,
    "sent": True,
    "waiting": 0,
    "failed": 0,
    "untried": 0,
    "unaffordable": None,
    "out": {},
}
LATE = DeadlineError("the deadline has come")


@pytest.mark.parametrize(
    ("changes", "exit_code", "event", "reason"),
    [
        ({}, 0, "finish", None),
        ({"failed": 2}, 3, "failure", None),
        ({"failed": 3, "untried": 2}, 3, "failure", "2 records failed before and were not tried again"),
        ({"unaffordable": "budget.usd"}, 0, "finish", None),
        ({"waiting": 7, "unaffordable": "budget.usd"}, 4, "budget", "7 records wait for a larger budget"),
        ({"waiting": 7, "out": {"a": "401"}}, 5, "failure", "7 records wait for a model that is out: a: 401"),
        ({"waiting": 7}, 1, "failure", "7 records have no result although all was read"),
        ({"waiting": 7, "stopped_by": LATE, "unaffordable": "budget.usd"}, 4, None, "the deadline has come"),
        ({"stopped_by": InputError("no", code="input_empty"), "failed": 2}, 65, "failure", "no"),
        ({"waiting": 7, "stopped_by": JobError("no"), "sent": False}, 2, "failure", "no"),
        pytest.param(
            {"waiting": 7, "stopped_by": JobError("no")}, 65, "failure", "no", id="2 is for nothing sent"
        ),
        ({"waiting": 7, "signal": signal.SIGTERM, "stopped_by": LATE}, 143, "failure", "stopped by SIGTERM"),
        ({"signal": signal.SIGINT}, 130, "failure", "stopped by SIGINT"),
    ],
)
def test_an_end_has_a_code_an_event_and_a_reason(
    changes: dict[str, Any], exit_code: int, event: str | None, reason: str | None
) -> None:
    ending = Ending(**THROUGH | changes)

    assert ending.exit_code == exit_code
    assert ending.event == (event or LATE.event)
    assert ending.reason == reason if reason is None else (ending.reason or "").startswith(reason)


def test_of_what_fails_together_the_disk_counts() -> None:
    disk = OutputError("full")
    both = BaseExceptionGroup[BatchrouteError]("", [LATE, disk])
    group = BaseExceptionGroup[BatchrouteError]("", [InputError("odd", code="input_empty"), both])  # type: ignore[list-item]
    assert weightiest(group) is disk


@pytest.mark.parametrize(("planned", "cut_off_at"), [([5.0], 5.0), ([5.0, 2.0], 2.0), ([2.0, 5.0], 2.0)])
def test_a_cutoff_only_comes_nearer(planned: list[float], cut_off_at: float) -> None:
    async def cut_off() -> float:
        cutoff, loop = Cutoff(), asyncio.get_running_loop()
        began = loop.time()
        assert not cutoff.within(1.0)
        try:
            async with cutoff.over():
                assert all(cutoff.within(seconds) for seconds in planned)
                await asyncio.sleep(60.0)
        except TimeoutError:
            assert not cutoff.within(1.0)
        return loop.time() - began

    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(seed=1)) as runner:
        assert runner.run(cut_off()) == pytest.approx(cut_off_at)
