"""What a provider's headers say is left of one of its limits, requests or tokens."""

LONGEST_BELIEVED_S = 900.0
"""After this long it is asked anew what is left, whatever was told."""
TOGETHER_S = 0.02
"""What comes back in so long a time is given out together."""


class Quota:
    """The provider's own bucket, kept beside it: set by every response, reduced by every start, refilled evenly.

    Its headers tell of other programs under the same key too. Times are seconds on the event loop's clock.
    """

    def __init__(self) -> None:
        self._left = 0.0
        self._per_s = 0.0
        self._at = 0.0
        self._whole_at = 0.0
        """When all is back, and nothing is known any more."""

    def hear(
        self,
        limit: int | None,
        remaining: int | None,
        reset_s: float | None,
        *,
        out: int,
        need: int,
        asked_at: float,
    ) -> None:
        """Take in the headers of one response, `out` being what was sent after its request.

        `reset_s` is when the limit will be whole again; it is taken to come back evenly since the request was
        sent at `asked_at`, as what was sent after it is taken off. What is not told changes nothing.
        """
        if remaining is None or reset_s is None:
            return
        self._left = float(remaining - out)
        self._per_s = max(1, (limit or need) - remaining) / reset_s
        self._at = asked_at
        self._whole_at = asked_at + min(reset_s, LONGEST_BELIEVED_S)

    def start(self, need: int) -> None:
        """Take off what a request needs."""
        self._left -= need

    def opens_at(self, need: int, now: float) -> float:
        """When there is room for a request: 0 where there is, or where nothing is known."""
        if now >= self._whole_at:
            return 0.0
        missing = need - self._left - (now - self._at) * self._per_s
        if missing <= 0:
            return 0.0
        return min(self._whole_at, now + missing / self._per_s + TOGETHER_S)
