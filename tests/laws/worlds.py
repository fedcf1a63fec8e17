"""Worlds for the laws: an input, a job and models with their moods, all drawn by hypothesis.

A world is a value, printed whole when a law fails. Its models remember how often a record came to them, also
from one run to the next, as a provider would.
"""

import json
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from msgspec import structs

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure, Outcome, RateLimits, Response, Usage
from batchroute.routing.verdicts import POLICIES, Effect
from tests.fakes import Script, Sent

T = TypeVar("T")

MODELS = ("a", "b", "c")
TIMEOUT_S = 45.0

UNSENT = frozenset(
    {
        ErrorType.DNS_FAILURE,
        ErrorType.DNS_TIMEOUT,
        ErrorType.CONNECT_REFUSED,
        ErrorType.CONNECT_TIMEOUT,
        ErrorType.NETWORK_UNREACHABLE,
        ErrorType.LOCAL_RESOURCE,
    }
)
LOST = frozenset({ErrorType.CONNECTION_LOST, ErrorType.BODY_TRUNCATED, ErrorType.ATTEMPT_TIMEOUT})
OUR_WORDS = frozenset(
    {
        *(kind for kind, policy in POLICIES.items() if policy.checked or policy.repair),
        ErrorType.UNKNOWN_OUTCOME,
        ErrorType.CANCELLED_BY_RUN,
        ErrorType.LOCAL_NETWORK_DOWN,
    }
)
"""What a run says of itself, and no provider."""
UNWELL = tuple(
    kind
    for kind, policy in POLICIES.items()
    if policy.effect is Effect.FAILED and not policy.dead and kind not in OUR_WORDS
)
LIMITED = tuple(
    kind for kind, policy in POLICIES.items() if policy.effect is Effect.PAUSE and policy.strikes is None
)
REFUSED = tuple(kind for kind, policy in POLICIES.items() if policy.dead and kind not in OUR_WORDS)
OURS = tuple(
    kind for kind, policy in POLICIES.items() if policy.effect is Effect.PAUSE_ALL and kind not in OUR_WORDS
)
OUT = tuple(
    kind
    for kind, policy in POLICIES.items()
    if policy.effect in {Effect.DISABLE_MODEL, Effect.DISABLE_PROVIDER}
)
STAYS_WITH_THE_RECORD = frozenset({ErrorType.BAD_REQUEST, ErrorType.UNPROCESSABLE, ErrorType.UNEXPECTED_4XX})
"""No other model would take such a record."""
MOST_BLOCKS = 2
"""What two content filters block is not asked of a third."""
ELSEWHERE_FINE = (ErrorType.CONTEXT_EXCEEDED, ErrorType.REQUEST_TOO_LARGE, ErrorType.CONTENT_BLOCKED)
"""Refusals after one try each, so that a record always has tries left for the model that takes it."""


@dataclass(frozen=True, slots=True)
class Mood:
    """How a model fails: of which type, how soon, and when it wishes to be asked again."""

    error_type: ErrorType
    after_s: float = 0.1
    retry_after_s: float | None = None

    def failure(self) -> Failure:
        answered = POLICIES[self.error_type].refused
        silent = self.error_type in UNSENT | LOST
        return Failure(
            error_type=self.error_type,
            message=f"scripted {self.error_type}",
            sent=answered or self.error_type in LOST,
            http_status=None if silent else 200 if answered else 500,
            retry_after_s=self.retry_after_s,
            usage=Usage(input_tokens=9, output_tokens=1) if answered else None,
        )


@dataclass(frozen=True, slots=True)
class Spell:
    """A time in which a model answers nobody. Seconds on the run's clock."""

    start: float
    length: float
    mood: Mood


@dataclass(frozen=True, slots=True)
class Quota:
    """How many requests a provider takes: `burst` at once, and `per_s` more each second."""

    burst: int
    per_s: float
    tells: str = ""
    """`wish`: when to come back, with a refusal; `headers`: what is left, with every reply; else nothing."""


