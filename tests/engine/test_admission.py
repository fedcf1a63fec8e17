import asyncio
from pathlib import Path

import msgspec
import pytest

from batchroute.core.records import UNLABELLED
from batchroute.core.requests import Request
from batchroute.engine.admission import MOST_DOUBLED, SPARE, Backlog, Window, shares
from batchroute.engine.trails import Admitted
from batchroute.io.spools import Spool
from tests import virtual_clock


def no_one(_: str) -> bool:
    """No model has as many records in motion as can be of use."""
    return False


def admitted(number: int, model: str = "a") -> Admitted:
    return Admitted(
        seq=number,
        record_id=f"r{number}",
        labels=UNLABELLED,
        route="default",
        models=(model, "z"),
        head=model,
        request=Request(messages=b"[]"),
        kept={},
    )


def backlog(folder: Path, window: Window, models: str = "ab") -> Backlog:
    spools = {
        model: Spool(
            folder / model,
            encode=msgspec.msgpack.encode,
            decode=msgspec.msgpack.Decoder(list[Admitted]).decode,
            size=lambda record: len(record.request.messages),
        )
        for model in models
    }
    return Backlog(spools, window)


@pytest.mark.parametrize(
    ("concurrency", "window", "expected"),
    [
        pytest.param({"a": 32}, None, {"a": 64 + SPARE}, id="twice the slots and some"),
        pytest.param({"a": 1, "b": 100}, None, {"a": 66, "b": 264}, id="each pool its own"),
        pytest.param({"a": 5000}, None, {"a": 5000 + MOST_DOUBLED + SPARE}, id="many slots and some"),
        pytest.param({"a": 32, "b": 32}, 100, {"a": 50, "b": 50}, id="a declared window is divided"),
        pytest.param({"a": 18, "b": 118}, 16, {"a": 4, "b": 12}, id="by the shares that it would have had"),
        pytest.param({"a": 1, "b": 10_000}, 16, {"a": 1, "b": 15}, id="nobody is left without"),
    ],
)
def test_shares(concurrency: dict[str, int], window: int | None, expected: dict[str, int]) -> None:
    assert shares(concurrency, window) == expected


def test_a_window_knows_who_has_room() -> None:
    window = Window({"a": 2, "b": 1})
    window.take("a")
    window.take("b")
    assert (window.free("a"), window.free("b"), window.taken) == (True, False, 2)
    window.give_back("b")
    assert (window.free("b"), window.taken) == (True, 1)


@pytest.mark.parametrize(
    ("share", "wakes_at"),
    [
        pytest.param(100, 87, id="an eighth free"),
        pytest.param(2, 1, id="one of two"),
        pytest.param(1, 0, id="one of one"),
    ],
)
def test_the_reader_is_woken_once_an_eighth_is_free(share: int, wakes_at: int) -> None:
    async def main() -> int:
        window = Window({"a": share})
        for _ in range(share):
            window.take("a")
        async with asyncio.TaskGroup() as group:
            reader = group.create_task(window.freed())
            while not reader.done():
                await asyncio.sleep(1e-6)
                if not reader.done():
                    window.give_back("a")
                await asyncio.sleep(1e-6)
        return window.taken

    assert virtual_clock.run(main()) == wakes_at


def test_the_stop_wakes_the_reader() -> None:
    async def main() -> None:
        window = Window({"a": 1})
        async with asyncio.TaskGroup() as group:
            group.create_task(window.freed())
            await asyncio.sleep(1.0)
            window.wake()

    virtual_clock.run(main())


def test_records_are_ready_in_the_order_they_came_as_far_as_there_is_room(tmp_path: Path) -> None:
    window = Window({"a": 3, "b": 3})
    waiting = backlog(tmp_path, window)
    for number in range(5):
        waiting.put_all([admitted(number)])
    assert [record.record_id for record in waiting.ready(no_one)] == ["r0", "r1", "r2"]
    assert (len(waiting), window.taken) == (2, 3)
    assert waiting.ready(no_one) == []

    window.give_back("a")
    assert [record.record_id for record in waiting.ready(no_one)] == ["r3"]
    waiting.close()


def test_records_of_a_model_that_has_enough_in_motion_stay(tmp_path: Path) -> None:
    waiting = backlog(tmp_path, Window({"a": 3, "b": 3}))
    waiting.put_all([admitted(0), admitted(1, "b")])

    assert [record.record_id for record in waiting.ready(lambda model: model == "a")] == ["r1"]
    assert len(waiting) == 1
    waiting.close()


def test_a_record_follows_another_one_without_more_room(tmp_path: Path) -> None:
    window = Window({"a": 1, "b": 1})
    waiting = backlog(tmp_path, window)
    for number in range(2):
        waiting.put_all([admitted(number)])
    waiting.ready(no_one)
    following = waiting.following("a")
    assert following is not None
    assert (following.record_id, window.free("a")) == ("r1", False)
    assert (waiting.following("a"), waiting.following("b")) == (None, None)
    waiting.close()


def test_a_full_share_does_not_hold_up_the_other_pools(tmp_path: Path) -> None:
    window = Window({"a": 1, "b": 2})
    waiting = backlog(tmp_path, window)
    for number in range(6):
        waiting.put_all([admitted(number, "a" if number < 4 else "b")])
    assert [record.record_id for record in waiting.ready(no_one)] == ["r0", "r4", "r5"]
    waiting.close()


def test_a_pool_is_hungry_while_it_has_room_and_nothing_ready(tmp_path: Path) -> None:
    window = Window({"a": 2, "b": 1})
    waiting = backlog(tmp_path, window)
    assert waiting.hungry()
    for number in range(3):
        waiting.put_all([admitted(number)])
    waiting.put_all([admitted(3, "b")])
    assert not waiting.hungry()  # both have something ready
    waiting.ready(no_one)
    assert not waiting.hungry()  # both are full
    window.give_back("b")
    assert waiting.hungry()
    waiting.close()


def test_records_that_were_spooled_to_the_disk_come_back_as_they_were(tmp_path: Path) -> None:
    window = Window({"a": 10_000, "b": 1})
    waiting = backlog(tmp_path, window)
    records = [admitted(number) for number in range(6000)]
    for record in records:
        waiting.put_all([record])
    assert (tmp_path / "a").stat().st_size > 0
    assert waiting.ready(no_one) == records
    waiting.close()
    assert not (tmp_path / "a").exists()
