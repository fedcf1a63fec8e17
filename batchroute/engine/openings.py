"""What a run and a preview of it open alike: a job's prompts, classifier and source, its routes and prices."""

import datetime as dt
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from batchroute.core.errors import InputError, JobError
from batchroute.core.money import Price, Rates
from batchroute.core.records import Record
from batchroute.engine.demands import demanded, judges
from batchroute.engine.forms import answer_forms
from batchroute.io.functions import import_function
from batchroute.io.images import Images
from batchroute.io.prices import resolve_context, resolve_price
from batchroute.io.sources.files import SourceFile
from batchroute.io.sources.source import Source, open_source
from batchroute.job.jobs import Job, Model, Route
from batchroute.job.parameters import misspelt
from batchroute.job.problems import nearest
from batchroute.job.profiles import PROFILES
from batchroute.job.stages import PythonStage
from batchroute.routing.absences import Naming
from batchroute.routing.adapters import Adapter
from batchroute.routing.classifiers import Classifier
from batchroute.routing.fingerprints import shares
from batchroute.routing.fits import Ability, Fitting, primary
from batchroute.routing.forms import Formed
from batchroute.routing.functions import Function
from batchroute.routing.messages import output_cap
from batchroute.routing.prompts import Prompts
from batchroute.routing.rankings import Merit
from batchroute.routing.routes import Router, RouteRule
from batchroute.routing.strategies import Order, Strategy, groups_of
from batchroute.routing.wishes import Wishes

BATCH_RECORDS = 8192  # classification costs some 10 ms a batch whatever its size
BATCH_ASKED = 1024  # where it asks a model, the records of a batch wait for the last of its answers
BATCH_PICTURED = 64
"""Records with images that are read at once: all of a batch goes through memory, and what waits of it to a file."""


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
    prompts = Prompts(job.prompt, job.place, endpoint=job.endpoint, vectors=job.vectors)
    classifier = Classifier(
        job.classify,
        text=_texts(job, prompts),
        functions=_functions(job),
        known_as=job.known_as,
        endpoint=job.endpoint,
    )
    columns = frozenset({*prompts.columns, *(named.column for named in columns_named(job)), *also})
    source = open_source(
        job.input.path,
        id_column=job.input.id,
        columns=columns,
        batch_records=_batch_records(prompts, classifier),
        since=since,
        storage=job.input.storage_options,
        spool=spool,
        binary=frozenset(prompts.images),
    )
    if prompts.images:
        prompts.look = _images(job, source.files).of
    _check_spelled(source, prompts)
    return Opened(prompts, classifier, source)


def _images(job: Job, files: Collection[SourceFile]) -> Images:
    """What finds the images of records: paths begin where their input file is, or where the job says."""
    declared = job.prompt.image_folder
    return Images(
        job.prompt.images,
        most_bytes=int(job.prompt.max_image_mb * 1e6),
        folders={
            file.name: (declared, declared) if declared is not None else (file.path.parent, file.root)
            for file in files
            if declared is not None or file.place is None
        },
    )


def _batch_records(prompts: Prompts, classifier: Classifier) -> int:
    if prompts.images:
        return BATCH_PICTURED
    return BATCH_ASKED if classifier.labellers else BATCH_RECORDS


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


def job_warnings(prompts: Prompts, classifier: Classifier, job: Job) -> tuple[str, ...]:
    """What is odd about what is asked and how it is routed, whatever the records."""
    params = {"prompt.params": job.prompt.params}
    params |= {f"models.{name}.adapt.extra": model.adapt.extra for name, model in job.models.items()}
    warnings = [
        f"{place}.{name} is no parameter that we know, did you mean {meant}? It is sent as it stands [job_param]"
        for place, some in params.items()
        for name, meant in misspelt(some)
    ]
    if not prompts.columns:
        warnings.append(
            "the prompt names no field of the records, so that all of them ask the same [template_no_field]"
        )
    if job.cache is not None and not shares(job.dedupe, job.prompt.params):
        warnings.append(
            "cache: no record takes an answer from it, as each is sent by itself: "
            f"{'dedupe is false' if job.dedupe is False else 'the temperature asks for chance'}. "
            "Declare dedupe: true to have it looked up [job_cache]"
        )
    return (*warnings, *_never_named(classifier, job))


