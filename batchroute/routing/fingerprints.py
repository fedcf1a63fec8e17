"""What a request asks of whom, in eight bytes: they tell later whether an answer is still the one that is wanted."""

import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

from batchroute.core.requests import Request
from batchroute.routing.adapters import Adapter

BYTES = 8
DIGEST_BYTES = 16
"""Of a digest: two requests that have it in common are taken for equal."""

Tried: TypeAlias = tuple[str | tuple[str, ...], ...]
"""The models that a record tries, in order; those in a tuple of their own stand for one another."""


class Fingerprints:
    """Fingerprints of requests on the way to the models of their route.

    Two are equal when the messages, the parameters (in any order) and the models that are tried (as their providers
    know them, in order) are, and what each of them is sent in place of the request. What routes and models are called
    in the job, and which labels a record has, is no matter: it changes no answer. `known_as` tells of every declared
    model what it is, `adapters` has those that differ.
    """

    def __init__(self, known_as: Mapping[str, object], adapters: Mapping[str, Adapter] | None = None) -> None:
        self._known_as = known_as
        self._adapters = adapters or {}
        self._begun: dict[tuple[Tried, bytes], hashlib.blake2b] = {}
        self._digests: dict[tuple[str, Tried, bytes], hashlib.blake2b] = {}

    def of(self, request: Request, models: Tried) -> int:
        """The fingerprint, signed as SQLite's integers are."""
        begun = self._begun.get((models, request.params))
        digest = self._begin(request, models) if begun is None else begun.copy()
        digest.update(request.messages)
        return int.from_bytes(digest.digest(), "little", signed=True)

    def digest(self, request: Request, models: Tried, route: str) -> bytes:
        """What tells requests apart that may share an answer: the same as a fingerprint, and the route."""
        begun = self._digests.get((route, models, request.params))
        if begun is None:
            asked = f"{route}\n{self._asked(request, models)}"
            begun = hashlib.blake2b(asked.encode(), digest_size=DIGEST_BYTES)
            if not request.own_params:
                self._digests[route, models, request.params] = begun
        digest = begun.copy()
        digest.update(request.messages)
        return digest.digest()

    def _begin(self, request: Request, models: Tried) -> hashlib.blake2b:
        """What the records of a route have in common; kept where the parameters are the job's."""
        begun = hashlib.blake2b(self._asked(request, models).encode(), digest_size=BYTES)
        if not request.own_params:
            self._begun[models, request.params] = begun.copy()
        return begun

    def _asked(self, request: Request, models: Tried) -> str:
        params = json.loads(b"{%b}" % request.params[1:])
        return json.dumps([[self._told(model, params) for model in models], params], sort_keys=True)

    def _told(self, model: str | tuple[str, ...], params: dict[str, object]) -> object:
        """Who is asked, and for what if it is not sent what the others are: an adapter that changes nothing tells
        nothing. Of models that stand for one another the order tells nothing either.
        """
        if isinstance(model, tuple):
            return {"any": sorted((self._told(each, params) for each in model), key=json.dumps)}
        known_as, adapter = self._known_as[model], self._adapters.get(model)
        if adapter is None:
            return known_as
        sent = adapter.params(params)
        return known_as if sent == params and not adapter.words else [known_as, sent, adapter.words]
