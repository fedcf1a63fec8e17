"""What a request asks of whom, in sixteen bytes: they tell which requests are equal, and the first eight of them tell
later whether an answer is still the one that is wanted.
"""

import hashlib
import json
from collections.abc import Mapping
from struct import Struct as Layout
from typing import Final, TypeAlias

from batchroute.core.requests import Request
from batchroute.routing.adapters import Adapter

BYTES: Final = 16
EARLIER_BYTES: Final = 8
"""Versions that knew no equal requests hashed to as many: the same text has another fingerprint of theirs."""
TEMPERATURE: Final = "temperature"

_halves: Final = Layout("<qq").unpack
_SALT_BYTES: Final = 8

Tried: TypeAlias = tuple[str | tuple[str, ...], ...]
"""The models that a record tries, in order; those in a tuple of their own stand for one another."""

Digest: TypeAlias = tuple[int, int]
"""A fingerprint, and 64 bits more: requests that have both in common are taken for equal."""


class Fingerprints:
    """Fingerprints of requests on the way to the models of their route.

    Two are equal when the messages, the parameters (in any order) and the models that are tried (as their providers
    know them, in order) are, and what each of them is sent in place of the request, and what the answer has to be. What routes and models are called
    in the job, and which labels a record has, is no matter: it changes no answer. `known_as` tells of every declared
    model what it is, `adapters` has those that differ. `dedupe`: whether equal requests share an answer; None: unless
    a temperature above 0 says that their answers are to differ.
    """

    def __init__(
        self,
        known_as: Mapping[str, object],
        adapters: Mapping[str, Adapter] | None = None,
        *,
        dedupe: bool | None = False,
    ) -> None:
        self._known_as = known_as
        self._adapters = adapters or {}
        self._dedupe = dedupe
        self._begun: dict[tuple[Tried, bytes, str, str], tuple[hashlib.blake2b, int | None]] = {}
        """What the records of a route have in common; kept where the parameters are the job's."""

    def of(self, request: Request, models: Tried, form: str = "") -> int:
        """The fingerprint, signed as SQLite's integers are. `form` tells what the answer has to be."""
        return self.digest(request, models, form, "")[0]

    def digest(self, request: Request, models: Tried, form: str, route: str) -> tuple[int, int | None]:
        """The fingerprint, and what makes a digest of it: the same for the requests that share an answer, which are
        those of a route, as each asks of an answer what it likes. None: this one shares none.
        """
        key = (models, request.params, form, route)
        found = self._begun.get(key)
        if found is None:
            asked = self._asked(request, models, form)
            found = hashlib.blake2b(asked, digest_size=BYTES), self._salt(request, route)
            if not request.own_params:
                self._begun[key] = found
        begun, salt = found
        digest = begun.copy()
        digest.update(request.messages)
        fingerprint, tail = _halves(digest.digest())
        return fingerprint, None if salt is None else tail ^ salt

    def answers(self, stored: int | None, request: Request, models: Tried, form: str = "") -> bool:
        """Whether this is the fingerprint that was stored with an answer, perhaps by an earlier version."""
        return stored == self.of(request, models, form) or stored == self.earlier(request, models, form)

    def earlier(self, request: Request, models: Tried, form: str = "") -> int:
        """The fingerprint as earlier versions have stored it."""
        digest = hashlib.blake2b(self._asked(request, models, form), digest_size=EARLIER_BYTES)
        digest.update(request.messages)
        return int.from_bytes(digest.digest(), "little", signed=True)

    def _asked(self, request: Request, models: Tried, form: str) -> bytes:
        params = json.loads(b"{%b}" % request.params[1:])
        told = [[self._told(model, params) for model in models], params]
        return json.dumps([*told, form] if form else told, sort_keys=True).encode()

    def _salt(self, request: Request, route: str) -> int | None:
        """What tells the requests of a route from those of others; None where they share no answers."""
        if not shares(self._dedupe, json.loads(b"{%b}" % request.params[1:])):
            return None
        hashed = hashlib.blake2b(route.encode(), digest_size=_SALT_BYTES).digest()
        return int.from_bytes(hashed, "little", signed=True)

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


def shares(dedupe: bool | None, params: Mapping[str, object]) -> bool:
    """Whether equal requests with these parameters share an answer: as the job says, else unless answers are to be drawn
    rather than to be the likeliest.
    """
    if dedupe is not None:
        return dedupe
    temperature = params.get(TEMPERATURE)
    return not (isinstance(temperature, int | float) and temperature > 0)
