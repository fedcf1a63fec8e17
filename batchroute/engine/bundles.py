"""Records that share a request: those that ask the same model for vectors at the same time.

A record stays one journey with attempts of its own. What is shared is the slot: the pool grants one to a bundle, its
records enter their attempts, and when all of them have, one request goes out for them together. Its answer is shared
out so that the parts add up to the whole, and the pool is told of it once.

A bundle that fails may hold one record that is at fault: its records come back in bundles of about the square root of
that size, and the third time alone. So one bad text costs a few requests and no other record.
"""

import asyncio
from collections.abc import Callable, Sequence
from itertools import accumulate, pairwise
from math import isqrt
from typing import Final, Self

from msgspec import structs

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.engine.clock import Clock
from batchroute.engine.pools import Pool, PoolSpec, Slot
from batchroute.providers.provider import Provider
from batchroute.routing.retries import RetryBudget
from batchroute.routing.verdicts import Effect, effect, last_word

LINGER_S: Final = 0.02
"""How long a bundle that is not full waits for more records, seconds; while it waits for a slot it takes more."""

MOST_TOKENS: Final = 250_000
"""By our estimate; a request may have 300,000 (learn.microsoft.com, Azure OpenAI embeddings, 2026-11)."""

MOST_REMEMBERED: Final = 100_000
"""Records of which a pool knows that they have failed with others: they may be answered by another model."""

SHARE_OF_TPM: Final = 4
"""A bundle takes no more than a quarter of what a minute allows."""


class BundleSlot(Slot):
    """The slot of a whole bundle: in the pool's queue it stands for all of its records."""

    def __init__(self, pool: Pool, bundle: "Bundle") -> None:
        super().__init__(pool, 0)
        self.bundle = bundle

    def wake(self) -> None:
        """Let all its records go on, granted or turned away."""
        self.bundle.settle()


class Bundle:
    """Records on their way to one request. It is open until it is full or its slot is granted."""

    def __init__(self, pool: "BundlingPool", room: int) -> None:
        self.slot = BundleSlot(pool, self)
        self.room = room
        self.seats: list[Seat] = []
        self.offered = False
        self.timer: asyncio.TimerHandle | None = None
        self.whole: Outcome | None = None
        """What came back for all of them, before it was shared out."""
        self.told: set[str] = set()
        """What the pool has been told of it."""
        self._pool = pool
        self._sitting = 0
        self._asked: dict[Seat, tuple[Request, float]] = {}
        self._complete: asyncio.Future[None] | None = None
        self._shares: asyncio.Future[dict[Seat, Outcome]] | None = None

    def add(self, seat: "Seat") -> None:
        self.seats.append(seat)
        self.slot.tokens += seat.tokens
        self.slot.place = min(self.slot.place, seat.place) if len(self.seats) > 1 else seat.place

    def takes(self, tokens: int, most: int) -> bool:
        return len(self.seats) < self.room and self.slot.tokens + tokens <= most

    def settle(self) -> None:
        """The pool has decided: from now on the bundle is closed, and every record is told."""
        self._pool.close_bundle(self)
        self._sitting = len(self.seats) if self.slot.granted else 0
        for seat in self.seats:
            seat.granted, seat.probe, seat.number = self.slot.granted, self.slot.probe, self.slot.number
            seat.wake()

    async def send(self, seat: "Seat", request: Request, timeout_s: float) -> Outcome:
        """Send with all the others; the first who comes waits for them, and asks for all."""
        self._asked[seat] = request, timeout_s
        if self._shares is not None:
            self._look_round()
            shares = await asyncio.shield(self._shares)
            return shares[seat]
        loop = asyncio.get_running_loop()
        answered: asyncio.Future[dict[Seat, Outcome]] = loop.create_future()
        self._shares = answered
        self._complete = loop.create_future()
        self._look_round()
        try:
            await self._complete
            answered.set_result(await self._ask())
        finally:
            if not answered.done():
                answered.cancel()  # the run is cut off: nobody is to wait for this
        return answered.result()[seat]

    def leave(self) -> None:
        """One record is done with its attempt, or does without one."""
        self._sitting -= 1
        if self._sitting == 0 and self.slot.granted:
            self._pool.give_back(self.slot)
        self._look_round()

    def _look_round(self) -> None:
        """Whether everybody has come who has not left."""
        if self._complete is not None and not self._complete.done() and len(self._asked) >= self._sitting:
            self._complete.set_result(None)

    async def _ask(self) -> dict["Seat", Outcome]:
        seats = list(self._asked)
        requests = [request for request, _ in self._asked.values()]
        timeout_s = max(timeout_s for _, timeout_s in self._asked.values())
        self.whole = await self._pool.provider.send(
            together(requests), self._pool.spec.request_model, timeout_s=timeout_s
        )
        shares = shared_out(self.whole, requests)
        self._pool.learn_of_company(seats, self.whole)
        return dict(zip(seats, shares, strict=True))


