"""The money of a run: reserved before a request is sent, spent when what it cost is entered."""

import asyncio
from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from msgspec import Struct

from batchroute.core.attempts import NO_ROUTE
from batchroute.core.money import usd


class Allotment(Struct, frozen=True, kw_only=True):
    """The most that may be spent, in picodollars; None where nothing is set.

    `total` and `routes` count earlier runs over the same output, `run` does not; `record` is for one record.
    """

    total: int | None = None
    run: int | None = None
    record: int | None = None
    routes: Mapping[str, int] = {}


@dataclass(slots=True)
class _Account:
    name: str
    limit: int
    spent: int = 0
    reserved: int = 0

    def fits(self, amount: int) -> bool:
        return self.spent + self.reserved + amount <= self.limit

    def out_of_reach(self, amount: int) -> bool:
        """Whether it will not fit either when nothing is reserved any more."""
        return self.spent + amount > self.limit


@dataclass(slots=True, eq=False)
class _Waiting:
    came: int
    route: str
    amount: int
    told: asyncio.Future[bool]


@dataclass
class Purse:
    """What may still be spent. Whoever wants to send reserves the most that it can cost, and waits in line
    while that is reserved for others; it is refused once it cannot fit any more.

    Each route with a budget of its own has its own line, and all others share one: who waits for the money of its route
    holds up nobody else. Of those for whom it is there, whoever came first is first in line for the common money.

    Spent plus reserved is never more than the allotment. Amounts are picodollars.
    """

    allotment: Allotment
    emptied: Callable[[str], None]
    """Called with a sentence once nothing fits that is as cheap as the cheapest request so far."""
    refused: int = 0
    """Requests that could not be afforded."""
    bounded: bool = field(init=False)
    """Whether anything at all is limited."""
    _common: list[_Account] = field(default_factory=list)
    _routes: dict[str, _Account] = field(default_factory=dict)
    _lines: defaultdict[str, deque[_Waiting]] = field(default_factory=lambda: defaultdict(deque))
    """By route, "" for those that share one."""
    _came: int = 0
    _cheapest: int | None = None

    def __post_init__(self) -> None:
        self.bounded = self.allotment != Allotment()
        self.begin({})

    def begin(self, spent: Mapping[str, int]) -> None:
        """Take in what earlier runs have spent, by route."""
        limits = {"budget.usd": self.allotment.total, "budget.per_run_usd": self.allotment.run}
        self._common = [_Account(name, limit) for name, limit in limits.items() if limit is not None]
        self._routes = {
            route: _Account(f"budget.per_route.{route}", limit, spent.get(route, 0))
            for route, limit in self.allotment.routes.items()
        }
        for account in self._common:
            if account.name == "budget.usd":
                account.spent = sum(spent.values())

    def affords(self, spent: int, amount: int) -> bool:
        """Whether a record that has cost so much may cost so much more."""
        return self.allotment.record is None or spent + amount <= self.allotment.record

    async def reserve(self, route: str, amount: int) -> bool:
        """Set the amount aside, waiting while it is set aside for others; False: it cannot be had."""
        if route != NO_ROUTE:  # what buys a label may buy no answer
            self._cheapest = amount if self._cheapest is None else min(amount, self._cheapest)
        if self._out_of_reach(route, amount):
            self._refuse(route, amount)
            return False
        if not any(self._lines.values()) and self.take(route, amount):
            return True
        self._came += 1
        waiting = _Waiting(self._came, route, amount, asyncio.get_running_loop().create_future())
        self._line(route).append(waiting)
        self._serve()
        try:
            return await waiting.told
        except asyncio.CancelledError:
            self._leave(waiting)
            raise

    def take(self, route: str, amount: int) -> bool:
        """Set the amount aside if it fits now."""
        accounts = list(self._accounts(route))
        if not all(account.fits(amount) for account in accounts):
            return False
        for account in accounts:
            account.reserved += amount
        return True

    def give_back(self, route: str, amount: int) -> None:
        """What was set aside is over: what it cost has been spent."""
        for account in self._accounts(route):
            account.reserved -= amount
        self._serve()

    def spend(self, route: str, cost: int) -> None:
        """Note what was entered. It is told before the reservation is given back."""
        for account in self._accounts(route):
            account.spent += cost

    def close(self) -> None:
        """Refuse everyone who waits: the run is stopping."""
        for line in self._lines.values():
            while line:
                self._tell(line.popleft(), had=False)

    def _accounts(self, route: str) -> Iterator[_Account]:
        yield from self._common
        if (own := self._routes.get(route)) is not None:
            yield own

    def _line(self, route: str) -> deque[_Waiting]:
        return self._lines[route if route in self._routes else ""]

    def _out_of_reach(self, route: str, amount: int) -> bool:
        return any(account.out_of_reach(amount) for account in self._accounts(route))

    def _serve(self) -> None:
        """Those at the heads of the lines get what they wait for, or learn that they never will."""
        while (first := self._next()) is not None:
            if self._out_of_reach(first.route, first.amount):
                self._tell(self._line(first.route).popleft(), had=False)
                self._refuse(first.route, first.amount)
            elif self.take(first.route, first.amount):
                self._tell(self._line(first.route).popleft(), had=True)
            else:
                return

    def _next(self) -> _Waiting | None:
        """Who came first of those at the heads of the lines, those left out whose route has still to get back what it
        needs.
        """
        heads = (line[0] for line in self._lines.values() if line)
        ready = (head for head in heads if not self._waits_for_its_route(head))
        return min(ready, key=attrgetter("came"), default=None)

    def _waits_for_its_route(self, waiting: _Waiting) -> bool:
        own = self._routes.get(waiting.route)
        if own is None or own.fits(waiting.amount):
            return False
        return not self._out_of_reach(waiting.route, waiting.amount)

    def _leave(self, waiting: _Waiting) -> None:
        line = self._line(waiting.route)
        if waiting in line:
            line.remove(waiting)
            self._serve()
        elif waiting.told.done() and not waiting.told.cancelled() and waiting.told.result():
            self.give_back(waiting.route, waiting.amount)

    def _tell(self, waiting: _Waiting, *, had: bool) -> None:
        if not waiting.told.done():
            waiting.told.set_result(had)
        elif had:
            self.give_back(waiting.route, waiting.amount)

    def _refuse(self, route: str, amount: int) -> None:
        if route == NO_ROUTE:
            return  # the record does without the label
        self.refused += 1
        short = [account for account in self._accounts(route) if account.out_of_reach(amount)]
        used_up = [account for account in short if account.out_of_reach(self._cheapest or 0)]
        if any(account in self._common for account in used_up):
            self.emptied(self.shortage() or "")

    def shortage(self) -> str:
        """What is used up, in words; empty where nothing is."""
        accounts = [*self._common, *self._routes.values()]
        return ", ".join(
            f"{account.name} ({_usd(account.spent)} of {_usd(account.limit)} spent)"
            for account in accounts
            if self._cheapest is not None and account.out_of_reach(self._cheapest)
        )


def _usd(amount: int) -> str:
    return f"${usd(amount):,.6f}".rstrip("0").rstrip(".")
