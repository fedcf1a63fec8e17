"""How long to wait before the next attempt on the same model."""

from random import Random

from tenacity import AsyncRetrying, RetryCallState, wait_exponential

BASE_S = 0.5
CAP_S = 60.0

_wait = wait_exponential(multiplier=BASE_S, max=CAP_S)
_retrying = AsyncRetrying()


class RetryBudget:
    """How many retries a model is worth: each costs fourteen answers, and five hundred answers are saved up at most.

    While a model answers, a retry now and then is free; when much of it fails, retries stay below a tenth
    of the first attempts, and records go to the next model or wait.
    """

    CAPACITY = 500
    PRICE = 14

    def __init__(self, times: int = 1) -> None:
        """`times` as much is saved up where so many records share a request."""
        self._capacity = self._saved = self.CAPACITY * times

    @property
    def affordable(self) -> bool:
        return self._saved >= self.PRICE

    def spend(self) -> None:
        """Pay for a retry, as far as the savings go."""
        self._saved = max(0, self._saved - self.PRICE)

    def earn(self) -> None:
        """An answer came."""
        if self._saved < self._capacity:
            self._saved += 1


def backoff(tries: int, random: Random, wish_s: float | None = None) -> float:
    """Seconds to wait after this many tries: a random share of an exponentially growing time.

    Never less than what the provider asked for. Full jitter, so that records that failed together do not
    come back together.
    """
    state = RetryCallState(_retrying, None, (), {})
    state.attempt_number = tries
    return max(random.random() * _wait(state), wish_s or 0.0)


def longest_backoff(random: Random) -> float:
    """Seconds to wait before a retry that the model's budget has no room for and no other model can take."""
    return random.uniform(CAP_S / 2, CAP_S)