class Meter:
    """A quota as it is used up."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._left = float(quota.burst)
        self._at = 0.0

    def admit(self, at: float) -> bool:
        """Whether there is room for a request. A time before the last one is another run's."""
        refill = max(0.0, at - self._at) * self._quota.per_s
        self._left, self._at = min(self._quota.burst, self._left + refill), at
        admitted = self._left >= 1
        self._left -= admitted
        return admitted

    def told(self, outcome: Outcome) -> Outcome:
        """The outcome with what this provider says of its quota."""
        quota = self._quota
        if quota.tells == "wish" and isinstance(outcome, Failure):
            return structs.replace(outcome, retry_after_s=(1 - self._left) / quota.per_s)
        if quota.tells == "headers":
            left = RateLimits(
                limit_requests=quota.burst,
                remaining_requests=int(self._left),
                reset_requests=(quota.burst - self._left) / quota.per_s,
            )
            return structs.replace(outcome, rate_limits=left)
        return outcome


@dataclass(frozen=True, kw_only=True)
class Model:
    """A declared model and its ways. Prices are USD per million tokens; None is unknown."""

    provider: str = "p"
    concurrency: int = 4
    rpm: int | None = None
    tpm: int | None = None
    price: tuple[str, str] | None = ("1", "2")
    latencies: tuple[float, ...] = (0.1,)
    spells: tuple[Spell, ...] = ()
    hiccups: Mapping[int, tuple[Mood, ...]] = field(default_factory=dict)
    """What each record meets at its first requests, by the record's number."""
    refused: Mapping[int, ErrorType] = field(default_factory=dict)
    """Records that this model never answers."""
    poor: frozenset[int] = frozenset()
    """Records whose answers the checks of their route refuse."""
    room: int | None = None
    """How many requests at once its provider really takes."""
    quota: Quota | None = None

    def declared(self, name: str) -> dict[str, Any]:
        limits = {"concurrency": self.concurrency, "rpm": self.rpm, "tpm": self.tpm}
        price = (
            None
            if self.price is None
            else {"input": Decimal(self.price[0]), "output": Decimal(self.price[1])}
        )
        return {
            "provider": self.provider,
            "model": name,
            "timeout": f"{TIMEOUT_S:g}s",
            "limits": {key: value for key, value in limits.items() if value is not None},
            **({} if price is None else {"price": price}),
        }


