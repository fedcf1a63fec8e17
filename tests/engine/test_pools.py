"""One pool alone, on the virtual clock: who may start, when, and in which order."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import pytest

from batchroute.core.responses import ErrorType
from batchroute.engine.allowances import Reservation
from batchroute.engine.pools import Pool, PoolSpec, Slot
from tests import virtual_clock
from tests.fakes import ScriptedProvider, answer, failure
from tests.fakes import virtual_clock as clock


@dataclass
class Bench:
    """A pool, and a note of everything that happens to the records that ask it for a slot."""

    pool: Pool
    tasks: asyncio.TaskGroup
    changes: list[float] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    turned_away: list[str] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)
    probes: list[str] = field(default_factory=list)
    waited_s: dict[str, float] = field(default_factory=dict)
    leave: dict[str, asyncio.Event] = field(default_factory=dict)

    async def hold(self, name: str, tokens: int = 10, place: int = 0) -> None:
        async with self.pool.slot(tokens, place) as slot:
            if not slot.granted:
                self.turned_away.append(name)
                return
            self.granted.append(name)
            self.times[name] = asyncio.get_running_loop().time()
            self.waited_s[name] = slot.queued_s
            if slot.probe:
                self.probes.append(name)
            await self.leave[name].wait()

    def ask(self, *names: str, tokens: int = 10, place: int = 0) -> list[asyncio.Task[None]]:
        for name in names:
            self.leave[name] = asyncio.Event()
        return [self.tasks.create_task(self.hold(name, tokens, place)) for name in names]

    async def warm_up(self) -> None:
        """Answer requests until as many are let out as are declared."""
        while (limit := self.pool.statistics().limit) < self.pool.spec.concurrency:
            async with AsyncExitStack() as stack:
                for slot in [await stack.enter_async_context(self.pool.slot(0)) for _ in range(limit)]:
                    self.pool.succeed(slot)

    async def settle(self, seconds: float = 0.0) -> None:
        """Let everybody go on until only time could change anything, then so many seconds pass."""
        await asyncio.sleep(seconds or 1e-6)

    async def release(self, *names: str) -> None:
        for name in names:
            self.leave[name].set()
        await self.settle()


def on_a_bench(test: Callable[[Bench], Awaitable[None]], **limits: Any) -> None:
    spec: dict[str, Any] = {"concurrency": 2, "rpm": None, "tpm": None, **limits}

    async def main() -> None:
        changes: list[float] = []
        pool = Pool(
            PoolSpec(model="a", provider="p", request_model="a", timeout_s=60.0, rates=None, **spec),
            ScriptedProvider({}),
            clock(),
            lambda: changes.append(asyncio.get_running_loop().time()),
        )
        async with asyncio.TaskGroup() as group:
            pacer = group.create_task(pool.pace())
            bench = Bench(pool, group, changes)
            await test(bench)
            for event in bench.leave.values():
                event.set()
            pool.turn_away()
            await bench.settle()
            pacer.cancel()
        assert pool.statistics().in_flight == 0
        assert pool.statistics().waiting == 0

    virtual_clock.run(main())


async def fail_in_row(pool: Pool, times: int = 5, kind: ErrorType = ErrorType.SERVER_ERROR) -> None:
    """So many requests at once, all of which fail of the model."""
    async with AsyncExitStack() as stack:
        slots: list[Slot] = [await stack.enter_async_context(pool.slot(1)) for _ in range(times)]
        for slot in slots:
            pool.learn(slot, failure(kind), 1.0, 60.0)
            pool.fail(slot)


def test_slots_are_granted_first_come_first_served() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "r2", "r3", "r4", "r5")
        await bench.settle()
        assert bench.granted == ["r1", "r2"]
        await bench.release("r2")
        assert bench.granted == ["r1", "r2", "r3"]
        await bench.release("r1", "r3")
        assert bench.granted == ["r1", "r2", "r3", "r4", "r5"]

    on_a_bench(test)


def test_who_comes_later_does_not_overtake_who_waits() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "waits")
        await bench.settle()
        bench.leave["r1"].set()
        bench.ask("late")
        await bench.settle()
        assert bench.granted == ["r1", "waits"]

    on_a_bench(test, concurrency=1)


def test_who_comes_back_has_its_old_place_in_the_queue() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "r2", place=1)
        await bench.settle()
        bench.ask("r7", "r8", place=7)
        bench.ask("r3", place=3)
        await bench.release("r1")
        await bench.release("r2")
        assert bench.granted == ["r1", "r2", "r3", "r7"]

    on_a_bench(test)


def test_a_model_is_not_ejected_of_failures_that_were_its_records_fault() -> None:
    async def test(bench: Bench) -> None:
        for _ in range(3):
            await fail_in_row(bench.pool, times=3)
            for _ in range(3):
                bench.pool.forgive()
        assert bench.pool.statistics().state == "closed"

    on_a_bench(test, concurrency=5)


@pytest.mark.parametrize(
    ("kind", "state"),
    [
        pytest.param(ErrorType.CONNECT_REFUSED, "paused", id="of our line"),
        pytest.param(ErrorType.SERVER_ERROR, "open", id="of the model's own"),
    ],
)
def test_a_model_that_could_not_be_reached_is_reinstated_when_nobody_can_be(
    kind: ErrorType, state: str
) -> None:
    async def test(bench: Bench) -> None:
        await bench.warm_up()
        await fail_in_row(bench.pool, kind=kind)
        assert bench.pool.statistics().state == "open"
        bench.pool.acquit(5.0)
        assert bench.pool.statistics().state == state
        assert bench.pool.statistics().limit == 1

    on_a_bench(test, concurrency=5)


def test_the_time_in_the_queue_is_told() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "r2")
        await bench.settle(3.0)
        await bench.release("r1")
        assert bench.waited_s["r1"] == 0.0
        assert bench.waited_s["r2"] == pytest.approx(3.0, abs=0.01)

    on_a_bench(test, concurrency=1)


def test_a_cancelled_waiter_leaves_the_queue_to_the_others() -> None:
    async def test(bench: Bench) -> None:
        _, second, _ = bench.ask("r1", "r2", "r3")
        await bench.settle()
        second.cancel()
        await bench.settle()
        assert bench.pool.statistics().waiting == 1
        await bench.release("r1")
        assert bench.granted == ["r1", "r3"]

    on_a_bench(test, concurrency=1)


def test_a_waiter_cancelled_in_the_moment_of_its_grant_gives_the_slot_on() -> None:
    async def test(bench: Bench) -> None:
        _, second, _ = bench.ask("r1", "r2", "r3")
        await bench.settle()
        bench.leave["r1"].set()
        await asyncio.sleep(0)  # r1 has left and r2 has the slot, but has not been told
        second.cancel()
        await bench.settle()
        assert bench.granted == ["r1", "r3"]
        assert bench.pool.statistics().in_flight == 1

    on_a_bench(test, concurrency=1)


def test_a_waiter_cancelled_in_the_moment_it_is_turned_away_just_leaves() -> None:
    async def test(bench: Bench) -> None:
        _, second = bench.ask("r1", "r2")
        await bench.settle()
        bench.pool.turn_away()
        second.cancel()
        await bench.settle()
        assert second.cancelled()
        assert bench.pool.statistics().waiting == 0

    on_a_bench(test, concurrency=1)


def test_who_is_turned_away_holds_no_slot() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "r2", "r3")
        await bench.settle()
        bench.pool.turn_away()
        await bench.settle()
        assert bench.turned_away == ["r2", "r3"]
        assert (bench.pool.statistics().in_flight, bench.pool.statistics().waiting) == (1, 0)

    on_a_bench(test, concurrency=1)


@pytest.mark.parametrize(
    ("wish_s", "earliest", "latest"),
    [
        pytest.param(3.0, 3.0, 3.3, id="as long as the provider asks for"),
        pytest.param(0.0, 0.0, 0.05, id="no time at all"),
        pytest.param(None, 1.0, 1.1, id="a second where it asks for nothing"),
    ],
)
def test_a_pause_starts_nothing_and_then_goes_on_by_itself(
    wish_s: float | None, earliest: float, latest: float
) -> None:
    async def test(bench: Bench) -> None:
        bench.pool.pause(wish_s)
        bench.ask("r1")
        await bench.settle(4.0)
        assert earliest <= bench.times["r1"] <= latest

    on_a_bench(test)


def test_pauses_of_our_own_double_until_an_answer_comes() -> None:
    async def test(bench: Bench) -> None:
        waits = []
        for _ in range(8):
            bench.pool.pause(None)
            waits.append(bench.pool.pause_s)
            await bench.settle(70.0)
        for wait, expected in zip(waits, [1, 2, 4, 8, 16, 32, 60, 60], strict=True):
            assert expected <= wait <= 1.1 * expected

        async with bench.pool.slot(1) as slot:
            bench.pool.succeed(slot)
        bench.pool.pause(None)
        assert bench.pool.pause_s <= 1.1

    on_a_bench(test)


def test_a_long_pause_sends_the_waiting_elsewhere_and_a_short_one_does_not() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "r2")
        await bench.settle()
        bench.pool.pause(2.0)
        await bench.settle()
        assert bench.turned_away == []
        assert bench.pool.opens_at() == 0.0

        bench.pool.pause(60.0)
        await bench.settle()
        assert bench.turned_away == ["r2"]
        opens_at = bench.pool.opens_at()
        assert opens_at is not None
        assert 60.0 <= opens_at <= 66.1

    on_a_bench(test, concurrency=1)


def test_a_suspect_model_starts_nothing_until_those_that_are_out_have_decided() -> None:
    async def test(bench: Bench) -> None:
        await bench.warm_up()
        bench.ask("older")
        await bench.settle()
        await fail_in_row(bench.pool)
        bench.ask("waits")
        await bench.settle(9.0)
        assert bench.granted == ["older"]
        assert not bench.pool.ejected

        async with AsyncExitStack():
            bench.pool.succeed(Slot(bench.pool, 1))
        await bench.release("older")
        assert bench.granted == ["older", "waits"]

    on_a_bench(test, concurrency=8)


def test_a_suspect_model_is_ejected_once_nothing_is_out_and_its_records_choose_again() -> None:
    async def test(bench: Bench) -> None:
        await bench.warm_up()
        bench.ask("older")
        await bench.settle()
        await fail_in_row(bench.pool)
        bench.ask("waits")
        await bench.settle()
        await bench.release("older")
        assert bench.turned_away == ["waits"]
        assert bench.pool.ejected
        assert len(bench.changes) == 1
        assert bench.pool.statistics().state == "open"

    on_a_bench(test, concurrency=8)


def test_after_the_cooldown_one_probe_goes_and_the_others_are_turned_away() -> None:
    async def test(bench: Bench) -> None:
        await bench.warm_up()
        await fail_in_row(bench.pool)
        opens_at = bench.pool.opens_at()
        assert opens_at is not None
        await bench.settle(opens_at + 0.1)
        assert bench.pool.statistics().state == "half_open"
        bench.ask("probe", "r1", "r2")
        await bench.settle()
        assert (bench.probes, bench.turned_away) == (["probe"], ["r1", "r2"])
        now = asyncio.get_running_loop().time()
        latest = now + 60.0  # by then the probe has timed out
        assert bench.pool.opens_at() == pytest.approx(latest)

    on_a_bench(test, concurrency=8)


def test_a_probe_that_tells_nothing_makes_room_for_the_next() -> None:
    async def test(bench: Bench) -> None:
        await bench.warm_up()
        await fail_in_row(bench.pool)
        await bench.settle(40.0)
        bench.ask("first")
        await bench.settle()
        before = len(bench.changes)
        await bench.release("first")
        assert len(bench.changes) == before + 1  # those who wait for it are woken
        bench.ask("second")
        await bench.settle()
        assert bench.probes == ["first", "second"]

    on_a_bench(test, concurrency=8)


@pytest.mark.parametrize(
    ("pause_s", "limits"),
    [
        pytest.param(3.0, {}, id="for a short pause"),
        pytest.param(0.0, {"rpm": 20}, id="for a permit"),
        pytest.param(0.0, {"tpm": 60}, id="for tokens"),
    ],
)
def test_a_probe_waits_in_the_queue_like_everybody(pause_s: float, limits: dict[str, int]) -> None:
    """A half-open model that could not start at once turned its records away, and they came back at once, for
    ever: the run used the processor and got nowhere."""

    async def test(bench: Bench) -> None:
        await fail_in_row(bench.pool, times=1)
        for _ in range(4):
            await bench.settle(20.0)
            await fail_in_row(bench.pool, times=1)
        await bench.settle(40.0)
        if pause_s:
            bench.pool.pause(pause_s)
        if limits:
            async with bench.pool.slot(10) as slot:
                assert slot.probe
        began = asyncio.get_running_loop().time()
        bench.ask("probe")
        await bench.settle(30.0)
        assert bench.turned_away == []
        assert bench.probes == ["probe"]
        assert began + 2.0 <= bench.times["probe"] <= began + 20.0

    on_a_bench(test, **limits)


def test_a_half_open_model_under_a_long_pause_is_not_open_before_it_ends() -> None:
    async def test(bench: Bench) -> None:
        await bench.warm_up()
        await fail_in_row(bench.pool)
        await bench.settle(40.0)
        bench.pool.pause(100.0)
        opens_at = bench.pool.opens_at()
        assert opens_at is not None
        assert opens_at >= asyncio.get_running_loop().time() + 100.0

    on_a_bench(test, concurrency=8)


def test_a_disabled_model_is_never_open_again() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "r2")
        await bench.settle()
        bench.pool.disable("key refused")
        bench.pool.disable("again")
        await bench.settle()
        assert bench.turned_away == ["r2"]
        assert bench.pool.opens_at() is None
        assert bench.pool.disabled == "key refused"
        assert bench.pool.statistics().reason == "key refused"
        assert len(bench.changes) == 1

    on_a_bench(test, concurrency=1)


def slot_of(pool: Pool, tokens: int) -> Slot:
    """What a request of so many tokens holds that reserved just as many."""
    slot = Slot(pool, tokens)
    slot.reservation = Reservation(tokens, tokens, 0, 0)
    return slot


def test_tokens_are_reserved_at_the_start_and_settled_with_the_usage() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", tokens=1000)  # 100 a second: ten seconds' worth
        await bench.settle()
        bench.ask("r2", tokens=1)
        await bench.settle(4.0)
        assert bench.granted == ["r1"]
        bench.pool.learn(slot_of(bench.pool, 1000), answer(input_tokens=500, output_tokens=100), 1.0, 60.0)
        bench.ask("r3", tokens=1)
        await bench.settle(4.0)
        assert bench.times["r2"] == pytest.approx(5.5, abs=0.01)  # 600 used: 50 in hand, 550 to be earned

    on_a_bench(test, tpm=6000, concurrency=9)


def test_what_was_refused_unsent_gives_its_tokens_back() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", tokens=1000)
        await bench.settle()
        bench.pool.learn(slot_of(bench.pool, 1000), failure(ErrorType.RATE_LIMITED), 1.0, 60.0)
        bench.ask("r2", tokens=1)
        await bench.settle(0.1)
        assert bench.granted == ["r1", "r2"]

    on_a_bench(test, tpm=6000, concurrency=9)


def test_permits_come_at_the_declared_rate() -> None:
    async def test(bench: Bench) -> None:
        times = []

        async def ask() -> None:
            async with bench.pool.slot(10) as slot:
                times.append(asyncio.get_running_loop().time())
                bench.pool.succeed(slot)

        for _ in range(11):
            bench.tasks.create_task(ask())
        await bench.settle(25.0)
        assert len(times) == 11
        assert times[0] <= 0.1
        gaps = [later - earlier for earlier, later in itertools.pairwise(times)]
        assert min(gaps) >= 2.0
        assert max(gaps) <= 2.1

    on_a_bench(test, rpm=30, concurrency=20)


def test_a_pool_can_be_asked_how_it_stands() -> None:
    async def test(bench: Bench) -> None:
        bench.ask("r1", "r2", "r3")
        await bench.settle()
        bench.pool.learn(Slot(bench.pool, 1), answer(), 1.0, 60.0)
        bench.pool.learn(Slot(bench.pool, 1), failure(ErrorType.EMPTY_ANSWER), 1.0, 60.0)
        bench.pool.pause(2.0)
        statistics = bench.pool.statistics()
        assert (statistics.in_flight, statistics.waiting) == (2, 1)
        assert (statistics.attempts, statistics.errors) == (2, 1)
        assert statistics.state == "paused"
        assert 2.0 <= statistics.paused_s <= 2.2
        assert "model='a'" in repr(bench.pool)

    on_a_bench(test)
