"""What a run would begin with, found without sending anything: it knows nothing of providers."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from typing import NamedTuple, TypeAlias

from msgspec import Struct

from batchroute.core.money import picodollars
from batchroute.core.records import Batch, Fault, Labels, Record
from batchroute.core.requests import Request
from batchroute.engine.beginnings import Ids
from batchroute.engine.clock import Clock
from batchroute.engine.forms import answer_forms
from batchroute.engine.openings import (
    check_bounded,
    check_priced,
    columns_named,
    job_warnings,
    model_price,
    model_rates,
    models_asked,
    opened,
    router,
    wishes,
)
from batchroute.io.sources.source import Source
from batchroute.job.jobs import Job
from batchroute.providers.payloads import payload
from batchroute.routing.absences import Absences
from batchroute.routing.adapters import Adapter
from batchroute.routing.classifiers import Classifier
from batchroute.routing.estimates import sent_tokens
from batchroute.routing.fits import affordable, output_tokens
from batchroute.routing.opinions import UNDECIDED
from batchroute.routing.prompts import Prompts
from batchroute.routing.routes import RouteRule
from batchroute.routing.soundness import Soundness

_INLINE = re.compile(r"(data:image/\w+;base64,.{8})[^\"]*")
"""An image within a request, which nobody wants to see as text."""

_Spot: TypeAlias = tuple[str, int]
"""The file and the line of a record or reject."""


class Preview(Struct, frozen=True, kw_only=True):
    """What a run would begin with. `faults` are the places that would become dead letters, with the reason."""

    files: tuple[str, ...]
    bytes_total: int
    records: int
    routes: tuple[str, ...]
    begun: dict[str, int]
    """Records by the models that they may begin with, where profiles or records themselves have a say."""
    faults: tuple[tuple[str, Fault], ...]
    inquired: dict[str, int]
    """Texts that a run would ask a model about to label them, by stage. Here they have the labels of the other stages."""
    unpriced: tuple[str, ...]
    adapted: tuple[str, ...]
    """What requests are changed in for a model that may be asked, a line each."""
    request: str | None
    unusable: str | None
    """Why a run would stop at once: most of these records cannot be sent."""
    warnings: tuple[str, ...]


class _Begun(NamedTuple):
    request: Request
    model: str
    first: tuple[str, ...]
    """This model, and those that stand for it."""
    dear: Fault | None
    """Why nobody would be asked, where all are too dear: a dead letter, by which a run does not judge its input."""


async def preview(job: Job, records: int = 1000) -> Preview:
    """Read, classify, route and render the first records, and send nothing.

    Raises BatchrouteError for what would prevent the run.
    """
    prompts, classifier, source = opened(job)
    today = dt.datetime.fromtimestamp(Clock().wall(), dt.UTC).date()
    check_bounded(job, today)
    check_priced(job, today)
    batches = await _first(source, records)
    looked_at = [record for batch in batches for record in batch.records]
    labels = classifier.classify(looked_at)
    routes = list(map(router(job).route, labels))
    beginner = _Beginner(job, prompts, today)
    found = [
        beginner.begun(record, label, route)
        for record, label, route in zip(looked_at, labels, routes, strict=True)
    ]
    faults = {(reject.file, reject.line): reject.fault for batch in batches for reject in batch.rejects}
    faults.update(
        ((record.file, record.line), each)
        for record, each in zip(looked_at, found, strict=True)
        if isinstance(each, Fault)
    )
    places = _places(batches)
    unusable = _unusable(job, places, faults)
    faults.update(
        ((record.file, record.line), each.dear)
        for record, each in zip(looked_at, found, strict=True)
        if isinstance(each, _Begun) and each.dear
    )
    first = next((each for each in found if not isinstance(each, Fault)), None)
    unpriced = tuple(name for name in job.models if model_price(job, name, today) is None)
    absences = Absences(columns_named(job))
    absences.look_at(looked_at)
    return Preview(
        files=tuple(file.name for file in source.files),
        bytes_total=source.bytes_total,
        records=len(places),
        routes=tuple(route.name for route in routes),
        begun=_by_first(job, found),
        faults=tuple((place, faults[spot]) for spot, place in places.items() if spot in faults),
        inquired=_inquired(classifier, looked_at),
        unpriced=unpriced,
        adapted=tuple(
            f"{name}: {adaptation.told()}"
            for name in models_asked(job)
            if (adaptation := job.adaptation(name)) is not None
        ),
        request=_sent(job, first.request, first.model) if first else None,
        unusable=unusable,
        warnings=(*source.warnings, *job_warnings(prompts, classifier, job), *absences.warnings()),
    )


async def _first(source: Source, count: int) -> list[Batch]:
    """The first places of the input, of as many files as that takes."""
    found: list[Batch] = []
    async with aclosing(source.batches()) as batches:
        async for batch in batches:
            found.append(batch.first(count))
            count -= len(batch)
            if count <= 0:
                break
    return found


class _Beginner:
    """Finds with which request records set out, to whom; or why they cannot, as a run that knows of no record yet."""

    def __init__(self, job: Job, prompts: Prompts, today: dt.date) -> None:
        self._prompts = prompts
        self._wished = wishes(job, today)
        self._forms = answer_forms(job)
        self._ids = Ids()
        ways = {**job.routes, **(self._wished.routes if self._wished else {})}
        self._bounds = {name: way.max_cost for name, way in ways.items() if way.max_cost is not None}
        self._rates = {name: model_rates(job, name, today) for name in job.models} if self._bounds else {}

    def begun(self, record: Record, labels: Labels, route: RouteRule) -> _Begun | Fault:
        request = self._ids.fault(record) or self._prompts.render(record)
        if isinstance(request, Fault):
            return request
        own = route if self._wished is None else self._wished.of(route, labels.task, record.fields)
        if isinstance(own, Fault):
            return own
        fitted = own.fitted(request, record.fields)
        if isinstance(fitted, Fault):
            return fitted
        left = self._affordable(own, fitted, request)
        models, dear = (fitted, left) if isinstance(left, Fault) else (left, None)
        formed = self._forms.get(route.name)
        asked = request if formed is None else formed.asked(request, models[0])
        return _Begun(asked, models[0], own.alternatives(models), dear)

    def _affordable(
        self, route: RouteRule, models: tuple[str, ...], request: Request
    ) -> tuple[str, ...] | Fault:
        bound = self._bounds.get(route.variant or route.name)
        if bound is None:
            return models
        rates = ((model, self._rates[model]) for model in models)
        tokens = sent_tokens(request), output_tokens(request)
        return affordable(
            {model: each.expected(*tokens) for model, each in rates if each}, picodollars(bound)
        )


def _inquired(classifier: Classifier, records: list[Record]) -> dict[str, int]:
    """How many texts each stage that asks a model would be asked about, if those before it learned nothing."""
    if not classifier.labellers:
        return {}
    found = dict.fromkeys(classifier.labellers, 0)
    sitting = classifier.begin(records)
    while (question := sitting.question) is not None:
        labeller = classifier.labellers[question.stage]
        shown = {labeller.shown(text) for text in question.columns.texts(labeller.text)}
        found[question.stage] = len(shown - {None})
        sitting.answer([UNDECIDED] * len(question.records))
    return found


def _by_first(job: Job, begun: Iterable[_Begun | Fault]) -> dict[str, int]:
    """Records by whom they ask first, most first, where that is not said by their route alone."""
    if not (job.input.model or job.input.profile or any(route.profiled for route in job.routes.values())):
        return {}
    found = Counter(" or ".join(each.first) for each in begun if isinstance(each, _Begun) and not each.dear)
    return dict(found.most_common())


def _sent(job: Job, request: Request, model: str) -> str:
    """The body as this model gets it."""
    adapter = Adapter.of(job.adaptation(model))
    asked = request if adapter is None else adapter.adapt(request)
    return _INLINE.sub(_shortened, payload(asked, job.provider_model(model)).decode())


def _shortened(image: re.Match[str]) -> str:
    return f"{image[1]}... {len(image[0]):,} characters"


def _places(batches: Iterable[Batch]) -> dict[_Spot, str]:
    """Where each record and reject stands, for people, in the order of the input."""
    found: dict[_Spot, str] = {}
    for batch in batches:
        spots = [(each.file, each.line) for each in batch.records]
        spots += [(each.file, each.line) for each in batch.rejects]
        found |= {spot: batch.place(*spot) for spot in sorted(spots)}
    return found


def _unusable(job: Job, places: dict[_Spot, str], faults: dict[_Spot, Fault]) -> str | None:
    soundness = Soundness(bound=job.input.max_bad)
    numbers = {spot: number for number, spot in enumerate(places)}
    bad = [
        (numbers[spot], each.error_type, f"{places[spot]}: {each.message}") for spot, each in faults.items()
    ]
    soundness.note(
        len(places), bad, next((number for spot, number in numbers.items() if spot not in faults), None)
    )
    return soundness.unusable()
