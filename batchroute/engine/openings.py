"""What a run and a preview of it open alike: a job's prompts, classifier and source, its routes and prices."""

import datetime as dt
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from batchroute.core.errors import InputError, JobError
from batchroute.core.money import Price
from batchroute.core.records import Record
from batchroute.core.requests import CAPS
from batchroute.io.functions import import_function
from batchroute.io.prices import resolve_price
from batchroute.io.sources.source import Source, open_source
from batchroute.job.jobs import Job
from batchroute.job.stages import PythonStage
from batchroute.routing.classifiers import Classifier
from batchroute.routing.functions import Function
from batchroute.routing.prompts import Prompts
from batchroute.routing.routes import Router, RouteRule

BATCH_RECORDS = 8192  # classification costs some 10 ms a batch whatever its size


class Opened(NamedTuple):
    """What reads records and makes requests of them."""

    prompts: Prompts
    classifier: Classifier
    source: Source


def opened(
    job: Job, *, since: float | None = None, spool: Path | None = None, also: Collection[str] = ()
) -> Opened:
    """Raise BatchrouteError for prompts, patterns or input that cannot be used.

    With `since`, seconds since the epoch, the source reads only files that were modified then or later. `spool` is
    the folder for copies of objects while they are read; by default where temporary files go. `also` names columns
    that are read beside those that the job needs.
    """
    prompts = Prompts(job.prompt, job.place)
    classifier = Classifier(job.classify, text=_texts(job, prompts), functions=_functions(job))
    columns = frozenset({*prompts.columns, *_columns_classified(job), *job.output.keep, *also})
    source = open_source(
        job.input.path,
        id_column=job.input.id,
        columns=columns,
        batch_records=BATCH_RECORDS,
        since=since,
        storage=job.input.storage_options,
        spool=spool,
    )
    _check_spelled(source, prompts)
    return Opened(prompts, classifier, source)


def _check_spelled(source: Source, prompts: Prompts) -> None:
    """Refuse a Parquet column of objects or lists where every prompt needs a text."""
    for name in sorted(prompts.spelled):
        kind = (source.schema or {}).get(name)
        if kind is not None and kind.is_nested():
            raise InputError(
                f"column {name!r} holds no text but {kind}. Write {{{{ {name}.member }}}} to show a member of "
                f"an object, or {{{{ {name} | tojson }}}} to show all of it",
                code="column_type",
            )


def prompt_warnings(prompts: Prompts) -> tuple[str, ...]:
    """What is odd about the prompts as such."""
    if prompts.columns:
        return ()
    return ("the prompt names no field of the records, so that all of them ask the same [template_no_field]",)


def router(job: Job) -> Router:
    """The job's routes, in their order."""
    return Router([_rule(name, job) for name in job.routes])


def model_price(job: Job, name: str, on: dt.date) -> Price | None:
    """What a declared model costs: as the job says, as its simulation says, or as the price list says."""
    model, known_as = job.models[name], job.provider_model(name)
    if model.price is not None:
        return model.price.price()
    provider = job.providers[model.provider]
    if provider.simulation is not None:
        simulated = provider.simulation.models.get(known_as)
        return simulated.price.value if simulated and simulated.price else None
    return resolve_price(
        None, provider_url=provider.base_url, provider_name=model.provider, model=known_as, on=on
    )


def capped(job: Job) -> bool:
    """Whether the job limits the output of every request."""
    return any(name in job.prompt.params for name in CAPS)


def check_bounded(job: Job, unpriced: Sequence[str]) -> None:
    """Refuse a job with a budget where the most that a request can cost is unknown. Raises JobError."""
    if job.budget is None:
        return
    if unpriced:
        raise JobError(
            f"there is a budget, and no price is known for {', '.join(unpriced)}. "
            f"Declare models.{unpriced[0]}.price, or take it off the routes [job_price]"
        )
    if not capped(job):
        raise JobError(
            "there is a budget, and the length of an answer has no limit. "
            "Declare prompt.params.max_tokens [job_no_output_cap]"
        )


def _functions(job: Job) -> dict[str, Function]:
    """The functions beside the job file that its stages name."""
    named = [stage.python for stage in job.classify if isinstance(stage, PythonStage)]
    return {name: import_function(name, job.directory) for name in named}


def _columns_classified(job: Job) -> set[str]:
    """The input columns that classification reads, beside those of the prompt."""
    named = {name for stage in job.classify for name in stage.reads()}
    return named if job.input.text is None else named | {job.input.text}


def _texts(job: Job, prompts: Prompts) -> Callable[[Sequence[Record]], list[str | None]]:
    """Where classification reads: the column that the job names, else what the prompt shows."""
    column = job.input.text
    if column is None:
        return prompts.texts

    def texts(records: Sequence[Record]) -> list[str | None]:
        values = [record.fields.get(column) for record in records]
        return [value if isinstance(value, str) else None for value in values]

    return texts


def _rule(name: str, job: Job) -> RouteRule:
    route = job.routes[name]
    return RouteRule(
        name=name,
        tasks=None if route.when.task is None else frozenset(route.when.task),
        complexities=None if route.when.complexity is None else frozenset(route.when.complexity),
        models=route.models,
    )
