"""How many requests a model is sent at once, found by trying: slow start, careful growth, gentle decrease."""

import math

FIRST_WINDOW = 4
STEP = 0.1
"""What a full window of answers adds, and what a refusal for load takes."""
PATIENT_WINDOWS = 30
"""Full windows before another step to where the last refusal came."""


class Ramp:
    """The number of requests that may be in flight, between one and `most`.

    It begins at four and doubles each time as many have been answered, so that a fast server is at full speed
    within milliseconds and a slow one is not run over. The first refusal for load ends the doubling: a tenth
    less, once for all that were out together; then a tenth more for each full window, and only after thirty of
    them to where the last refusal came. It grows only while it is used. Latency never drives it.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._doubles_to = float(most)
        self._ceiling = math.inf
        self._answered = 0
        self._used = False
        self._burst_ends = 0
        self.limit = min(FIRST_WINDOW, most)

    def answered(self, in_flight: int) -> None:
        """Note an answer, `in_flight` being how many were out, this one included."""
        # of a full window all answers count in slow start, though they come one by one and slots stay empty
        used = in_flight >= self.limit or (self._used and self.limit < self._doubles_to)
        if self.limit == self._most or not used:
            return
        self._answered += 1
        self._used = self._answered % self.limit != 0
        if self._answered < self.limit:
            return
        if self.limit < self._doubles_to:
            self._set(min(2 * self.limit, self._doubles_to))
            return
        step = max(1.0, STEP * self.limit)
        if self.limit + step < self._ceiling:
            self._set(self.limit + step)
        elif self._answered >= PATIENT_WINDOWS * self.limit:
            self._ceiling = math.inf  # it may have been of that moment only
            self._set(self.limit + step)

    def refused(self, number: int, started: int, *, gently: bool = False) -> None:
        """Note that request `number` was refused for load, `started` having been sent by now.

        `gently`: the provider says that the growth was too fast; half is kept, and the way back is patient.
        """
        before = self.limit
        if not self._give_way(number, started, 0.5 if gently else 1 - STEP):
            return
        if gently:
            self._ceiling = self.limit
        elif before > FIRST_WINDOW:  # with so few it is a quota that was used up, not their number
            self._ceiling = before

    def timed_out(self, number: int, started: int) -> None:
        """Note that request `number` was given up. It may have been too many, or a model that is slow today."""
        self._give_way(number, started, 1 - STEP)

    def _give_way(self, number: int, started: int, share: float) -> bool:
        """Keep this share of the limit, once for all that were out together."""
        if number < self._burst_ends:
            return False
        self._burst_ends = started
        self._set(self.limit * share)
        self._doubles_to = self.limit
        return True

    def restart(self, first: int = FIRST_WINDOW) -> None:
        """Begin anew, after an outage or a long pause, doubling up to what was in use before it."""
        self._doubles_to = max(self.limit, self._doubles_to)
        self._set(min(first, self.limit))

    def _set(self, limit: float) -> None:
        self.limit = max(1, min(int(limit), self._most))
        self._answered = 0
        self._used = False
