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
        """Note that request `number` was refused for load or timed out, `started` having been sent by now.

        `gently`: the provider says that the growth was too fast; half is kept, and the way back is patient.
        """
        if number < self._burst_ends:
            return  # it was out when the limit came down for the others
        self._burst_ends = started
        if self.limit > FIRST_WINDOW:  # with so few it is a quota that was used up, not their number
            self._ceiling = self.limit
        self._set(self.limit * (0.5 if gently else 1 - STEP))
        self._doubles_to = self.limit
        if gently:
            self._ceiling = self.limit

    def restart(self, first: int = FIRST_WINDOW) -> None:
        """Begin anew, after an outage or a long pause, doubling up to what was in use before it."""
        self._doubles_to = max(self.limit, self._doubles_to)
        self._set(min(first, self.limit))

    def _set(self, limit: float) -> None:
        self.limit = max(1, min(int(limit), self._most))
        self._answered = 0
        self._used = False
