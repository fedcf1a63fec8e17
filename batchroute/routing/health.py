"""The breaker of one model: when it is left out by every route, and when it is tried again.

It is told what happened and when; it never looks at a clock itself.
"""

from collections import deque
from enum import StrEnum
from math import inf
from random import Random

from msgspec import Struct

SPAN_S = 1.0
"""Calls are counted by the second: a million of them take no more memory than a few."""


class State(StrEnum):
    """What the breaker says of its model."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"
    DISABLED = "disabled"


class BreakerPolicy(Struct, frozen=True, kw_only=True):
    """When a model is ejected and for how long. Times are seconds."""

    consecutive_failures: int = 5
    failure_share: float = 0.5
    share_calls: int = 20
    share_window_s: float = 30.0
    cooldown_s: float = 30.0
    cooldown_cap_s: float = 300.0
    cooldown_jitter: float = 0.2
    forgiven_after_s: float = 300.0


class _Span(Struct, gc=False):
    """The calls of one second."""

    began: float
    calls: int = 0
    failed: int = 0


class _Recent:
    """How many calls there were in the last `window_s` seconds and how many failed, to the second."""

    def __init__(self, window_s: float) -> None:
        self._window_s = window_s
        self.clear()

    def clear(self) -> None:
        self.calls = self.failed = 0
        self._spans: deque[_Span] = deque()
        self._ends = -inf

    def note(self, now: float, *, failed: bool) -> None:
        if now >= self._ends:
            self._begin(now)
        span = self._spans[-1]
        span.calls += 1
        self.calls += 1
        if failed:
            span.failed += 1
            self.failed += 1

    def forgive(self) -> None:
        """Take back the latest failure, if one is left."""
        for span in reversed(self._spans):
            if span.failed:
                span.calls, span.failed = span.calls - 1, span.failed - 1
                self.calls, self.failed = self.calls - 1, self.failed - 1
                return

    def _begin(self, now: float) -> None:
        self._spans.append(_Span(now))
        self._ends = now + SPAN_S
        while self._spans[0].began < now - self._window_s:
            over = self._spans.popleft()
            self.calls -= over.calls
            self.failed -= over.failed


class Breaker:
    """Opens on failures of the model, stays open for a cooldown, then lets one probe through.

    Only failures that speak of the model's health are reported here; a bad request is none.
    Each further ejection is longer by one cooldown, up to the cap; healthy time shortens the next.

    Failures come back sooner than answers, so a few in a row prove little while older requests are out:
    they make the model suspect, nothing more is started, and the requests that are out decide.
    """

    def __init__(self, policy: BreakerPolicy, random: Random) -> None:
        self._policy = policy
        self._random = random
        self._recent = _Recent(policy.share_window_s)
        self._failures_in_row = 0
        self._ejections = 0
        self._until: float | None = None
        self._probing = False
        self._healthy_since = 0.0
        self.disabled: str | None = None
        """Why the model is out for the rest of the run, in words; None while it is not."""
        self.well = True
        """Whether it is closed and nothing speaks against that, so that every request may start."""

    def state(self, now: float) -> State:
        if self.disabled is not None:
            return State.DISABLED
        if self._until is None:
            return State.CLOSED
        return State.OPEN if now < self._until else State.HALF_OPEN

    @property
    def cools_until(self) -> float | None:
        """When the cooldown ends, on the clock that `now` is read from; None while closed."""
        return self._until

    def admits(self, now: float) -> bool:
        """Whether a request may start: always when closed, one probe at a time when half open."""
        if self.disabled is not None or self.suspect:
            return False
        return self._until is None or (now >= self._until and not self._probing)

    @property
    def suspect(self) -> bool:
        """Whether the latest requests all failed, and those still out have to decide."""
        return self._until is None and self._failures_in_row >= self._policy.consecutive_failures

    def start(self) -> bool:
        """Note that a request starts; True if it is the probe of a half open breaker."""
        if self._until is None:
            return False
        self._probing = True
        return True

    def abandon_probe(self) -> None:
        """The probe ended without telling anything of the model's health: the next request probes."""
        self._probing = False

    def succeed(self, now: float, *, probe: bool) -> bool:
        """Note an answer; True if it closed the breaker."""
        if probe:
            self._close(now)
            return True
        if self._failures_in_row:
            self._failures_in_row = 0
            self._assess()
        if self._until is None:
            self._recent.note(now, failed=False)
        return False

    def fail(self, now: float, *, probe: bool) -> bool:
        """Note a failure of the model; True if it opened the breaker. Late failures never prolong a cooldown."""
        if probe:
            self._open(now)
            return True
        if self._until is not None:
            return False
        self._failures_in_row += 1
        self.well = False
        self._recent.note(now, failed=True)
        if self._failed_often():
            self._open(now)
            return True
        return False

    def failed_share(self, usual: float) -> float:
        """The share of the latest requests that failed; as far as these are too few to tell, the `usual` one."""
        recent, few = self._recent, self._policy.share_calls
        return (recent.failed + few * usual) / (recent.calls + few)

    def condemn(self, now: float) -> bool:
        """No request is out any more: a suspect model is ejected; True if it was one."""
        if not self.suspect:
            return False
        self._open(now)
        return True

    def forgive(self) -> None:
        """The latest failure was not the model's fault. An ejection stays."""
        self._failures_in_row = max(0, self._failures_in_row - 1)
        self._recent.forgive()
        self._assess()

    def acquit(self, *, reinstated: bool = False) -> None:
        """What failed lately was not the model's fault. An ejection stays, unless that was all it was for."""
        if reinstated and self._until is not None:
            self._until = None
            self._probing = False
            self._ejections -= 1
        self._failures_in_row = 0
        self._recent.clear()
        self._assess()

    def disable(self, reason: str) -> None:
        """Leave the model out for the rest of the run."""
        self.disabled = reason
        self.well = False

    def _assess(self) -> None:
        self.well = self._failures_in_row == 0 and self._until is None and self.disabled is None

    def _failed_often(self) -> bool:
        recent, policy = self._recent, self._policy
        return recent.calls >= policy.share_calls and recent.failed >= recent.calls * policy.failure_share

    def _open(self, now: float) -> None:
        if self._until is None:
            healthy = now - self._healthy_since
            self._ejections = max(0, self._ejections - int(healthy / self._policy.forgiven_after_s))
        self._ejections += 1
        cooldown = min(self._policy.cooldown_s * self._ejections, self._policy.cooldown_cap_s)
        self._until = now + cooldown * (1 + self._random.random() * self._policy.cooldown_jitter)
        self._probing = False
        self._failures_in_row = 0
        self.well = False

    def _close(self, now: float) -> None:
        self._until = None
        self._probing = False
        self._healthy_since = now
        self._failures_in_row = 0
        self._recent.clear()
        self._assess()
