"""What a pool may start by its limits, save its slots: declared, told by the provider, or found by trying."""

from msgspec import Struct

from batchroute.core.responses import Failure, Outcome, RateLimits
from batchroute.engine.pacing import TokenBudget
from batchroute.routing.quotas import Quota
from batchroute.routing.tempos import Tempo


class Reservation(Struct, gc=False):
    """What was set aside for one request: `tokens` by estimate, `reserved` of the budget; the counts are of all
    requests and tokens up to this one, and for it.
    """

    tokens: int
    reserved: float
    requests_until: int
    tokens_until: int


class Allowance:
    """Tokens a minute as declared, what is left by the provider's headers, and the tempo that was found.

    Times are seconds on the event loop's clock.
    """

    def __init__(self, tokens_per_minute: int | None, now: float) -> None:
        self._budget = TokenBudget(tokens_per_minute, now) if tokens_per_minute else None
        self._left_requests, self._left_tokens = Quota(), Quota()
        self.tempo = Tempo(now)
        """Told by the pool what is answered, and refused though no other request was out."""
        self._latest: Reservation | None = None
        """Of the request whose response told last what is left."""
        self._requests = self._tokens = 0

    @property
    def limited(self) -> bool:
        """Whether anything is known that a start may have to wait for."""
        return self._budget is not None or self._latest is not None or self.tempo.per_s is not None

    def opens_at(self, now: float) -> float:
        """When the next request may start; not after `now` if at once."""
        opens_at = max(self.told_opens_at(now), self.tempo.opens_at())
        return opens_at if self._budget is None else max(opens_at, self._budget.opens_at(now))

    def told_opens_at(self, now: float) -> float:
        """When the provider has room for a request, by what it told; 0 where it has."""
        if self._latest is None:
            return 0.0
        return max(self._left_requests.opens_at(1, now), self._left_tokens.opens_at(self._latest.tokens, now))

    def start(self, tokens: int, now: float) -> Reservation:
        """Set aside what a request of so many tokens needs."""
        self._requests += 1
        self._tokens += tokens
        if self._latest is not None:
            self._left_requests.start(1)
            self._left_tokens.start(tokens)
        if self.tempo.per_s is not None:
            self.tempo.start(now)
        reserved = 0.0 if self._budget is None else self._budget.reserve(tokens)
        return Reservation(tokens, reserved, self._requests, self._tokens)

    def settle(self, reservation: Reservation, outcome: Outcome) -> None:
        """Put the usage in the place of the estimate."""
        if self._budget is None:
            return
        if outcome.usage is not None:
            used = outcome.usage.input_tokens + outcome.usage.output_tokens
            self._budget.settle(reservation.reserved, used, reservation.tokens)
        elif isinstance(outcome, Failure) and not outcome.sent:
            self._budget.give_back(reservation.reserved)

    def hear(self, reservation: Reservation, told: RateLimits, asked_at: float) -> None:
        """Take in the headers of a response to a request that was sent at `asked_at`."""
        self._latest = reservation
        self._left_requests.hear(
            told.limit_requests,
            told.remaining_requests,
            told.reset_requests,
            out=self._requests - reservation.requests_until,
            need=1,
            asked_at=asked_at,
        )
        self._left_tokens.hear(
            told.limit_tokens,
            told.remaining_tokens,
            told.reset_tokens,
            out=self._tokens - reservation.tokens_until,
            need=reservation.tokens,
            asked_at=asked_at,
        )
