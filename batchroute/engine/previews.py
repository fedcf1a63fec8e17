"""What a run would begin with, found without sending anything: it knows nothing of providers."""

import datetime as dt
import re
from contextlib import aclosing

from msgspec import Struct

from batchroute.core.records import Batch, Fault, Record
from batchroute.core.requests import Request
from batchroute.engine.clock import Clock
from batchroute.engine.openings import (
    check_bounded,
    check_priced,
    model_price,
    opened,
    prompt_warnings,
    routed,
    router,
)
from batchroute.job.jobs import Job
from batchroute.providers.connect import body
from batchroute.routing.adapters import Adapter
from batchroute.routing.routes import RouteRule
from batchroute.routing.soundness import Soundness

_INLINE = re.compile(r"(data:image/\w+;base64,.{8})[^\"]*")
"""An image within a request, which nobody wants to see as text."""


class Preview(Struct, frozen=True, kw_only=True):
    """What a run would begin with. `faults` are the places that would become dead letters, with the reason."""

    files: tuple[str, ...]
    bytes_total: int
    records: int
    routes: tuple[str, ...]
    faults: tuple[tuple[str, Fault], ...]
    never: tuple[str, ...]
    """Kept columns that none of the records has."""
    unpriced: tuple[str, ...]
    adapted: tuple[str, ...]
    """What requests are changed in for a model of a route, a line each."""
    request: str | None
    unusable: str | None
    """Why a run would stop at once: most of these records cannot be sent."""
    warnings: tuple[str, ...]


async def preview(job: Job, records: int = 1000) -> Preview:
    """Read, classify, route and render the first records, and send nothing.

    Raises BatchrouteError for what would prevent the run.
    """
    prompts, classifier, source = opened(job)
    async with aclosing(source.batches()) as batches:
        batch = (await anext(batches, Batch(records=[], rejects=[]))).first(records)
    routes = list(map(router(job).route, classifier.classify(batch.records)))
    rendered = [
        (record, _begun(prompts.render(record), record, route))
        for record, route in zip(batch.records, routes, strict=True)
    ]
    faults = {reject.line: reject.fault for reject in batch.rejects}
    faults.update((record.line, found) for record, found in rendered if isinstance(found, Fault))
    places = _places(batch)
    first = next((found for _, found in rendered if not isinstance(found, Fault)), None)
    today = dt.datetime.fromtimestamp(Clock().wall(), dt.UTC).date()
    unpriced = tuple(name for name in job.models if model_price(job, name, today) is None)
    check_bounded(job, today)
    check_priced(job, today)
    return Preview(
        files=tuple(file.name for file in source.files),
        bytes_total=source.bytes_total,
        records=len(batch),
        routes=tuple(route.name for route in routes),
        faults=tuple((places[line], faults[line]) for line in sorted(faults)),
        never=tuple(
            name for name in job.output.keep if not any(name in found.fields for found in batch.records)
        ),
        unpriced=unpriced,
        adapted=tuple(
            f"{name}: {adaptation.told()}"
            for name in routed(job)
            if (adaptation := job.adaptation(name)) is not None
        ),
        request=_sent(job, *first) if first else None,
        unusable=_unusable(job, places, faults),
        warnings=(*source.warnings, *prompt_warnings(prompts)),
    )


def _begun(request: Request | Fault, record: Record, route: RouteRule) -> tuple[Request, str] | Fault:
    """The request, and the first model of the route that can take it."""
    if isinstance(request, Fault):
        return request
    fitted = route.fitted(request, record.fields)
    return fitted if isinstance(fitted, Fault) else (request, fitted[0])


def _sent(job: Job, request: Request, model: str) -> str:
    """The body as this model gets it."""
    adapter = Adapter.of(job.adaptation(model))
    asked = request if adapter is None else adapter.adapt(request)
    return _INLINE.sub(_shortened, body(asked, job.provider_model(model)).decode())


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