class Seat(Slot):
    """A record's part of a bundle's slot."""

    bundle: Bundle

    def __init__(self, pool: "BundlingPool", tokens: int, place: int) -> None:
        super().__init__(pool, tokens, place)
        self._bundling = pool

    async def __aenter__(self) -> Self:
        asked = self._bundling.clock.now()
        self._future = asyncio.get_running_loop().create_future()
        self._bundling.join(self)
        try:
            await self._future
        except asyncio.CancelledError:
            self._bundling.unseat(self)
            raise
        self.queued_s = self._bundling.clock.now() - asked
        return self

    async def __aexit__(self, *_: object) -> None:
        if self.granted:
            self.granted = False
            self.bundle.leave()


class BundlingPool(Pool):
    """A pool whose requests carry up to `batch` records each. Slots and limits are those of requests."""

    def __init__(
        self, spec: PoolSpec, provider: Provider, clock: Clock, changed: Callable[[], None], *, batch: int
    ) -> None:
        super().__init__(spec, provider, clock, changed)
        self.batch = batch
        self.retries = RetryBudget(times=batch)
        self._open: dict[int, Bundle] = {}
        self._in_company: dict[int, int] = {}
        """Of records that have failed with others, by place: in bundles of how many they may come back."""
        self._most_tokens = min(MOST_TOKENS, (self.spec.tpm or SHARE_OF_TPM * MOST_TOKENS) // SHARE_OF_TPM)

    @property
    def crowded(self) -> bool:
        """Never: those who wait fill its bundles."""
        return False

    def slot(self, estimated_tokens: int, place: int = 0) -> Slot:
        """As of any pool; whoever comes within a moment shares it."""
        return Seat(self, estimated_tokens, place)

    async def send(self, slot: Slot, request: Request, timeout_s: float) -> Outcome:
        """See Pool."""
        assert isinstance(slot, Seat)
        return await slot.bundle.send(slot, request, timeout_s)

    # Who goes with whom

    def join(self, seat: Seat) -> None:
        """Find the record a bundle, and offer it for a slot once it is full or has waited."""
        room = self._in_company.get(seat.place, self.batch)
        bundle = self._open.get(room)
        if bundle is not None and not bundle.takes(seat.tokens, self._most_tokens):
            self._offer(bundle, closed=True)
            bundle = None
        if bundle is None:
            bundle = self._open[room] = Bundle(self, room)
            bundle.timer = asyncio.get_running_loop().call_later(LINGER_S, self._offer, bundle)
        seat.bundle = bundle
        bundle.add(seat)
        if len(bundle.seats) == room:
            self._offer(bundle, closed=True)

    def _offer(self, bundle: Bundle, *, closed: bool = False) -> None:
        """Ask for its slot. Until it is granted the bundle stays open, unless it is full."""
        if bundle.timer is not None:
            bundle.timer.cancel()
            bundle.timer = None
        if closed:
            self.close_bundle(bundle)
        if bundle.offered:
            return
        bundle.offered = True
        if self.take(bundle.slot):
            bundle.settle()
        else:
            self.queue(bundle.slot)

    def close_bundle(self, bundle: Bundle) -> None:
        """Nobody joins it any more."""
        if self._open.get(bundle.room) is bundle:
            del self._open[bundle.room]

    def unseat(self, seat: Seat) -> None:
        """Forget a record that was cancelled while it waited, or in the moment in which it was granted its place."""
        bundle = seat.bundle
        if seat.granted:
            seat.granted = False
            bundle.leave()
            return
        bundle.seats.remove(seat)
        bundle.slot.tokens -= seat.tokens
        if not bundle.seats:
            self.close_bundle(bundle)
            if bundle.timer is not None:
                bundle.timer.cancel()
            elif bundle.offered:
                self.leave_queue(bundle.slot)

    def turn_away(self) -> None:
        """Send every waiting record back to choose again, those of bundles that are still open among them."""
        super().turn_away()
        for bundle in list(self._open.values()):
            if bundle.timer is not None:
                bundle.timer.cancel()
                bundle.timer = None
            bundle.settle()

    def learn_of_company(self, seats: Sequence[Seat], outcome: Outcome) -> None:
        """Part those that have failed together if one of them may be at fault; all others start afresh."""
        parted = len(seats) > 1 and _may_be_one_of_them(outcome)
        for seat in seats:
            again = self._in_company.pop(seat.place, None) is not None
            if parted:
                self._in_company[seat.place] = 1 if again else isqrt(len(seats))
        while len(self._in_company) > MOST_REMEMBERED:
            del self._in_company[next(iter(self._in_company))]

    # What it learns is of requests: once a bundle

    def learn(self, slot: Slot, outcome: Outcome, latency_s: float, timeout_s: float) -> None:
        """See Pool."""
        bundle = self._first(slot, "learn")
        if bundle is not None:
            whole = outcome if bundle.whole is None or _is_ours(outcome) else bundle.whole
            super().learn(bundle.slot, whole, latency_s, timeout_s)

    def succeed(self, slot: Slot) -> None:
        """See Pool."""
        bundle = self._first(slot, "succeed")
        if bundle is None:
            self.retries.earn()
        else:
            super().succeed(bundle.slot)

    def fail(self, slot: Slot) -> None:
        """See Pool."""
        bundle = self._first(slot, "fail")
        if bundle is not None:
            super().fail(bundle.slot)

    def refused(self, slot: Slot, wish_s: float | None) -> None:
        """See Pool."""
        bundle = self._first(slot, "refused")
        if bundle is not None:
            super().refused(bundle.slot, wish_s)

    @staticmethod
    def _first(slot: Slot, what: str) -> Bundle | None:
        """The bundle of this seat, if it is the first of it that tells this."""
        assert isinstance(slot, Seat)
        told = slot.bundle.told
        if what in told:
            return None
        told.add(what)
        return slot.bundle


def _may_be_one_of_them(outcome: Outcome) -> bool:
    """Whether the request got so far that what it failed of may be one of its texts."""
    if isinstance(outcome, Response):
        return False
    answered = outcome.sent or outcome.http_status is not None
    return last_word(outcome) or (answered and effect(outcome) is Effect.FAILED)


def _is_ours(outcome: Outcome) -> bool:
    """Whether the run has found that the fault is on our side, whatever the request came back with."""
    return isinstance(outcome, Failure) and outcome.error_type is ErrorType.LOCAL_NETWORK_DOWN


def together(requests: Sequence[Request]) -> Request:
    """One request with the texts of all: what else they ask is the same, being the job's."""
    if len(requests) == 1:
        return requests[0]
    texts = b",".join([request.messages[1:-1] for request in requests])
    return structs.replace(requests[0], messages=b"[%b]" % texts)


def shared_out(whole: Outcome, requests: Sequence[Request]) -> list[Outcome]:
    """What came back for all, as what came back for each; tokens by the length of the texts, so that they add up."""
    if len(requests) == 1:
        return [whole]
    usages = _usages(whole.usage, [len(request.messages) for request in requests])
    if isinstance(whole, Response):
        return [
            structs.replace(whole, usage=usage, vectors=(vector,))
            for usage, vector in zip(usages, whole.vectors, strict=True)
        ]
    return [structs.replace(_parted(whole, len(requests)), usage=usage) for usage in usages]


def _parted(whole: Failure, company: int) -> Failure:
    """What a failure means for one of several records: what may be the fault of one is held against none."""
    if not last_word(whole):
        return whole
    message = f"one of {company} texts, or all of them: {whole.message}"
    return structs.replace(whole, error_type=ErrorType.BUNDLE_REFUSED, message=message)


def _usages(whole: Usage | None, sizes: Sequence[int]) -> list[Usage | None]:
    if whole is None:
        return [None] * len(sizes)
    read, made = (_parts(tokens, sizes) for tokens in (whole.input_tokens, whole.output_tokens))
    return [Usage(input_tokens=some, output_tokens=other) for some, other in zip(read, made, strict=True)]


def _parts(total: int, sizes: Sequence[int]) -> list[int]:
    """Whole numbers in about the proportion of these sizes, which add up to the total."""
    sums = list(accumulate(sizes, initial=0))
    return [total * up_to // sums[-1] - total * before // sums[-1] for before, up_to in pairwise(sums)]
