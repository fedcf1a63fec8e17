"""Worlds drawn from a number: the same number, the same world and the same history, on every machine.

Hypothesis, which draws the worlds of tests/laws, shrinks what fails; here it is the mere number that counts.
"""

import hashlib
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from batchroute.core.responses import ErrorType
from tests.laws.asking import JUDGE, LABELLER, AskingWorld
from tests.laws.legs import Leg, Stop
from tests.laws.worlds import (
    LIMITED,
    MODELS,
    OURS,
    OUT,
    REFUSED,
    STAYS_WITH_THE_RECORD,
    UNSENT,
    UNWELL,
    Model,
    Mood,
    Quota,
    Spell,
    World,
)

T = TypeVar("T")

MOST_RECORDS = 40
LATENCIES = (0.0, 0.01, 0.1, 0.1, 0.5, 0.5, 1.0, 3.0, 40.0)
WISHES = (None, None, None, 0.5, 4.0, 20.0, 90.0)
PRICES = (None, ("1", "2"), ("0.15", "0.6"), ("0.000123", "1.234567"), ("30", "180"))
ODDITIES = ("broken", "duplicate", "nameless", "wordless")
UNREACHED = tuple(sorted(UNSENT - {ErrorType.LOCAL_RESOURCE}))
PASSING = (*UNWELL * 2, *LIMITED * 4, *OURS, *REFUSED)
"""What may happen to any record once and be gone the next time."""
MEMORY = Path("/dev/shm")


def world_of(seed: int) -> World:
    """A world in which anything may fail, as long as outages end."""
    return _Draw(seed).world(steady=False)


def steady_world_of(seed: int) -> World:
    """A world in which each route has a model that answers every record, if it has not too much to do."""
    return _Draw(seed).world(steady=True)


def asking_world_of(seed: int) -> AskingWorld:
    """A world of `world_of` in which models label, and mostly judge, within a budget of which there may be too little."""
    draw, random = _Draw(seed), Random(f"asking {seed}")
    base = draw.world(steady=False)
    answering, extra = dict(base.models), {name: draw.beside() for name in (LABELLER, JUDGE)}
    every = {
        name: replace(model, price=model.price or PRICES[1]) for name, model in {**answering, **extra}.items()
    }

    def some() -> frozenset[int]:
        return frozenset(random.randrange(base.count) for _ in range(random.randint(0, 6)))

    return AskingWorld(
        **{each.name: getattr(base, each.name) for each in fields(World) if each.name != "models"},
        models={name: every[name] for name in answering},
        extra={name: every[name] for name in extra},
        labeller=random.choice((LABELLER, LABELLER, *answering)),
        batch=random.choice((1, 3)),
        mumbled=some(),
        judge=random.choice((None, JUDGE, JUDGE, *answering)),
        doubted=some(),
        unjudged=some(),
        budget=random.choice((None, "0.0004", "0.003", "0.02", "1")),
    )


def stops_of(seed: int) -> list[Stop]:
    """One to three stops on the way."""
    random = Random(f"stops {seed}")
    moments = (0.0, 0.01, 0.1, 0.35, 1.0, 2.5, 10.0, 36.0)
    ways = ("signal", "signals", "cancel")
    return [Stop(random.choice(moments), random.choice(ways)) for _ in range(random.randint(1, 3))]


def moment_of(seed: int) -> int:
    """At which of its moments a run is killed."""
    return Random(f"kill {seed}").randint(1, 60)


@contextmanager
def folder_of(world: World, *names: str) -> Iterator[list[Path]]:
    """Folders of these names, the world's input in each; in memory where that is possible."""
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as base:
        folders = [Path(base) / name for name in names]
        for folder in folders:
            world.write(folder)
        yield folders


def fingerprint(legs: Sequence[Leg]) -> str:
    """A hash over everything that happened: what was sent and when, what is in the ledger and in the results."""
    log = hashlib.sha256()
    for leg in legs:
        ended = leg.ended and (leg.ended.run_id, leg.ended.exit_code, leg.ended.duration_s)
        sent = [(one.model, one.at, bytes(one.request.messages)) for one in leg.provider.log]
        log.update(repr((ended, sent, leg.ledger.rows(), leg.results.rows())).encode())
    return log.hexdigest()