@dataclass(frozen=True, kw_only=True)
class World:
    """An input of `count` places, of which `odd` ones hold no record that can be sent, and who answers."""

    count: int
    odd: Mapping[int, str] = field(default_factory=dict)
    files: int = 1
    models: Mapping[str, Model] = field(default_factory=lambda: {"a": Model()})
    routes: tuple[tuple[str, ...], ...] = (("a",),)
    """The models of the default route, and of that for every third record, if there are two."""
    blackouts: tuple[Spell, ...] = ()
    """Times in which no model can be reached."""
    keep_best: bool = False
    last_resort: bool = False
    window: int | None = None
    part_records: int = 1000
    seed: int = 0

    def write(self, folder: Path) -> None:
        """The input as JSONL files below folder/in."""
        (folder / "in").mkdir(parents=True)
        size = -(-self.count // self.files)
        for start in range(0, self.count, size):
            lines = [self._line(number) for number in range(start, min(start + size, self.count))]
            (folder / "in" / f"{start:03}.jsonl").write_text("\n".join(lines) + "\n")

    def _line(self, number: int) -> str:
        record: dict[str, Any] = {
            "id": f"r{number}",
            "text": f"question {number}",
            "kind": self._kind(number),
        }
        match self.odd.get(number):
            case "broken":
                return "{broken"
            case "duplicate":
                record["id"] = "r0"
            case "nameless":
                record["id"] = None
            case "wordless":
                del record["text"]
        return json.dumps(record)

    def _kind(self, number: int) -> str:
        return "third" if number % 3 == 0 else "other"

    def place(self, number: int) -> str:
        """Where a record stands in the input, as outputs name it."""
        size = -(-self.count // self.files)
        return f"{number // size * size:03}.jsonl:{number % size + 1}"

    def record_ids(self) -> set[str]:
        """The id under which each place of the input must end."""
        named = {None, "wordless"}
        return {
            f"r{number}" if self.odd.get(number) in named else self.place(number)
            for number in range(self.count)
        }

    def sendable(self) -> list[int]:
        """The numbers of the records that have a request."""
        return [number for number in range(self.count) if number not in self.odd]

    def route_of(self, number: int) -> tuple[str, ...]:
        return self.routes[-1] if self._kind(number) == "third" else self.routes[0]

    def routes_by_name(self) -> dict[str, tuple[str, ...]]:
        """The models of each route, under the names of the job."""
        return {"default": self.routes[0], "third": self.routes[-1]}

    def job_fields(self, folder: Path) -> dict[str, Any]:
        """What a job over this world declares."""
        routes: dict[str, Any] = {"default": {"models": list(self.routes[0]), **self._demands()}}
        if len(self.routes) > 1:
            third = {"when": {"task": "third"}, "models": list(self.routes[1]), **self._demands()}
            routes = {"third": third, **routes}
        return {
            "input": {"path": str(folder / "in"), "id": "id", "max_bad": 1.0},
            "output": {"path": str(folder / "out"), "keep": ["kind"]},
            "classify": [{"column": "kind"}],
            "providers": {name: {"base_url": "http://127.0.0.1:9/v1"} for name in ("p", "q")},
            "models": {name: model.declared(name) for name, model in self.models.items()},
            "routes": routes,
            "window": self.window,
        }

    def _demands(self) -> dict[str, Any]:
        """What every route asks of answers, if some are poor."""
        checked = any(model.poor for model in self.models.values())
        return {
            "checks": [{"lacks": "^poor"}, {"min_chars": 6}] if checked else [],
            "keep_best": checked and self.keep_best,
            "last_resort": {"text": "no answer"} if self.last_resort else None,
        }

    def scripts(self) -> dict[str, Script]:
        """How the models answer, from the first request to the last."""
        return {name: _script(model, self.blackouts) for name, model in self.models.items()}


def number_of(request: Request) -> int:
    """The number of the record that a request asks about."""
    found = re.search(rb"question (\d+)", request.messages)
    assert found is not None
    return int(found[1])


def _script(model: Model, blackouts: tuple[Spell, ...]) -> Callable[[Sent], tuple[float, Outcome]]:
    asked: Counter[int] = Counter()
    meter = Meter(model.quota) if model.quota else None
    too_much = Mood(ErrorType.RATE_LIMITED, after_s=0.02)

    def script(sent: Sent) -> tuple[float, Outcome]:
        for spell in (*blackouts, *model.spells):
            if spell.start <= sent.at < spell.start + spell.length:
                return spell.mood.after_s, spell.mood.failure()
        if model.room is not None and sent.out > model.room:
            return too_much.after_s, too_much.failure()
        if meter is None:
            return asked_of(number_of(sent.request))
        if not meter.admit(sent.at):
            return too_much.after_s, meter.told(too_much.failure())
        latency_s, outcome = asked_of(number_of(sent.request))
        return latency_s, meter.told(outcome)

    def asked_of(number: int) -> tuple[float, Outcome]:
        met = asked[number]
        asked[number] += 1
        hiccups = model.hiccups.get(number, ())
        if met < len(hiccups):
            return hiccups[met].after_s, hiccups[met].failure()
        latency_s = model.latencies[(number + met) % len(model.latencies)]
        if number in model.refused:
            return latency_s, Mood(model.refused[number]).failure()
        return latency_s, _answer(number, poor=number in model.poor)

    return script


def _answer(number: int, *, poor: bool) -> Response:
    return Response(
        content=f"{'poor' if poor else 'answer'} {number}",
        finish_reason="stop",
        usage=Usage(input_tokens=7 + number % 5, output_tokens=3, cached_tokens=number % 3),
        response_model=None,
        response_id=None,
    )


# What hypothesis draws

SECONDS = st.sampled_from([0.0, 0.01, 0.1, 0.5, 1.0, 3.0])
ODDITIES = st.sampled_from(["broken", "duplicate", "nameless", "wordless"])
PRICES = st.sampled_from([("1", "2"), ("0.15", "0.6"), ("0.000123", "1.234567"), ("30", "180")])


def moods(kinds: tuple[ErrorType, ...]) -> st.SearchStrategy[Mood]:
    wishes = st.sampled_from([None, None, 0.0, 0.5, 4.0, 20.0, 90.0])
    return st.builds(Mood, st.sampled_from(kinds), SECONDS | st.just(60.0), wishes)


def by_number(values: st.SearchStrategy[T], count: int, most: int) -> st.SearchStrategy[dict[int, T]]:
    return st.dictionaries(st.integers(0, count - 1), values, max_size=most)


def some_numbers(count: int) -> st.SearchStrategy[frozenset[int]]:
    return st.just(frozenset[int]()) | st.frozensets(st.integers(0, count - 1), max_size=10)


@st.composite
def wild_models(draw: st.DrawFn, count: int) -> Model:
    """Models with every kind of failure, of which all but those that disable one pass by."""
    unwell = moods(UNWELL * 2 + LIMITED * 6 + REFUSED * 2)
    hiccups = st.lists(unwell | moods(UNWELL + OUT), min_size=1, max_size=6).map(tuple)
    spells = st.builds(
        Spell, SECONDS.map(lambda s: 20 * s), SECONDS.map(lambda s: 40 * s), moods(UNWELL + LIMITED)
    )
    return Model(
        provider=draw(st.sampled_from("pq")),
        concurrency=draw(st.integers(1, 8)),
        rpm=draw(st.sampled_from([None, None, 30, 120, 900])),
        tpm=draw(st.sampled_from([None, None, 600, 6000])),
        price=draw(st.none() | PRICES),
        latencies=tuple(draw(st.lists(SECONDS | st.just(40.0), min_size=1, max_size=4))),
        spells=tuple(draw(st.lists(spells, max_size=2))),
        hiccups=draw(by_number(hiccups, count, 12)),
        refused=draw(by_number(st.sampled_from(REFUSED), count, 4)),
        poor=draw(some_numbers(count)),
    )


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Anything goes, as long as it passes: no model stays down for ever."""
    count = draw(st.integers(1, 50))
    names = MODELS[: draw(st.integers(1, 3))]
    return _world(draw, count, {name: draw(wild_models(count)) for name in names})


@st.composite
def settled_worlds(draw: st.DrawFn) -> World:
    """Worlds in which each record ends in one way only, whenever and wherever it is sent.

    A record meets one passing failure at most, so that it never runs out of tries, and is refused by no
    model, by all, or by all but one. Those whose answers are poor are refused by none.
    """
    count = draw(st.integers(1, 50))
    names = MODELS[: draw(st.integers(1, 3))]
    routes = _routes(draw, names)
    hiccups = draw(by_number(st.tuples(st.sampled_from(names), moods(UNWELL + LIMITED)), count, 20))
    refused = draw(by_number(st.tuples(st.sampled_from((None, *names)), st.sampled_from(REFUSED)), count, 8))
    # blocked by two of three, it would depend on their order, which changes as they are limited, whether it dies
    fine = ELSEWHERE_FINE if len(names) <= MOST_BLOCKS else ELSEWHERE_FINE[:2]
    models = {}
    for name in names:
        spells = st.builds(Spell, SECONDS, SECONDS.map(lambda s: 10 * s), moods(LIMITED))
        models[name] = Model(
            concurrency=draw(st.integers(1, 8)),
            rpm=draw(st.sampled_from([None, None, 120, 900])),
            price=draw(st.none() | PRICES),
            latencies=tuple(draw(st.lists(SECONDS | st.just(40.0), min_size=1, max_size=4))),
            spells=tuple(draw(st.lists(spells, max_size=1))),
            hiccups={number: (mood,) for number, (model, mood) in hiccups.items() if model == name},
            refused={
                number: kind if spared is None else fine[number % len(fine)]
                for number, (spared, kind) in refused.items()
                if spared != name
            },
            poor=draw(some_numbers(count)).difference(refused),
        )
    return _world(draw, count, models, routes)


def _world(
    draw: st.DrawFn, count: int, models: dict[str, Model], routes: tuple[tuple[str, ...], ...] | None = None
) -> World:
    return World(
        count=count,
        odd=draw(by_number(ODDITIES, count, 6).map(_with_a_first)),
        files=draw(st.integers(1, 3)),
        models=models,
        routes=routes or _routes(draw, tuple(models)),
        keep_best=draw(st.booleans()),
        last_resort=draw(st.booleans()),
        window=draw(st.none() | st.integers(16, 40)),
        part_records=draw(st.sampled_from([1000, 3, 11])),
        seed=draw(st.integers(0, 1000)),
    )


def _with_a_first(odd: dict[int, str]) -> dict[int, str]:
    """Whose id a duplicate repeats: the first record's, which is read first and is none itself."""
    return {number: kind for number, kind in odd.items() if number > 0 or kind == "wordless"}


def _routes(draw: st.DrawFn, names: tuple[str, ...]) -> tuple[tuple[str, ...], ...]:
    orders = st.permutations(names).map(tuple)
    parts = st.lists(st.sampled_from(names), min_size=1, unique=True).map(tuple)
    return (draw(orders), draw(parts)) if draw(st.booleans()) else (draw(orders),)


def picodollars(usd: Decimal | None) -> int | None:
    """An output's cost as the integer that it is inside."""
    return None if usd is None else int(usd.scaleb(12))
