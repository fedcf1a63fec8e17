"""How fast requests may start at a provider that refuses even a few at once and declares nothing: found by trying."""

from batchroute.routing.refusals import Trial

ENOUGH = 8
"""Answers from which a rate can be told."""
LESS = 0.95
"""What is kept of the rate that was refused."""
STEP_ANSWERS = 40
FIRST_STEP = 0.01
LONGEST_STEP = 0.5
LATE_S = 0.05
"""What a start that came late is made up for."""
IN_USE = 0.8
"""Share of the rate that must have been used for it to grow."""


class Tempo:
    """Requests a second, once a refusal told that there is such a limit.

    It begins with what was answered lately; each refusal takes a twentieth. Forty answers without one add a
    hundredth, the next forty twice as much, so that a limit that stays is met once in a few hundred requests, and one
    that is lifted is left behind soon. Times are seconds on the event loop's clock.
    """

    def __init__(self, now: float) -> None:
        self.per_s: float | None = None
        """Requests a second; None while no limit of this kind is known."""
        self._due = now
        self._trial = Trial(now)
        self._since = now
        self._answers = 0
        self._step = FIRST_STEP

    def opens_at(self) -> float:
        """When the next request may start; 0 where nothing is known."""
        return 0.0 if self.per_s is None else self._due

    def start(self, now: float) -> None:
        """Note that a request starts."""
        if self.per_s is not None:
            self._due = max(self._due, now - LATE_S) + 1.0 / self.per_s

    def answered(self, now: float) -> None:
        """Note an answer."""
        self._trial.answers += 1
        self._answers += 1
        if self.per_s is None or self._answers < STEP_ANSWERS:
            return
        if self._answers >= IN_USE * self.per_s * (now - self._since):
            self.per_s *= 1.0 + self._step
            self._step = min(LONGEST_STEP, 2 * self._step)
        self._since, self._answers = now, 0

    def refused(self, now: float, *, bearable: bool) -> bool:
        """Note a refusal: less than was tried, and no less than half of it.

        False: half as fast was refused as often, and refusals are `bearable`, so that the speed is not the reason;
        it is free again.
        """
        if self.per_s is None and self._trial.answers < ENOUGH:
            return True
        lately = self._trial.lately(now)
        if self._trial.in_vain(self.per_s or lately, now) and bearable:
            self.per_s = None
            return False
        self.per_s = LESS * min(self.per_s, max(lately, self.per_s / 2)) if self.per_s else lately
        self._step = FIRST_STEP
        self._since, self._answers = now, 0
        return True
