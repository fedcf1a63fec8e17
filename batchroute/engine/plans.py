"""What a run would do and cost, found by reading, classifying and routing its input for real. Nothing is sent."""

import datetime as dt
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import aclosing

import msgspec
from msgspec import Struct

from batchroute.core.money import picodollars
from batchroute.core.records import Batch, Fault, Labels, Record, Reject
from batchroute.core.requests import Request
from batchroute.engine.beginnings import repeated
from batchroute.engine.clock import Clock
from batchroute.engine.companions import Companions, PlannedCompanion
from batchroute.engine.comparisons import Comparison
from batchroute.engine.openings import (
    Opened,
    check_bounded,
    check_priced,
    columns_named,
    job_warnings,
    model_rates,
    opened,
    order,
    router,
    wishes,
)
from batchroute.engine.restarts import refuse_foreign
from batchroute.io.snapshots import snapshot
from batchroute.io.store import Known, State, Store
from batchroute.job.jobs import Job
from batchroute.job.storage import SCHEME
from batchroute.routing.absences import Absences
from batchroute.routing.adapters import Adapter
from batchroute.routing.estimates import sent_tokens
from batchroute.routing.fingerprints import Fingerprints, Tried
from batchroute.routing.fits import affordable, output_tokens
from batchroute.routing.forecasts import (
    Declared,
    Forecast,
    Forecaster,
    Load,
    Observed,
    first_choices,
)
from batchroute.routing.messages import output_cap
from batchroute.routing.routes import RouteRule
from batchroute.routing.selections import Selection
from batchroute.routing.sightings import Sightings
from batchroute.routing.soundness import Soundness
from batchroute.routing.strategies import Strategy

COUNTED_EXACTLY = 20_000
"""Records whose tokens are counted where that can be done; the others go by the same ratio to their estimates."""
COMPARED = 500
"""Answered records that are estimated as well, to learn from what was told of them."""

NEW_IDS = 100_000
"""Records whose ids are compared with those before them, where no run has read any yet: a wrong column shows at once, and
to compare all takes as long again as to read them.
"""

Count = Callable[[Request], int]
Observe = Callable[[Mapping[str, int]], Observed]


class PlannedRecords(Struct, frozen=True, kw_only=True):
    """Records of the input. `planned` would be sent; `done` are answered, `stale` those of them that ask for something
    else by now and keep their answer; `left_out` are not asked for; `unsendable` would be dead letters.
    """

    total: int
    planned: int
    done: int
    stale: int
    left_out: int
    unsendable: int
    repeated: int = 0
    """Share the answer of an equal one that is planned, or was answered before. A plan of a sample does not know."""


class PlannedFault(Struct, frozen=True, kw_only=True):
    """Records that would be dead letters for the same reason; what is said of the first of them, with its place."""

    error_type: str
    records: int
    example: str


class PlannedRoute(Struct, frozen=True, kw_only=True):
    """What one route sends to the model that its records begin with."""

    route: str
    model: str
    forecast: Forecast


class Alternative(Struct, frozen=True, kw_only=True):
    """What all planned records would be on one declared model alone, whatever else it could not take."""

    model: str
    forecast: Forecast


class Plan(Struct, frozen=True, kw_only=True):
    """What a run would do if every request succeeds at once. Costs are USD, times seconds; None where unknown."""

    job: str
    read: str
    """all; systematic: every so many records; first: the first ones alone, and by the bytes how many there are."""
    looked_at: int
    records: PlannedRecords
    routes: tuple[PlannedRoute, ...]
    total: Forecast
    alternatives: tuple[Alternative, ...]
    unpriced: tuple[str, ...]
    warnings: tuple[str, ...]
    faults: tuple[PlannedFault, ...] = ()
    """Why records cannot be sent, most first."""
    beside: tuple[PlannedCompanion, ...] = ()
    """What is asked beside the answers, by purpose and model; no other sum holds it."""

    def json(self) -> bytes:
        """One JSON object, costs as exact numbers."""
        return msgspec.json.Encoder(decimal_format="number").encode(self)


