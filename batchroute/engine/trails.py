"""A record on its way: what was admitted, and what became of it so far."""

from typing import Any

from msgspec import Struct

from batchroute.core.attempts import Attempt
from batchroute.core.records import Fault, Labels
from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response
from batchroute.core.results import NOTHING_SPENT, Result, Totals
from batchroute.engine.pools import Pool, Slot
from batchroute.routing.forms import Formed
from batchroute.routing.suspicions import Suspicion
from batchroute.routing.verdicts import counts

ENOUGH_WITNESSES = 2
"""Models that fail with a record and answer others: then it is the record, although each failed only once."""


class Place(Struct, frozen=True, array_like=True, gc=False):
    """A record's place among those that were read with it, as requests that begin alike are sent near one another.

    `prefix` is how its own begins, where another one begins so; `turn` is the seq of the record that stood there.
    """

    prefix: int | None
    turn: int


class Admitted(Struct, frozen=True, array_like=True, gc=False):
    """A record that is ready to be sent: what is left of it once it was read, classified and rendered.

    `carried` is what attempts of earlier runs add up to, `kept` the values of the carried input columns,
    `fingerprint` that of the request. Of a record that was answered before, `paid` is what had been spent on it then, in
    picodollars: that is no part of `carried`, as it is no part of what the next answer may cost.
    `head` is the model in whose share of the window it counts. `variant` is what its own wishes have made of its route;
    empty: it is as declared. `tail` makes a digest of its fingerprint; None: it shares no answer with another record.
    `repeats`: whether an equal one was read before it, or seems so. `place` is where it is sent, if that is not where it
    was read.
    """

    seq: int
    record_id: str
    labels: Labels
    route: str
    models: tuple[str, ...]
    head: str
    request: Request
    kept: dict[str, Any]
    carried: Totals = NOTHING_SPENT
    fingerprint: int | None = None
    paid: int = 0
    variant: str = ""
    tail: int | None = None
    repeats: bool = False
    place: Place | None = None

    @property
    def turn(self) -> int:
        """Whose turn it is before whose: the lower one's."""
        return self.seq if self.place is None else self.place.turn

    @property
    def lineup(self) -> str:
        """What decides in which order it tries its models, by name."""
        return self.variant or self.route


class Kept(Struct, frozen=True, kw_only=True):
    """An answer that checks refused, and how many of them; `score` is the judge's where it was asked."""

    model: str
    provider: str
    response: Response
    latency_s: float
    refusals: int
    score: float | None = None

    def at_least(self, other: "Kept") -> bool:
        """Whether it is as good as another one, by the number of refusals, then by the score."""
        return (self.refusals, -(self.score or 0.0)) <= (other.refusals, -(other.score or 0.0))


class Old(Struct, frozen=True):
    """An answer from the cache, and the declared model that gave it."""

    model: str
    provider: str
    response: Response


class Exchange(Struct):
    """A request and how it ended, `latency_s` seconds after it was sent."""

    slot: Slot
    attempt: Attempt
    request: Request
    outcome: Outcome
    latency_s: float
    outrun: "Exchange | None" = None
    """The same request sent twice: the one that does not count."""
    reserved: int = 0
    """What was set aside for the second one, picodollars."""


class Trail(Struct):
    """A record in motion: what was tried for it, and what that has cost."""

    record: Admitted
    totals: Totals
    """Its attempts so far, and what they have cost since it was answered last."""
    models: tuple[str, ...]
    """The models that may answer it, in the order in which they are tried."""
    request: Request
    """What is sent next, with more room than was asked for once an answer did not fit."""
    asked: Request
    """The same as the model takes it whose turn it is."""
    tries: dict[str, int] = {}
    """Counted attempts by model."""
    errors: dict[ErrorType, int] = {}
    """All that failed, by error type."""
    spent: frozenset[str] = frozenset()
    """The models that cannot help this record."""
    held_against: tuple[str, ...] = ()
    """The models whose health has suffered from its failures."""
    stay: str | None = None
    """The model that is tried again, after a delay."""
    affordable: bool = True
    """Whether that was within the model's budget of retries."""
    late: int = 0
    """How often it came back late, its tries being over and its models being doubted."""
    too_dear: bool = False
    """Whether a model was passed over as it may cost more than a record may."""
    reserved: int = 0
    """What is set aside for its next request, picodollars."""
    unaffordable: bool = False
    """Whether it waits for a larger budget."""
    misfit: Fault | None = None
    """Why no model of the route may be asked."""
    suspicion: Suspicion | None = None
    failure: Failure | None = None
    failed: Pool | None = None
    """Where the latest failure came from."""
    best: Kept | None = None
    """The best answer that was refused, where one of those is better than none."""
    judged: Exchange | None = None
    """The answer that a judge has the last word on."""
    settled: int = 0
    """What an answer that is being judged has cost, picodollars: spent, and not yet in the ledger."""
    form: Formed | None = None
    """What its answer has to be; None for any text."""
    repairing: bool = False
    """Whether the next request sends an answer back."""
    repaired: frozenset[str] = frozenset()
    """The models that were sent an answer of theirs back."""
    old: Old | None = None
    """What was found for it in the cache, once no model was left to ask."""
    result: Result | None = None
    """What it came to."""

    def keep(self, kept: Kept) -> None:
        """Remember a refused answer if none before it was better."""
        if self.best is None or kept.at_least(self.best):
            self.best = kept

    @classmethod
    def of(cls, record: Admitted) -> "Trail":
        """The beginning of a record's way."""
        return cls(record, record.carried, record.models, record.request, record.request)

    @property
    def in_all(self) -> Totals:
        """What all attempts of the record add up to, those for earlier answers included."""
        return self.totals.costing(self.record.paid) if self.record.paid else self.totals

    @property
    def suspect(self) -> bool:
        """Whether what fails is this record."""
        return self.suspicion is not None and self.suspicion.grounded

    @property
    def enlarged(self) -> bool:
        """Whether more room for the answer was asked for than the job says."""
        return self.request is not self.record.request

    @property
    def failed_over(self) -> bool:
        """Whether the record is at its end, and its first choice could not answer it: it failed, or was passed over
        as it is down.
        """
        result = self.result
        if result is None or result.totals.failovers:
            return result is not None
        if result.model is None or not self.models or result.model == self.models[0]:
            return False
        return not (result.totals.escalations or self.too_dear)

    def counts(self, failure: Failure) -> bool:
        """Whether the attempt that ended so is one of the few that a record has."""
        return counts(failure.error_type, self.errors[failure.error_type])

    def fault(self) -> Fault:
        """Why the record has no answer, if it ends here."""
        if self.misfit is not None:
            return self.misfit
        if self.too_dear and (self.failure is None or self.failed is None):
            return Fault("budget_record", "every model of the route may cost more than budget.per_record_usd")
        if self.failure is None or self.failed is None:
            return Fault("no_model", "every model of the route is out for the rest of the run")
        told = f"{self.failed.spec.model}: {self.failure.message}"
        witnesses = self.suspicion.witnesses() if self.suspicion is not None else []
        if len(witnesses) < (1 if self.suspect else ENOUGH_WITNESSES):
            return Fault(self.failure.error_type, told)
        return Fault(
            "poison_record",
            f"fails again and again, while others are answered by {' and '.join(witnesses)}; "
            f"{self.failure.error_type} of {told}",
        )
