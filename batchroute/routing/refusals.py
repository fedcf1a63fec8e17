"""Whether requests are refused because there are too many of them."""

BORNE = 0.02
"""Share of requests that may be refused before their number is taken for the reason."""
ALARMING = 0.05
"""Share from which on the others are held back, too."""
MOST_BORNE = 0.25
"""Share that may be found to be no matter of load."""
RECONSIDERED_AFTER = 5000
"""Answers after which what is borne is tried anew."""
_MEMORY = 100
"""Requests after which one counts a third in the share."""
_CALM = 20
"""So many refusals that were to be expected and did not come: what was borne is over."""
ENOUGH = 20
"""Answers before anything is concluded from their number."""
_IN_PROPORTION = 0.65
"""What half as many requests get answered of what all got, if their number was not the reason."""


class Refusals:
    """The share of requests that is refused, and how much of it is borne: taken to be no matter of load."""

    def __init__(self) -> None:
        self._share = 0.0
        self._borne = 0.0
        self._calm = 0
        self._answers = 0

    def answered(self) -> None:
        """Note an answer."""
        if self._share:
            self._share -= self._share / _MEMORY
            self._calm += 1
            self._answers += 1
            if self._calm * self._borne > _CALM or self._answers > RECONSIDERED_AFTER:
                self._borne = 0.0

    def refused(self, *, at_ceiling: bool) -> bool:
        """Note a refusal; True if it is borne. `at_ceiling`: as many were refused before."""
        self._share += (1.0 - self._share) / _MEMORY
        self._calm = 0
        if self._borne:
            return self._share <= self._borne
        return self._share <= BORNE and not at_ceiling

    @property
    def alarming(self) -> bool:
        """Whether so many are refused that the model needs a rest."""
        return self._share > max(ALARMING, self._borne)

    @property
    def bearable(self) -> bool:
        """Whether so few are refused that it may be no matter of load."""
        return self._share <= MOST_BORNE

    def bear(self) -> None:
        """Fewer requests changed nothing: as many refusals, and some more, are borne from now on."""
        self._borne = 2 * self._share
        self._answers = 0


class Trial:
    """Whether less helps. What a provider limits is answered as much as before when half is asked; if
    the answers fall in proportion, it refuses for other reasons. Times are seconds.
    """

    def __init__(self, now: float) -> None:
        self._before = (0.0, 0.0)
        """What was allowed, and the answers a second under it."""
        self.answers = 0
        """Since the last reduction."""
        self._since = now

    def answered(self) -> None:
        """Note an answer."""
        self.answers += 1

    def in_vain(self, allowed: float, now: float) -> bool:
        """Note that so much is going to be reduced; True if what was reduced before has not helped."""
        if self.answers < ENOUGH:
            return False
        lately = self.lately(now)
        before, per_s = self._before
        self.answers, self._since = 0, now
        if allowed > before / 2:
            if allowed > before:
                self._before = (allowed, lately)
            return False
        in_vain = lately <= _IN_PROPORTION * per_s
        self._before = (0.0, 0.0) if in_vain else (allowed, lately)
        return in_vain

    def lately(self, now: float) -> float:
        """Answers a second since the last reduction."""
        return self.answers / max(now - self._since, 1e-3)

    @property
    def before(self) -> float:
        """What was allowed before it was halved."""
        return self._before[0]
