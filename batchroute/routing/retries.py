"""How long to wait before the next attempt on the same model."""

from random import Random

from tenacity import AsyncRetrying, RetryCallState, wait_exponential

BASE_S = 0.5
CAP_S = 60.0

_wait = wait_exponential(multiplier=BASE_S, max=CAP_S)
_retrying = AsyncRetrying()


def backoff(tries: int, random: Random, wish_s: float | None = None) -> float:
    """Seconds to wait after this many tries: a random share of an exponentially growing time.

    Never less than what the provider asked for. Full jitter, so that records that failed together do not
    come back together.
    """
    state = RetryCallState(_retrying, None, (), {})
    state.attempt_number = tries
    return max(random.random() * _wait(state), wish_s or 0.0)