class _Draw:
    """One world's dice."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._random = Random(seed)
        self._count = self._random.randint(1, MOST_RECORDS)

    def world(self, *, steady: bool) -> World:
        random = self._random
        names = MODELS[: random.randint(1, 3)]
        routes = self._routes(names)
        reliable = {random.choice(route) for route in routes} if steady else set[str]()
        providers = {name: random.choice("pq") for name in names}
        kept = {providers[name] for name in reliable}
        models = {
            name: self._reliable(providers[name])
            if name in reliable
            else self._wild(providers[name], lasting=providers[name] in kept, steady=steady)
            for name in names
        }
        unreached = (ErrorType.NETWORK_UNREACHABLE,) if steady else UNREACHED
        blackouts = tuple(self._spells(unreached, most=1)) if self._one_in(4) else ()
        return World(
            count=self._count,
            odd=self._odd(),
            files=random.randint(1, 3),
            models=models,
            routes=routes,
            blackouts=_soon(blackouts) if steady else blackouts,
            window=self._maybe(random.randint(16, 40)),
            part_records=random.choice((1000, 1000, 11)),
            seed=self._seed,
        )

    def beside(self) -> Model:
        """A model of which no answers are asked."""
        return self._wild(self._random.choice("pq"), lasting=False, steady=False)

    def _wild(self, provider: str, *, lasting: bool, steady: bool) -> Model:
        """`lasting`: what would take the provider out for good does not happen."""
        random = self._random
        refused = [kind for kind in REFUSED if not (steady and kind in STAYS_WITH_THE_RECORD)]
        passing = [kind for kind in PASSING if not (steady and kind in STAYS_WITH_THE_RECORD)]
        hiccups = {
            number: tuple(self._mood(passing) for _ in range(random.randint(1, 6)))
            for number in self._numbers(12)
        }
        if not lasting and self._one_in(6):
            hiccups[random.randrange(self._count)] = (self._mood(OUT),)
        return Model(
            provider=provider,
            hiccups=hiccups,
            refused={number: random.choice(refused) for number in self._numbers(4)},
            spells=tuple(self._spells((*UNWELL, *LIMITED, *OURS), most=2)),
            latencies=self._latencies(),
            **self._limits(),
        )

    def _reliable(self, provider: str) -> Model:
        """Never down, though it may be busy, and says so at once."""
        return Model(
            provider=provider,
            spells=_soon(self._spells((*LIMITED, *OURS), most=1)),
            latencies=self._latencies(),
            **self._limits(),
        )

    def _limits(self) -> dict[str, Any]:
        """What is declared, and what the provider really takes."""
        random = self._random
        concurrency = random.choice((1, 2, 4, 8, 30))
        return {
            "concurrency": concurrency,
            "rpm": self._maybe(random.choice((30, 120, 900))),
            "tpm": self._maybe(random.choice((600, 6000))),
            "price": random.choice(PRICES),
            "room": self._maybe(random.randint(1, concurrency)),
            "quota": self._maybe(self._quota()),
        }

    def _quota(self) -> Quota:
        random = self._random
        return Quota(
            random.choice((1, 5, 20)), random.choice((0.5, 2.0, 20.0)), random.choice(("", "wish", "headers"))
        )

    def _latencies(self) -> tuple[float, ...]:
        return tuple(self._random.choices(LATENCIES, k=self._random.randint(1, 4)))

    def _spells(self, kinds: Sequence[ErrorType], most: int) -> Iterator[Spell]:
        for _ in range(self._random.randint(0, most)):
            start, length = self._random.choice((0, 0.2, 2, 20)), self._random.choice((0.5, 4, 20, 40, 120))
            yield Spell(start, length, self._mood(kinds))

    def _mood(self, kinds: Sequence[ErrorType]) -> Mood:
        after_s = self._random.choice((*LATENCIES, 60.0))
        return Mood(self._random.choice(kinds), after_s, self._random.choice(WISHES))

    def _odd(self) -> dict[int, str]:
        """Places that hold no record that can be sent. A duplicate needs a first to repeat."""
        odd = {number: self._random.choice(ODDITIES) for number in self._numbers(6)}
        return {number: kind for number, kind in odd.items() if number > 0 or kind == "wordless"}

    def _routes(self, names: Sequence[str]) -> tuple[tuple[str, ...], ...]:
        order = tuple(self._random.sample(names, len(names)))
        some = tuple(self._random.sample(names, self._random.randint(1, len(names))))
        return (order, some) if self._one_in(2) else (order,)

    def _numbers(self, most: int) -> list[int]:
        """Some records, none in half of the cases."""
        if self._one_in(2):
            return []
        return [self._random.randrange(self._count) for _ in range(self._random.randint(1, most))]

    def _maybe(self, value: T) -> T | None:
        return value if self._one_in(3) else None

    def _one_in(self, cases: int) -> bool:
        return self._random.randrange(cases) == 0


def _soon(spells: Iterable[Spell]) -> tuple[Spell, ...]:
    """The same failures long before the timeout, which would count as one of the model."""
    return tuple(replace(spell, mood=replace(spell.mood, after_s=0.1)) for spell in spells)
