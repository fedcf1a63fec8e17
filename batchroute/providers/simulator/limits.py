"""Rate limits as strict providers enforce them: refilled continuously, one second's worth at most."""

import math

from msgspec import Struct

from batchroute.providers.simulator.settings import Limits

_SLACK = 1e-9  # so that a client which waits exactly as told is not refused for a rounding error
_CONCURRENCY_WAIT_S = 0.1


class Refusal(Struct, frozen=True):
    """Why a request is not admitted: the limit's name, a sentence, and when to try again (None: never)."""

    limit: str
    message: str
    wait_s: float | None


class Bucket:
    """Tokens per minute, refilled continuously. A cost above its capacity is admitted from a full one, on credit."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._rate = per_minute / 60
        self._capacity = max(1.0, self._rate)
        self._level = self._capacity
        self._at = now

    def wait(self, cost: int, now: float) -> float:
        """Seconds until this cost would be admitted; 0 when it is now."""
        missing = min(cost, self._capacity) - self.level(now)
        return missing / self._rate if missing > _SLACK else 0.0

    def take(self, cost: int) -> None:
        self._level -= cost

    def level(self, now: float) -> float:
        self._level = min(self._capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def announced(self, kind: str, now: float) -> bytes:
        """The three x-ratelimit header lines of this bucket; `reset` is the time until it is full."""
        level = self.level(now)
        reset = duration((self._capacity - level) / self._rate)
        lines = (
            f"x-ratelimit-limit-{kind}: {self.per_minute}\r\n"
            f"x-ratelimit-remaining-{kind}: {max(0, int(level))}\r\n"
            f"x-ratelimit-reset-{kind}: {reset}\r\n"
        )
        return lines.encode()


class Gate:
    """The limits of one model with what is in flight; `enter` and `leave` come in pairs."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._concurrency = limits.concurrency
        self._requests = None if limits.rpm is None else Bucket(limits.rpm, now)
        self._tokens = None if limits.tpm is None else Bucket(limits.tpm, now)
        self.in_flight = 0
        self.peak = 0

    def refusal(self, tokens: int, now: float) -> Refusal | None:
        """Why a request of this many tokens cannot enter now; changes nothing."""
        if self._concurrency is not None and self.in_flight >= self._concurrency:
            return Refusal("concurrency", f"Limit {self._concurrency} in flight.", _CONCURRENCY_WAIT_S)
        if self._requests is not None and (wait := self._requests.wait(1, now)):
            return Refusal("requests", f"Limit {self._requests.per_minute} per min.", wait)
        if self._tokens is None:
            return None
        if tokens > self._tokens.per_minute:
            return Refusal(
                "tokens", f"Request too large: limit {self._tokens.per_minute} TPM, requested {tokens}.", None
            )
        if wait := self._tokens.wait(tokens, now):
            return Refusal("tokens", f"Limit {self._tokens.per_minute} per min, requested {tokens}.", wait)
        return None

    def enter(self, tokens: int) -> None:
        if self._requests is not None:
            self._requests.take(1)
        if self._tokens is not None:
            self._tokens.take(tokens)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)

    def leave(self) -> None:
        self.in_flight -= 1

    def headers(self, now: float) -> bytes:
        """The x-ratelimit header lines of the limits that there are."""
        lines = b""
        if self._requests is not None:
            lines += self._requests.announced("requests", now)
        if self._tokens is not None:
            lines += self._tokens.announced("tokens", now)
        return lines


def duration(seconds: float) -> str:
    """Seconds as OpenAI's reset headers write them: 12ms, 1.5s, 6m0s (platform.openai.com, rate limits, 2026-09)."""
    if seconds < 1:
        return f"{math.ceil(seconds * 1000)}ms"
    if seconds < 60:
        return f"{round(seconds, 3):g}s"
    minutes, rest = divmod(math.ceil(seconds), 60)
    return f"{minutes}m{rest}s"