def _never_named(classifier: Classifier, job: Job) -> Iterator[str]:
    """Tasks that routes wait for and no stage gives."""
    given = classifier.tasks
    if given is None:
        return
    for name, route in job.routes.items():
        for task in route.when.task or ():
            if task not in given:
                yield (
                    f"routes.{name}.when.task names {task}, and no stage of classify gives that task"
                    f"{nearest(task, given) or '.'} No record comes to the route by it [job_task]"
                )


def router(job: Job) -> Router:
    """The job's routes, in their order."""
    contexts, forms = _contexts(job), answer_forms(job)
    return Router([_rule(name, route, job, contexts, forms.get(name)) for name, route in job.routes.items()])


def wishes(job: Job, on: dt.date) -> Wishes | None:
    """What the routes become by what records ask for themselves; None where they cannot."""
    if job.input.model is None and job.input.profile is None:
        return None
    contexts, forms = _contexts(job), answer_forms(job)
    merits = [] if job.input.model is None else [_merit(job, name, on) for name in job.models]
    return Wishes(
        job, merits, lambda name, route, key: _rule(name, route, job, contexts, forms.get(name), key)
    )


def routed(job: Job) -> tuple[str, ...]:
    """The models that may be asked: those that some route names, in the order in which they are named first, and
    where records name theirs all the others.
    """
    return tuple(dict.fromkeys(name for route in job.routes.values() for name in _asked(route, job)))


def _asked(route: Route, job: Job) -> tuple[str, ...]:
    """The models that records of a route may come to."""
    profiles = PROFILES if job.input.profile is not None and route.profiled else ()
    by_profile = [name for profile in profiles for name in route.chosen(profile).models]
    by_name = job.models if job.input.model is not None else ()
    return tuple(dict.fromkeys([*route.models, *by_profile, *by_name]))


def models_asked(job: Job) -> tuple[str, ...]:
    """The models that a run may send something to: those of routes, those that label records, and judges."""
    return tuple(dict.fromkeys((*routed(job), *job.labelling(), *judges(job))))


def order(route: Route) -> Order | None:
    """How a route chooses; None where it tries its models as they are written."""
    groups = groups_of(route.listed, Strategy(route.strategy))
    if all(len(group) == 1 for group in groups) and route.max_cost is None:
        return None
    return Order(groups=groups, strategy=Strategy(route.strategy), weights=route.weights)


def model_context(job: Job, name: str) -> int | None:
    """The tokens that a request to a declared model and its answer may have together, None for unknown.

    The price list is asked only where it is asked for the price as well: to open it takes half a second.
    """
    model = job.models[name]
    provider = job.providers[model.provider]
    if model.context is not None or model.price is not None or provider.simulation is not None:
        return model.context
    return resolve_context(
        provider_url=provider.base_url,
        provider_name=provider.preset or model.provider,
        model=job.provider_model(name),
    )


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
        None,
        provider_url=provider.base_url,
        provider_name=provider.preset or model.provider,
        model=known_as,
        on=on,
    )


def model_rates(job: Job, name: str, on: dt.date) -> Rates | None:
    """What a request to a declared model costs, on the service tier that the job asks it for."""
    price = model_price(job, name, on)
    return None if price is None else Rates.of(price).asked_for(_service_tier(job, name))


def _service_tier(job: Job, model: str) -> str | None:
    """The tier that requests to this model ask for; the answer says which one it was."""
    params, adapter = job.prompt.params, Adapter.of(job.adaptation(model))
    asked = (params if adapter is None else adapter.params(params)).get("service_tier")
    return asked if isinstance(asked, str) else None


def capped(job: Job, model: str) -> bool:
    """Whether the job limits the output of every request to this model; vectors are none."""
    return job.vectors is not None or _caps(job, model, job.prompt.params)


def _caps(job: Job, model: str, params: Mapping[str, Any]) -> bool:
    adapter = Adapter.of(job.adaptation(model))
    if adapter is None:
        return output_cap(dict(params)) is not None
    return adapter.cap(adapter.params(params)) is not None


def check_bounded(job: Job, on: dt.date) -> None:
    """Refuse a job with a budget where the most that a request can cost is unknown. Raises JobError."""
    if job.budget is None:
        return
    unpriced = [name for name in models_asked(job) if model_price(job, name, on) is None]
    if unpriced:
        raise JobError(
            f"there is a budget, and no price is known for {', '.join(unpriced)}. "
            f"Declare models.{unpriced[0]}.price, or take it off the routes and stages [job_price]"
        )
    endless = [name for name in routed(job) if not capped(job, name)]
    endless += [name for name in job.labelling() if not _caps(job, name, {"max_tokens": 1})]
    if endless and output_cap(job.prompt.params) is not None:
        raise JobError(
            f"there is a budget, and models.{endless[0]}.adapt takes the limit of an answer away. "
            f"Keep it, or add max_tokens to models.{endless[0]}.adapt.extra [job_no_output_cap]"
        )
    if endless:
        raise JobError(
            "there is a budget, and the length of an answer has no limit. "
            "Declare prompt.params.max_tokens [job_no_output_cap]"
        )


