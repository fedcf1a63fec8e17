"""Who gets the money of a run, and when."""

import asyncio
from typing import NamedTuple

import pytest

from batchroute.engine.purses import Allotment, Purse
from tests import virtual_clock


class Wish(NamedTuple):
    """What somebody wants to set aside, for how many seconds, and what is spent of it then."""

    route: str
    amount: int
    for_s: float = 4.0
    cost: int = 0


def got_at(allotment: Allotment, *wishes: Wish) -> list[float | None]:
    """When each of them had its money, all having come at once and in this order; None where it was refused."""

    async def main() -> list[float | None]:
        purse, loop = Purse(allotment, lambda _: None), asyncio.get_running_loop()

        async def wait(wish: Wish) -> float | None:
            if not await purse.reserve(wish.route, wish.amount):
                return None
            had_at = loop.time()
            await asyncio.sleep(wish.for_s)
            purse.spend(wish.route, wish.cost)
            purse.give_back(wish.route, wish.amount)
            return had_at

        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(wait(wish)) for wish in wishes]
        return [each.result() for each in waiting]

    return [None if at is None else round(at, 3) for at in virtual_clock.run(main())]


HARD = Wish("hard", 10)
OWN = Allotment(routes={"hard": 10})


@pytest.mark.parametrize(
    ("allotment", "wishes", "expected"),
    [
        pytest.param(OWN, [HARD, HARD, Wish("easy", 9)], [0, 4, 0], id="others go on without it"),
        pytest.param(OWN, [HARD, HARD, Wish("hard", 1)], [0, 4, 8], id="in order within the route"),
        pytest.param(
            OWN, [Wish("hard", 10, cost=10), HARD, Wish("easy", 9)], [0, None, 0], id="used up meanwhile"
        ),
        pytest.param(
            Allotment(routes={"hard": 10, "dear": 10}),
            [HARD, HARD, Wish("dear", 10, 1.0), Wish("dear", 10)],
            [0, 4, 0, 1],
            id="each route for itself",
        ),
        pytest.param(
            Allotment(total=10),
            [Wish("easy", 6), Wish("hard", 10), Wish("easy", 1)],
            [0, 4, 8],
            id="of the same money, a large request is not starved by small ones",
        ),
        pytest.param(
            Allotment(total=20, routes={"hard": 10}),
            [HARD, HARD, Wish("easy", 10, 5.0), Wish("easy", 10)],
            [0, 4, 0, 5],
            id="back in its place for the common money once its route has its own",
        ),
        pytest.param(
            Allotment(total=12, routes={"hard": 10}),
            [Wish("hard", 8), HARD, Wish("easy", 2, 5.0), Wish("easy", 2, 6.0), Wish("easy", 2)],
            [0, 5, 0, 0, 6],
            id="no small ones pass it for the common money then",
        ),
    ],
)
def test_who_waits_for_the_money_of_its_route_holds_up_nobody_else(
    allotment: Allotment, wishes: list[Wish], expected: list[float | None]
) -> None:
    # All waited in one line, so that a route with a small budget held up every other one.
    assert got_at(allotment, *wishes) == expected


def test_all_who_wait_are_refused_when_the_run_stops() -> None:
    async def main() -> list[bool]:
        purse = Purse(Allotment(total=30, routes={"hard": 10, "dear": 10}), lambda _: None)
        async with asyncio.TaskGroup() as group:
            waiting = [group.create_task(purse.reserve(route, 10)) for route in ("hard", "dear", "easy") * 2]
            asyncio.get_running_loop().call_later(1.0, purse.close)
        return [each.result() for each in waiting]

    assert virtual_clock.run(main()) == [True] * 3 + [False] * 3


def test_who_leaves_the_line_makes_room_for_those_behind() -> None:
    async def main() -> float:
        purse, loop = Purse(Allotment(total=10), lambda _: None), asyncio.get_running_loop()
        assert await purse.reserve("easy", 5)
        async with asyncio.TaskGroup() as group:
            large = group.create_task(purse.reserve("hard", 10))
            small = group.create_task(purse.reserve("easy", 5))
            loop.call_later(3.0, large.cancel)
            assert await small
            return loop.time()

    assert virtual_clock.run(main()) == pytest.approx(3.0)