async def plan(
    job: Job,
    *,
    observe: Observe,
    counts: Mapping[str, Count] | None = None,
    sample: int | None = None,
    limit: int | None = None,
    only: tuple[str, ...] = (),
    clock: Clock | None = None,
) -> Plan:
    """Plan a run over the first `limit` records, or all. With `sample`, about so many of them are looked at.

    `observe` tells what earlier answers were like, given the estimated tokens of some answered records; `counts`
    counts the tokens of a request to those models where that can be done exactly. Raises BatchrouteError for what
    would prevent the run.
    """
    refuse_foreign(job)
    today = dt.datetime.fromtimestamp((clock or Clock()).wall(), dt.UTC).date()
    found = opened(job)
    check_bounded(job, today)
    check_priced(job, today)
    selection = Selection.of(only, job)
    declared = {name: _declared(job, name, today) for name in job.models}
    with snapshot(job.output.path) as store:
        reading = _Reading(job, found, selection, declared, store, counts or {}, sample, limit, today)
        await reading.read()
    return reading.plan(observe(reading.answered))


def _declared(job: Job, name: str, today: dt.date) -> Declared:
    model, params = job.models[name], job.prompt.params
    adapter = Adapter.of(job.adaptation(name))
    cap = None if adapter is None else adapter.cap(adapter.params(params))
    simulation = job.providers[model.provider].simulation
    simulated = simulation.models.get(job.provider_model(name)) if simulation else None

    def latency_s(tokens: float) -> float | None:
        if simulated is None:
            return None
        writing = tokens / simulated.tokens_per_s if simulated.tokens_per_s else 0.0
        return (simulated.latency.p50 if simulated.latency else 0.0) + writing

    return Declared(
        name=name,
        rates=model_rates(job, name, today),
        concurrency=model.limits.concurrency,
        rpm=model.limits.rpm,
        tpm=model.limits.tpm,
        cap=None if cap == output_cap(params) else cap,  # as every record has it, or its own
        latency_s=latency_s,
        together=1 if job.vectors is None else job.vectors.batch,
        words_tokens=0 if adapter is None else adapter_tokens(adapter),
    )


_UNKNOWN = Known(0, State.PENDING)
_BARE = Request(messages=b'[{"role":"user","content":"a"}]')


def adapter_tokens(adapter: Adapter) -> int:
    """About how many tokens it puts around a record's own words."""
    return max(0, sent_tokens(adapter.adapt(_BARE)) - sent_tokens(_BARE))