def check_priced(job: Job, on: dt.date) -> None:
    """Refuse a route that goes by what its models cost where that is unknown of one. Raises JobError."""
    for name, route in job.routes.items():
        if route.max_cost is None and route.strategy != "cheapest":
            continue
        key = "max_cost" if route.max_cost is not None else "strategy"
        unknown = [model for model in _asked(route, job) if model_price(job, model, on) is None]
        if unknown:
            raise JobError(
                f"routes.{name}.{key} goes by prices, and no price is known for {', '.join(unknown)}. "
                f"Declare models.{unknown[0]}.price, or take it off the route [job_price]"
            )


def _functions(job: Job) -> dict[str, Function]:
    """The functions beside the job file that its stages name."""
    named = [stage.python for stage in job.classify if isinstance(stage, PythonStage)]
    return {name: import_function(name, job.directory) for name in named}


def columns_named(job: Job) -> Iterator[Naming]:
    """The input columns that are read or kept beside the id and those of the prompt."""
    for index, stage in enumerate(job.classify):
        for column in sorted(stage.reads()):
            yield Naming(f"classify[{index}]", column, "The stage learns nothing from it")
    model = None if job.asks_by_body else job.input.model  # the body is read for the prompt
    by_routes = "All go by the job's routes"
    for key, name, effect in (
        ("text", job.input.text, "Classification reads no text"),
        ("language", job.input.language, "No language is known"),
        ("profile", job.input.profile, by_routes),
        ("model", model, by_routes),
    ):
        if name is not None:
            yield Naming(f"input.{key}", name, effect)
    for column in job.output.keep:
        yield Naming("output.keep", column, "It is kept as null")


def _texts(job: Job, prompts: Prompts) -> Callable[[Sequence[Record]], list[str | None]]:
    """Where classification reads: the column that the job names, else what the prompt shows."""
    column = job.input.text
    if column is None:
        return prompts.texts

    def texts(records: Sequence[Record]) -> list[str | None]:
        values = [record.fields.get(column) for record in records]
        return [value if isinstance(value, str) else None for value in values]

    return texts


def _contexts(job: Job) -> dict[str, int | None]:
    return {name: model_context(job, name) for name in routed(job)}


def _merit(job: Job, name: str, on: dt.date) -> Merit:
    model, price = job.models[name], model_price(job, name, on)
    rates = None if price is None else Rates.of(price)
    return Merit(
        model=name,
        price=None if rates is None else rates.input + rates.output,
        quality=model.quality,
        strengths=frozenset(model.strengths),
    )


def _rule(
    name: str,
    route: Route,
    job: Job,
    contexts: Mapping[str, int | None],
    formed: Formed | None,
    variant: str = "",
) -> RouteRule:
    choice = order(route)
    fitting = _fitting(job, route, contexts)
    declared = _fitting(job, route, {model: job.models[model].context for model in route.models})
    return RouteRule(
        name=name,
        tasks=None if route.when.task is None else frozenset(route.when.task),
        complexities=None if route.when.complexity is None else frozenset(route.when.complexity),
        models=route.models,
        fitting=fitting if fitting.narrows else None,
        spread=declared.narrows,
        groups=None if choice is None else choice.groups,
        variant=variant,
        form=("" if formed is None else formed.form.identity) + demanded(job, name),
    )


def _fitting(job: Job, route: Route, contexts: Mapping[str, int | None]) -> Fitting:
    formed = (route.response or job.response) is not None  # then models without json_schema are told in words
    abilities = [_ability(model, job.models[model], contexts[model], formed=formed) for model in route.models]
    return Fitting(abilities, language=job.input.language)


def _ability(name: str, model: Model, context: int | None, *, formed: bool) -> Ability:
    return Ability(
        model=name,
        context=context,
        vision=model.vision,
        json_schema=None if formed else model.json_schema,
        languages=None if model.languages is None else frozenset(map(primary, model.languages)),
    )
