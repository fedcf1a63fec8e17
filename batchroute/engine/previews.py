"""What a run would begin with, found without sending anything: it knows nothing of providers."""

import datetime as dt
from contextlib import aclosing

from msgspec import Struct

from batchroute.core.records import Batch, Fault
from batchroute.core.requests import Request
from batchroute.engine.clock import Clock
from batchroute.engine.openings import model_price, opened, router
from batchroute.job.jobs import Job


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
    request: str | None
    warnings: tuple[str, ...]


async def preview(job: Job, records: int = 1000) -> Preview:
    """Read, classify, route and render the first records, and send nothing.

    Raises BatchrouteError for what would prevent the run.
    """
    prompts, classifier, source = opened(job)
    async with aclosing(source.batches()) as batches:
        batch = (await anext(batches, Batch(records=[], rejects=[]))).first(records)
    rendered = [(record, prompts.render(record)) for record in batch.records]
    faults = [(f"{reject.file}:{reject.line}", reject.fault) for reject in batch.rejects]
    faults += [
        (f"{record.file}:{record.line}", found) for record, found in rendered if isinstance(found, Fault)
    ]
    routes = list(map(router(job).route, classifier.classify(batch.records)))
    first = next((found for _, found in rendered if isinstance(found, Request)), None)
    today = dt.datetime.fromtimestamp(Clock().wall(), dt.UTC).date()
    return Preview(
        files=tuple(file.name for file in source.files),
        bytes_total=source.bytes_total,
        records=len(batch),
        routes=tuple(route.name for route in routes),
        faults=tuple(faults),
        never=tuple(
            name for name in job.output.keep if not any(name in found.fields for found in batch.records)
        ),
        unpriced=tuple(name for name in job.models if model_price(job, name, today) is None),
        request=first.body(job.provider_model(routes[0].models[0])).decode() if first else None,
        warnings=source.warnings,
    )
