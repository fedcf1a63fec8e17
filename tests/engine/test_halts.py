"""What wakes those who wait, on the virtual clock."""

import asyncio
from collections.abc import Callable

import pytest

from batchroute.engine.halts import Halt
from tests import virtual_clock

Wake = Callable[[Halt], None]


async def woken_at(halt: Halt, wait: float, wake: Wake | None) -> float:
    """When a sleep until `wait` ends, something having happened after 3 s."""
    loop = asyncio.get_running_loop()
    if wake is not None:
        loop.call_later(3.0, wake, halt)
    await halt.sleep_until(wait)
    return loop.time()


@pytest.mark.parametrize(
    ("wake", "expected"),
    [
        pytest.param(None, 10.0, id="its time"),
        pytest.param(Halt.change, 3.0, id="a change"),
        pytest.param(Halt.stop, 3.0, id="the stop"),
    ],
)
def test_a_sleep_until_a_time_ends_with_the_first_thing_that_happens(
    wake: Wake | None, expected: float
) -> None:
    assert virtual_clock.run(woken_at(Halt(), 10.0, wake)) == pytest.approx(expected)


def test_a_sleep_of_some_seconds_ends_with_the_stop_alone() -> None:
    async def slept(wake: Wake) -> float:
        halt, loop = Halt(), asyncio.get_running_loop()
        loop.call_later(3.0, wake, halt)
        await halt.sleep(10.0)
        return loop.time()

    assert virtual_clock.run(slept(Halt.change)) == pytest.approx(10.0)
    assert virtual_clock.run(slept(Halt.stop)) == pytest.approx(3.0)
