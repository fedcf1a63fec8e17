"""What a request asks of whom, in eight bytes: they tell later whether an answer is still the one that is wanted."""

import functools
import hashlib
import json
from collections.abc import Mapping

from batchroute.core.requests import Request

BYTES = 8


class Fingerprints:
    """Fingerprints of requests on the way to the models of their route.

    Two are equal when the messages, the parameters (in any order) and the models that are tried (as their providers
    know them, in order) are. What routes and models are called in the job, and which labels a record has, is no
    matter: it changes no answer. `known_as` tells of every declared model what it is.
    """

    def __init__(self, known_as: Mapping[str, object]) -> None:
        self._known_as = known_as
        self._begun: dict[tuple[str, ...], hashlib.blake2b] = {}

    def of(self, request: Request, models: tuple[str, ...]) -> int:
        """The fingerprint, signed as SQLite's integers are."""
        digest = (self._begun.get(models) or self._begin(models)).copy()
        digest.update(request.messages)
        digest.update(_sorted(request.params))
        return int.from_bytes(digest.digest(), "little", signed=True)

    def _begin(self, models: tuple[str, ...]) -> hashlib.blake2b:
        asked = json.dumps([self._known_as[model] for model in models])
        begun = self._begun[models] = hashlib.blake2b(asked.encode(), digest_size=BYTES)
        return begun


@functools.lru_cache(maxsize=64)
def _sorted(params: bytes) -> bytes:
    """Parameters in one order. Those of the job are the same for all records."""
    return json.dumps(json.loads(b"{%b}" % params[1:]), sort_keys=True).encode()
