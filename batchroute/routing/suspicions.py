"""Whether what fails is the record or the models that it went to."""

import math
from collections.abc import Callable

from batchroute.routing.verdicts import MAX_TRIES_PER_MODEL

BY_CHANCE = 0.03
"""How probable it may be at most that models which fail others, too, have failed so often with one record by chance."""


class Suspicion:
    """What the models that failed with one record did for others meanwhile.

    A model that answers requests that were sent later than its failure is not down. If it failed with the record more
    than once, the record is what fails: all its attempts count, and the model's health does not suffer from it.
    `answered` tells of a model how many requests had been sent with the latest that it answered, `failing` which share
    of its latest requests failed.
    """

    __slots__ = ("_again", "_answered", "_failing", "_failures", "_sent", "grounded")

    def __init__(self, answered: Callable[[str], int], failing: Callable[[str], float]) -> None:
        self._answered = answered
        self._failing = failing
        self._sent: dict[str, int] = {}
        self._failures: dict[str, int] = {}
        self._again: dict[str, int] = {}
        self.grounded = False
        """Whether it is the record that fails."""

    def failed(self, model: str, sent: int) -> None:
        """Note that a model failed with the record, having been sent so many requests by now."""
        if self._answers_others(model):
            self._again[model] = self._again.get(model, 0) + 1
        self._failures[model] = self._failures.get(model, 0) + 1
        self.grounded = self.grounded or any(
            failures > 1 and self._answers_others(failed) for failed, failures in self._failures.items()
        )
        self._sent[model] = sent

    def exhausted(self, model: str) -> bool:
        """Whether the model failed with the record and answered others in between, as often as anyone may try."""
        return self._again.get(model, 0) >= MAX_TRIES_PER_MODEL - 1

    def witnesses(self) -> list[str]:
        """The models that failed with the record and have answered others since; none where that may be chance."""
        found = [model for model in self._failures if self._again.get(model) or self._answers_others(model)]
        chance = math.prod(self._failing(model) ** self._failures[model] for model in found)
        return found if chance <= BY_CHANCE else []

    def _answers_others(self, model: str) -> bool:
        return model in self._sent and self._answered(model) > self._sent[model]
