import asyncio
import contextlib
import itertools
import random
import signal
import threading
import time

import pytest
from asyncio_throttle.throttler import Throttler

from tests import virtual_clock
from tests.virtual_clock import DeadlockError, VirtualClockLoop, VirtualTimeError


def test_waiting_takes_virtual_time_only() -> None:
    async def wait_a_day() -> float:
        await asyncio.sleep(86_400)
        return asyncio.get_running_loop().time()

    began = time.monotonic()

    assert virtual_clock.run(wait_a_day()) == 86_400
    assert time.monotonic() - began < 5


def test_clock_stands_still_while_something_is_ready() -> None:
    async def yield_often() -> float:
        for _ in range(1_000):
            await asyncio.sleep(0)
        return asyncio.get_running_loop().time()

    assert virtual_clock.run(yield_often()) == 0


def test_waits_end_in_order_of_their_times() -> None:
    ended: list[tuple[float, str]] = []

    async def wait(name: str, seconds: float) -> None:
        await asyncio.sleep(seconds)
        ended.append((asyncio.get_running_loop().time(), name))

    async def wait_together() -> None:
        async with asyncio.TaskGroup() as group:
            for name, seconds in (("c", 3.5), ("a", 0.25), ("d", 1e5), ("b", 1e-3)):
                group.create_task(wait(name, seconds))

    virtual_clock.run(wait_together())

    assert ended == [(1e-3, "b"), (0.25, "a"), (3.5, "c"), (1e5, "d")]


def test_timeout_ends_a_wait_at_its_time() -> None:
    async def give_up() -> float:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(30):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert virtual_clock.run(give_up()) == 30


def test_deadlock_is_reported_with_the_stack_of_every_task() -> None:
    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(wait_for_nobody(), name="the lonely one")
            await asyncio.sleep(5)

    with pytest.raises(DeadlockError) as caught:
        virtual_clock.run(main())

    told = str(caught.value)
    assert "at 5.0 s" in told
    assert "the lonely one" in told
    assert "await asyncio.Event().wait()" in told
    assert told.count("in main") == 1


def test_what_repeats_for_ever_is_ended_by_the_limit() -> None:
    async def poll() -> None:
        for _ in itertools.count():
            await asyncio.sleep(1)

    with pytest.raises(VirtualTimeError, match=r"3600 s have passed[\s\S]*in poll"):
        virtual_clock.run(poll(), limit=3600)


def test_tasks_are_cancelled_after_a_deadlock() -> None:
    cleaned: list[str] = []

    async def wait_for_nobody() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cleaned.append("closed")

    with pytest.raises(DeadlockError):
        virtual_clock.run(wait_for_nobody())

    assert cleaned == ["closed"]


def test_threads_of_the_executor_are_run_at_once_in_the_loop_thread() -> None:
    async def measure() -> tuple[float, bool]:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.sleep(60))
            same = await asyncio.to_thread(lambda: threading.current_thread() is threading.main_thread())
            return asyncio.get_running_loop().time(), same

    assert virtual_clock.run(measure()) == (0, True)


def test_error_in_the_executor_is_raised_where_it_is_awaited() -> None:
    async def fail() -> None:
        with pytest.raises(OSError, match="disk full"):
            await asyncio.to_thread(_raise, OSError("disk full"))

    virtual_clock.run(fail())


def test_throttler_gives_its_rate_in_virtual_time() -> None:
    async def pass_through() -> float:
        throttler = Throttler(rate_limit=10, period=1.0)
        for _ in range(601):
            async with throttler:
                pass
        return asyncio.get_running_loop().time()

    # the library polls each 0.01 s, so that it may lose that much a period
    assert 60 <= virtual_clock.run(pass_through()) <= 61.3


def test_throttlers_read_the_real_clock_again_afterwards() -> None:
    async def ask() -> float:
        throttler = Throttler(rate_limit=1)
        async with throttler:
            return throttler._task_logs[0]

    virtual_clock.run(ask())

    assert asyncio.run(ask()) == pytest.approx(time.monotonic(), abs=10)


def order_of_ten(seed: int | None) -> tuple[int, ...]:
    ended: list[int] = []

    async def wait(number: int) -> None:
        await asyncio.sleep(1)
        ended.append(number)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(10):
                group.create_task(wait(number))

    virtual_clock.run(main(), seed=seed)
    return tuple(ended)


def test_seed_decides_the_order_of_equal_times() -> None:
    assert order_of_ten(7) == order_of_ten(7)
    assert len({order_of_ten(seed) for seed in range(20)}) > 10


def test_seed_decides_the_random_module_and_leaves_it_as_it_was() -> None:
    async def draw() -> float:
        return random.random()

    before = random.getstate()

    assert virtual_clock.run(draw(), seed=3) == virtual_clock.run(draw(), seed=3)
    assert virtual_clock.run(draw(), seed=3) != virtual_clock.run(draw(), seed=4)
    assert random.getstate() == before


def test_failure_names_its_seed() -> None:
    async def fail() -> None:
        await asyncio.sleep(1)
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong") as caught:
        virtual_clock.run(fail(), seed=41)

    assert caught.value.__notes__ == ["virtual clock, seed 41"]


def test_result_from_another_thread_wakes_the_loop() -> None:
    async def wake() -> str:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[str] = loop.create_future()
        caller = threading.Thread(target=loop.call_soon_threadsafe, args=(answer.set_result, "here"))
        caller.start()
        caller.join()
        return await answer

    assert virtual_clock.run(wake()) == "here"


def test_signal_is_heard_before_time_moves() -> None:
    async def hear() -> float:
        loop, heard = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, heard.set)
        loop.call_soon(signal.raise_signal, signal.SIGUSR1)
        async with asyncio.timeout(60):
            await heard.wait()
        return loop.time()

    assert virtual_clock.run(hear()) == 0


def test_seeded_times_are_off_by_less_than_a_nanosecond() -> None:
    async def wait() -> float:
        await asyncio.sleep(10)
        return asyncio.get_running_loop().time()

    with asyncio.Runner(loop_factory=lambda: VirtualClockLoop(seed=1)) as runner:
        assert runner.run(wait()) == pytest.approx(10, abs=1e-9)


def _raise(error: Exception) -> None:
    raise error
