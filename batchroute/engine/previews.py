"""What a run would begin with, found without sending anything: it knows nothing of providers."""

import datetime as dt
import re
from collections import Counter
from collections.abc import Iterable
from contextlib import aclosing
from typing import NamedTuple

from msgspec import Struct

from batchroute.core.records import Batch, Fault, Labels, Record
from batchroute.core.requests import Request
from batchroute.engine.clock import Clock
from batchroute.engine.forms import answer_forms
from batchroute.engine.openings import (
    check_bounded,
    check_priced,
    model_price,
    models_asked,
    opened,
    prompt_warnings,
    router,
    wishes,
)
from batchroute.job.jobs import Job
from batchroute.providers.payloads import payload
from batchroute.routing.adapters import Adapter
from batchroute.routing.classifiers import Classifier
from batchroute.routing.forms import Formed
from batchroute.routing.opinions import UNDECIDED
from batchroute.routing.routes import RouteRule
from batchroute.routing.soundness import Soundness
from batchroute.routing.wishes import Wishes

_INLINE = re.compile(r"(data:image/\w+;base64,.{8})[^\"]*")
"""An image within a request, which nobody wants to see as text."""


class Preview(Struct, frozen=True, kw_only=True):
    """What a run would begin with. `faults` are the places that would become dead letters, with the reason."""

    files: tuple[str, ...]
    bytes_total: int
    records: int
    routes: tuple[str, ...]
    begun: dict[str, int]
    """Records by the models that they may begin with, where profiles or records themselves have a say."""
    faults: tuple[tuple[str, Fault], ...]
    never: tuple[str, ...]
    """Kept columns that none of the records has."""
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


async def preview(job: Job, records: int = 1000) -> Preview:
    """Read, classify, route and render the first records, and send nothing.

    Raises BatchrouteError for what would prevent the run.
    """
    prompts, classifier, source = opened(job)
    async with aclosing(source.batches()) as batches:
        batch = (await anext(batches, Batch(records=[], rejects=[]))).first(records)
    labels = classifier.classify(batch.records)
    routes = list(map(router(job).route, labels))
    today = dt.datetime.fromtimestamp(Clock().wall(), dt.UTC).date()
    wished = wishes(job, today)
    forms = answer_forms(job)
    rendered = [
        (record, _begun(prompts.render(record), record, label, route, wished, forms.get(route.name)))
        for record, route, label in zip(batch.records, routes, labels, strict=True)
    ]
    faults = {reject.line: reject.fault for reject in batch.rejects}
    faults.update((record.line, found) for record, found in rendered if isinstance(found, Fault))
    places = _places(batch)
    first = next((found for _, found in rendered if not isinstance(found, Fault)), None)
    unpriced = tuple(name for name in job.models if model_price(job, name, today) is None)
    check_bounded(job, today)
    check_priced(job, today)
    return Preview(
        files=tuple(file.name for file in source.files),
        bytes_total=source.bytes_total,
        records=len(batch),
        routes=tuple(route.name for route in routes),
        begun=_by_first(job, (found for _, found in rendered)),
        faults=tuple((places[line], faults[line]) for line in sorted(faults)),
        never=tuple(
            name for name in job.output.keep if not any(name in found.fields for found in batch.records)
        ),
        inquired=_inquired(classifier, batch.records),
        unpriced=unpriced,
        adapted=tuple(
            f"{name}: {adaptation.told()}"
            for name in models_asked(job)
            if (adaptation := job.adaptation(name)) is not None
        ),
        request=_sent(job, first.request, first.model) if first else None,
        unusable=_unusable(job, places, faults),
        warnings=(*source.warnings, *prompt_warnings(prompts, job), *_unsaid(job, batch.records)),
    )


def _begun(
    request: Request | Fault,
    record: Record,
    labels: Labels,
    route: RouteRule,
    wished: Wishes | None,
    formed: Formed | None,
) -> _Begun | Fault:
    """How the record sets out: with the request, to the first model of the route that can take it."""
    if isinstance(request, Fault):
        return request
    own = route if wished is None else wished.of(route, labels.task, record.fields)
    if isinstance(own, Fault):
        return own
    fitted = own.fitted(request, record.fields)
    if isinstance(fitted, Fault):
        return fitted
    asked = request if formed is None else formed.asked(request, fitted[0])
    return _Begun(asked, fitted[0], own.alternatives(fitted))


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


def _unsaid(job: Job, records: list[Record]) -> Iterable[str]:
    """Columns that records are to choose by and none of them has: a slip that would cost money, not records."""
    named = {"model": None if job.asks_by_body else job.input.model, "profile": job.input.profile}
    for key, column in named.items():
        if column is not None and records and not any(column in record.fields for record in records):
            yield f"no record has {column}, the column that input.{key} names: all go by the job's routes"


def _by_first(job: Job, begun: Iterable[_Begun | Fault]) -> dict[str, int]:
    """Records by whom they ask first, most first, where that is not said by their route alone."""
    if not (job.input.model or job.input.profile or any(route.profiled for route in job.routes.values())):
        return {}
    found = Counter(" or ".join(each.first) for each in begun if not isinstance(each, Fault))
    return dict(found.most_common())


def _sent(job: Job, request: Request, model: str) -> str:
    """The body as this model gets it."""
    adapter = Adapter.of(job.adaptation(model))
    asked = request if adapter is None else adapter.adapt(request)
    return _INLINE.sub(_shortened, payload(asked, job.provider_model(model)).decode())


def _shortened(image: re.Match[str]) -> str:
    return f"{image[1]}... {len(image[0]):,} characters"


def _places(batch: Batch) -> dict[int, str]:
    """Where each record and reject stands, by its line, in the order of the input."""
    found = {record.line: record.file for record in batch.records}
    found.update((reject.line, reject.file) for reject in batch.rejects)
    return {line: batch.place(found[line], line) for line in sorted(found)}


def _unusable(job: Job, places: dict[int, str], faults: dict[int, Fault]) -> str | None:
    soundness = Soundness(bound=job.input.max_bad)
    bad = [(line, each.error_type, f"{places[line]}: {each.message}") for line, each in faults.items()]
    soundness.note(len(places), bad, next((line for line in places if line not in faults), None))
    return soundness.unusable()