class _Reading:
    """The input as a run would read it, added up by route and by the models that records come to."""

    def __init__(
        self,
        job: Job,
        found: Opened,
        selection: Selection,
        declared: Mapping[str, Declared],
        store: Store,
        counts: Mapping[str, Count],
        sample: int | None,
        limit: int | None,
        today: dt.date,
    ) -> None:
        self._job, self._declared, self._store = job, declared, store
        self._prompts, self._classifier, self._source = found
        self._router, self._selection = router(job), selection
        self._counts, self._wanted, self._limit = counts, sample, limit
        self._absences = Absences(columns_named(job))
        self._companions = Companions(job, self._classifier, store)
        self._wishes = wishes(job, today)
        self._ways = {**job.routes, **(self._wishes.routes if self._wishes else {})}
        self._orders = {name: order(route) for name, route in self._ways.items()}
        adapters = {
            name: each for name in job.models if (each := Adapter.of(job.adaptation(name))) is not None
        }
        self._fingerprints = Fingerprints(
            {name: job.known_as(name) for name in job.models},
            adapters,
            dedupe=job.dedupe if sample is None else False,  # what is equal is seldom next to one another
        )
        self._comparison = Comparison.of(
            job.fingerprint(), self._source.files, store, job.output.path, refresh=False
        )
        self._first_only = sample is not None and job.input.path.startswith(SCHEME)
        self._step = 0
        self._read = self._due = self._done = self._looked_at = self._compared = 0
        self._stale = self._left_out = 0
        self._rejected, self._unsendable = Counter[str](), Counter[str]()
        """By error type: those that are known of all records, and those of the ones that are looked at."""
        self._examples: dict[str, str] = {}
        self._bad: list[tuple[int, str, str]] = []
        """Of the batch at hand: line, error type and message."""
        self._soundness = Soundness(bound=job.input.max_bad)
        self._unusable: str | None = None
        self._whole: float | None = None
        self._loads: dict[tuple[str, tuple[str, ...]], Load] = {}
        self._begun = any(store.counts().values())
        """Whether a run has read records."""
        self._sightings = Sightings()
        """Of what earlier runs were answered, and of what was asked since; empty where they have no answer to share."""
        self._recalled = 0
        """Records that share an answer of an earlier run."""
        self._shared: dict[tuple[Tried, bytes, str, str], bool] = {}
        """Whether equal requests of a kind share an answer."""
        self.answered: dict[str, int] = {}
        """Estimated input tokens of some answered records, by id."""

    async def read(self) -> None:
        for digests in self._store.digests():
            for digest in digests:
                self._sightings.note(*digest)
        async with aclosing(self._source.batches()) as batches:
            async for batch in batches:
                taken = batch if self._limit is None else batch.first(self._limit - self._read)
                self._step = self._step or self._stride(len(batch))
                self._take(taken)
                enough = self._first_only and self._read >= (self._wanted or 0)
                if enough or (self._limit is not None and self._read >= self._limit):
                    break
        if self._first_only and self._read:
            self._whole = self._guessed(self._read)

    def _stride(self, first: int) -> int:
        """Every how many records one is looked at."""
        if self._wanted is None or self._first_only:
            return 1
        return max(1, round(self._guessed(first)) // self._wanted)

    def _guessed(self, read: int) -> float:
        """About how many records there are, by the bytes of those that were read so far."""
        if (rows := self._source.rows) is None:
            rows = round(read * self._source.bytes_total / max(1, self._source.statistics().bytes_read))
        return max(read, rows if self._limit is None else min(rows, self._limit))

    def _take(self, batch: Batch) -> None:
        self._read += len(batch)
        self._bad.clear()
        for reject in batch.rejects:
            self._refuse(batch, reject, reject.fault, self._rejected)
        records = batch.records
        self._absences.look_at(records)
        due = []
        known = self._known(records)
        for record, place in zip(records, known, strict=True):
            if place.first is not None:
                self._refuse(batch, record, repeated(record, place.first), self._rejected)
            elif place.answered:
                self._stand(record, place)
            else:
                if not self._due % self._step:
                    due.append(record)
                self._due += 1
        self._looked_at += len(due)
        for record, labels in zip(due, self._companions.labels(due), strict=True):
            self._add(batch, record, labels)
        self._judge(batch)

    def _known(self, records: list[Record]) -> list[Known]:
        if not self._begun and self._read > NEW_IDS:
            return [_UNKNOWN] * len(records)
        return self._store.register([(record.record_id, record.file, record.line) for record in records])

    def _refuse(self, batch: Batch, what: Record | Reject, fault: Fault, counts: Counter[str]) -> None:
        """Count what gives no request, by which a run judges its input."""
        message = self._bury(batch, what, fault, counts)
        self._bad.append((what.line, fault.error_type, message))

    def _bury(self, batch: Batch, what: Record | Reject, fault: Fault, counts: Counter[str]) -> str:
        """Count a dead letter; what is said of it."""
        counts[fault.error_type] += 1
        message = f"{batch.place(what.file, what.line)}: {fault.message}"
        self._examples.setdefault(fault.error_type, message)
        return message

    def _judge(self, batch: Batch) -> None:
        """Whether a run would stop here, as most of what it has read cannot be sent; of a sample that is not known."""
        if self._step > 1 or self._unusable:
            return
        bad = {line for line, _, _ in self._bad}
        good = (record.line for record in batch.records if record.line not in bad)
        self._soundness.note(len(batch), self._bad, next(good, None))
        if self._soundness.known:
            self._unusable = self._soundness.unusable()

    def _stand(self, record: Record, known: Known) -> None:
        """An answered record: whether it asks for something else by now."""
        number, self._done = self._done, self._done + 1
        if number % self._step:
            return
        self._compared += 1
        compared = self._comparison.covers(record.file) and known.comparable
        if not compared:
            self._stale += known.stale
        if not compared and len(self.answered) >= COMPARED:
            return
        request, route, models = self._routed(record, self._classifier.classify([record])[0])
        fault = isinstance(request, Fault)
        if compared:
            self._stale += isinstance(request, Fault) or not self._fingerprints.answers(
                known.request, request, route.tried(models), route.form
            )
        if not fault and len(self.answered) < COMPARED:
            self.answered[record.record_id] = sent_tokens(request)  # type: ignore[arg-type]

    def _routed(self, record: Record, labels: Labels) -> tuple[Request | Fault, RouteRule, tuple[str, ...]]:
        route = self._router.route(labels)
        request = self._prompts.render(record)
        if self._wishes is not None and not isinstance(request, Fault):
            wished = self._wishes.of(route, labels.task, record.fields)
            request, route = (wished, route) if isinstance(wished, Fault) else (request, wished)
        models = route.models
        if route.fitting is not None and not isinstance(request, Fault):
            fitted = route.fitted(request, record.fields)
            request, models = (fitted, ()) if isinstance(fitted, Fault) else (request, fitted)
        return request, route, models

    def _add(self, batch: Batch, record: Record, labels: Labels) -> None:
        if self._selection.wanted and not self._selection.takes(labels, self._router.route(labels).name):
            self._left_out += 1
            return
        request, route, models = self._routed(record, labels)
        if isinstance(request, Fault):
            self._refuse(batch, record, request, self._unsendable)
            return
        if self._sightings and self._is_answered(request, route, models):
            self._recalled += 1
            return
        tokens = sent_tokens(request)
        way = route.variant or route.name
        left = self._by_price(way, models, request, tokens)
        if isinstance(left, Fault):
            self._bury(batch, record, left, self._unsendable)  # it has a request, and finds nobody
            return
        models = left
        load = self._loads.get((way, models))
        if load is None:
            load = self._loads[way, models] = Load(route.name, models, way)
        exact: Mapping[str, int] = {}
        if self._counts and self._looked_at <= COUNTED_EXACTLY:
            exact = {model: count(request) for model, count in self._counts.items()}
        digest = self._digest(request, route, models)
        load.add(tokens, request.max_output_tokens, exact, digest)
        self._companions.answered(route.name, request, digest)

    def _is_answered(self, request: Request, route: RouteRule, models: tuple[str, ...]) -> bool:
        """Whether an earlier run was answered an equal request."""
        fingerprint, tail = self._fingerprints.digest(request, route.tried(models), route.form, route.name)
        if tail is None or not self._sightings.note(fingerprint, tail):
            return False
        return bool(self._store.answered([(fingerprint, tail)]))

    def _digest(self, request: Request, route: RouteRule, models: tuple[str, ...]) -> int | None:
        """What equal requests have in common, in eight bytes; None for one that shares no answer."""
        asked = route.tried(models), request.params, route.form, route.name
        shared = self._shared.get(asked)
        if shared is None:
            shared = self._fingerprints.digest(request, asked[0], route.form, route.name)[1] is not None
            if not request.own_params:
                self._shared[asked] = shared
        # a plan lasts no longer than this process, whose own hash takes a tenth of the time
        return hash((request.messages, asked)) if shared else None

    def _by_price(
        self, way: str, models: tuple[str, ...], request: Request, tokens: int
    ) -> tuple[str, ...] | Fault:
        """The models that are left where the route goes by what a record is expected to cost."""
        chosen, bound = self._orders[way], self._ways[way].max_cost
        if chosen is None or (bound is None and chosen.strategy is not Strategy.CHEAPEST):
            return models
        costs = {
            model: rates.expected(tokens, output_tokens(request))
            for model in models
            if (rates := self._declared[model].rates) is not None
        }
        left = models if bound is None else affordable(costs, picodollars(bound))
        if chosen.strategy is not Strategy.CHEAPEST or isinstance(left, Fault):
            return left
        group = next([m for m in each if m in left] for each in chosen.groups if set(each) & set(left))
        return (min(group, key=lambda model: costs.get(model, 0)),)

    def plan(self, observed: Observed) -> Plan:
        loads = [load.once() for load in self._loads.values()]
        times = (self._whole or self._read) / self._read if self._read else 1
        scale = times * self._due / self._looked_at if self._looked_at else 1
        forecaster = Forecaster(self._declared, observed, scale)
        split = [
            (load, model, share) for load in loads for model, share in self._choices(load, observed).items()
        ]
        routes = self._routes(forecaster, split)
        return Plan(
            job=self._job.job,
            read=self._how(),
            looked_at=self._looked_at,
            records=self._records(times, scale, sum(map(len, loads))),
            routes=routes,
            total=forecaster.total(split),
            alternatives=tuple(
                Alternative(model=model, forecast=forecaster.at(model, [(load, 1) for load in loads]))
                for model in self._job.models
            ),
            unpriced=tuple(name for name, model in self._declared.items() if model.rates is None),
            warnings=(
                *self._source.warnings,
                *job_warnings(self._prompts, self._classifier, self._job),
                *self._absences.warnings(),
                *([f"a run would stop: {stopped}"] if (stopped := self._stopped()) else []),
            ),
            faults=self._faults(times, scale),
            beside=self._companions.planned(self._declared, observed, scale, _answer_tokens(routes)),
        )

    def _choices(self, load: Load, observed: Observed) -> dict[str, float]:
        return first_choices(self._orders[load.way], load.models, self._declared, observed)

    def _routes(
        self, forecaster: Forecaster, split: list[tuple[Load, str, float]]
    ) -> tuple[PlannedRoute, ...]:
        """By route as the job has them, then by model."""
        parts: dict[tuple[str, str], list[tuple[Load, float]]] = {}
        for load, model, share in split:
            parts.setdefault((load.route, model), []).append((load, share))
        routes, models = list(self._job.routes), list(self._job.models)
        return tuple(
            PlannedRoute(route=route, model=model, forecast=forecaster.at(model, parts[route, model]))
            for route, model in sorted(parts, key=lambda key: (routes.index(key[0]), models.index(key[1])))
        )

    def _how(self) -> str:
        if self._first_only and self._whole and self._whole > self._read:
            return "first"
        return "systematic" if self._step > 1 else "all"

    def _stopped(self) -> str | None:
        """Why a run would stop before its end."""
        return self._unusable or (None if self._step > 1 else self._soundness.unusable())

    def _faults(self, times: float, scale: float) -> tuple[PlannedFault, ...]:
        found = [
            PlannedFault(
                error_type=each,
                records=round(times * self._rejected[each] + scale * self._unsendable[each]),
                example=example,
            )
            for each, example in self._examples.items()
        ]
        return tuple(sorted(found, key=lambda each: -each.records))

    def _records(self, times: float, scale: float, planned: int) -> PlannedRecords:
        due = sum(map(len, self._loads.values()))
        compared = times * self._done / self._compared if self._compared else 0
        return PlannedRecords(
            total=round(times * self._read),
            planned=round(scale * planned),
            done=round(times * self._done),
            stale=round(compared * self._stale),
            left_out=round(scale * self._left_out),
            unsendable=round(times * self._rejected.total() + scale * self._unsendable.total()),
            repeated=round(scale * (due - planned + self._recalled)),
        )


def _answer_tokens(routes: tuple[PlannedRoute, ...]) -> dict[str, float]:
    """The tokens of an answer that are expected on each route."""
    records, tokens = Counter[str](), Counter[str]()
    for line in routes:
        records[line.route] += line.forecast.records
        tokens[line.route] += line.forecast.output_tokens
    return {route: tokens[route] / count for route, count in records.items() if count}
