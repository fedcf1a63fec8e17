"""How many requests a model is sent at once, found by trying: slow start, careful growth, gentle decrease."""

import math

from batchroute.routing.refusals import Trial

FIRST_WINDOW = 4
STEP = 0.1
"""What a full window of answers adds, and what a refusal for load takes."""
NEAR = 0.02
"""Part of the limit that is no longer worth trying for."""
PATIENT_WINDOWS = 20
"""Full windows before another step to where the last refusal came."""
PATIENT_ANSWERS = 200
"""And no fewer answers than this."""


class Ramp:
    """The number of requests that may be in flight, between one and `most`.

    It begins at four and doubles each time as many have been answered, so that a fast server is at full speed
    within milliseconds and a slow one is not run over. The first refusal for load ends the doubling: a tenth
    less, half where many are refused, once for all that were out together; then a tenth more for each full
    window, half-way to the number that was refused, and only after twenty windows to where the last refusal
    came. It grows only while it is used. Latency never drives it. Times are seconds.
    """

    def __init__(self, most: int, now: float) -> None:
        self._most = most
        self._doubles_to = float(most)
        self._ceiling = math.inf
        self._answered = 0
        self._used = False
        self._burst_ends = 0
        self._patience = PATIENT_WINDOWS
        self._answering = False
        """Whether anything was answered since the latest reduction: who refuses all says nothing of the number."""
        self._trial = Trial(now)
        self.limit = min(FIRST_WINDOW, most)

    @property
    def at_ceiling(self) -> bool:
        """Whether about as many as now were refused before."""
        return self.limit >= (1 - STEP) * self._ceiling

    def answered(self, in_flight: int) -> None:
        """Note an answer, `in_flight` being how many were out, this one included."""
        self._trial.answers += 1
        self._answering = True
        if self.limit == self._most:
            return
        # of a full window all answers count in slow start, though they come one by one and slots stay empty
        if in_flight < self.limit and not (self._used and self.limit < self._doubles_to):
            return
        self._answered += 1
        self._used = self._answered % self.limit != 0
        if self._answered < self.limit:
            return
        if self.limit < self._doubles_to:
            self._set(min(2 * self.limit, self._doubles_to))
            return
        step = max(1.0, STEP * self.limit)
        to_ceiling = (self._ceiling - self.limit) / 2
        if to_ceiling >= max(1.0, NEAR * self.limit):
            self._set(self.limit + min(step, to_ceiling))
        elif self._answered >= self._patience * max(PATIENT_ANSWERS / PATIENT_WINDOWS, self.limit):
            self._patience = max(1, self._patience // 2)  # it may have been of that moment only
            self._set(self.limit + step)
            self._ceiling = self.limit + 2 * step

    def refused(self, number: int, started: int, now: float, *, bearable: bool) -> bool:
        """Note that request `number` was refused for load, `started` having been sent by now.

        False: half as many were refused as often, and refusals are `bearable`, so that the number is not the reason;
        it grows back.
        """
        if number < self._burst_ends or not self._answering:
            return True
        limit, before = self.limit, self._trial.before
        if self._trial.in_vain(limit, now) and bearable:
            self._ceiling = math.inf
            self._doubles_to = before
            return False
        self._give_way(number, started, 1 - STEP if bearable else 0.5)
        self._ceiling = limit
        self._patience = PATIENT_WINDOWS
        return True

    def slow_down(self, number: int, started: int) -> None:
        """Note that the growth was too fast for the provider: half is kept, and the way back is patient."""
        if self._give_way(number, started, 0.5):
            self._ceiling = self.limit

    def timed_out(self, number: int, started: int) -> None:
        """Note that request `number` was given up. It may have been too many, or a model that is slow today."""
        self._give_way(number, started, 1 - STEP)

    def restart(self, first: int = FIRST_WINDOW) -> None:
        """Begin anew, after an outage or a long pause, doubling up to what was in use before it."""
        self._doubles_to = max(self.limit, self._doubles_to)
        self._set(min(first, self.limit))

    def _give_way(self, number: int, started: int, share: float) -> bool:
        """Keep this share of the limit, once for all that were out together."""
        if number < self._burst_ends:
            return False
        self._burst_ends = started
        self._answering = False
        self._set(self.limit * share)
        self._doubles_to = self.limit
        return True

    def _set(self, limit: float) -> None:
        self.limit = max(1, min(int(limit), self._most))
        self._answered = 0
        self._used = False
