"""How many tokens requests to one model have, before they are sent: by script, corrected by what the model told."""

from typing import Final

from batchroute.core.requests import TOKENS_PER_IMAGE, Request
from batchroute.core.tokens import tokens_of
from batchroute.routing.fits import output_tokens, without_images

REMEMBERED: Final = 200
"""Answers after which the earlier ones count less and less."""
_SOONER: Final = 20
_EVERY: Final = 8
"""After the first `_SOONER` one answer in so many is enough to follow a change."""


def sent_tokens(request: Request) -> int:
    """About how many tokens are sent, to any model; an image counts by itself and not by the size of its file."""
    text, images = without_images(request.messages)
    return tokens_of(text) + TOKENS_PER_IMAGE * images


class Estimator:
    """The estimates of one model. `ratio` is how many tokens it told for each one that was estimated."""

    __slots__ = ("_answers", "_estimated", "_told", "ratio")

    def __init__(self) -> None:
        self.ratio = 1.0
        self._answers = 0
        self._estimated = self._told = 0.0

    def input_tokens(self, request: Request) -> int:
        """About how many tokens this model will count as input."""
        return round(self.ratio * sent_tokens(request))

    def all_tokens(self, request: Request) -> int:
        """The same, with as many tokens of output as are allowed."""
        return self.input_tokens(request) + output_tokens(request)

    def learn(self, request: Request, told: int) -> None:
        """Take in what an answer told of the tokens of its request."""
        self._answers += 1
        if self._answers > _SOONER and self._answers % _EVERY:
            return
        fading = 1 - _EVERY / REMEMBERED if self._answers > REMEMBERED else 1.0
        self._estimated = fading * self._estimated + sent_tokens(request)
        self._told = fading * self._told + told
        self.ratio = self._told / self._estimated
