"""The protocol behind which every provider stands."""

from typing import Protocol

from batchroute.core.requests import Request
from batchroute.core.responses import Outcome


class Provider(Protocol):
    """An endpoint and an account."""

    async def send(self, request: Request, model: str, *, timeout_s: float) -> Outcome:
        """Send one request to the model of this name, once.

        Returns within about `timeout_s` seconds of wall clock, with a Response or a Failure; raises only
        CancelledError. No redirect is followed and nothing is retried.
        """

    async def close(self) -> None:
        """Close the connections. The provider is not used afterwards."""
