"""The forms of a job's answers, opened: schemas read off classes, types of the column that holds the values."""

from functools import partial
from typing import Any

import polars as pl
from pydantic import BaseModel, ValidationError

from batchroute.core.errors import JobError
from batchroute.core.results import PARSED
from batchroute.io.functions import import_function
from batchroute.io.parsed import labels_type, merged, schema_type
from batchroute.job.forms import Form as Declared
from batchroute.job.jobs import Job, Prompt
from batchroute.routing.forms import Formed, JsonForm, LabelForm


def answer_forms(job: Job) -> dict[str, Formed]:
    """The form of every route whose answers have to have one. Raises JobError for a class that has no schema."""
    formats = {model: job.answers_in(model) for model in job.models}  # records may wish for any of them
    return {
        name: Formed(_form(job, declared), formats)
        for name in job.routes
        if (declared := job.form(name)) is not None
    }


def parsed_type(job: Job) -> dict[str, pl.DataType]:
    """The type of the column `parsed`, the same in every part; nothing where no route has a form."""
    types = [
        labels_type(declared.labels) if declared.labels else schema_type(_schema(job, declared))
        for name in job.routes
        if (declared := job.form(name)) is not None
    ]
    return {PARSED: merged(types)} if types else {}


def _form(job: Job, declared: Declared) -> JsonForm | LabelForm:
    if declared.labels is not None:
        return LabelForm(declared.labels, _told(job.prompt))
    if declared.json_schema is not None:
        return JsonForm(dict(declared.json_schema))
    found = _class(job, declared)
    return JsonForm(_schema_of(found), partial(_refusal, found))


def _told(prompt: Prompt) -> list[str]:
    """The texts that every request has in it."""
    texts = [prompt.system, prompt.user, *(message.content for message in prompt.messages or ())]
    return [text for text in texts if text is not None]


def _schema(job: Job, declared: Declared) -> dict[str, Any]:
    if declared.json_schema is not None:
        return dict(declared.json_schema)
    return _schema_of(_class(job, declared))


def _class(job: Job, declared: Declared) -> type[BaseModel]:
    assert declared.pydantic is not None, "a form has one of the three"
    found = import_function(declared.pydantic, job.directory)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise JobError(
            f"response.pydantic: {declared.pydantic} is no pydantic model. Derive it from pydantic.BaseModel [job_response]"
        )
    return found


def _schema_of(found: type[BaseModel]) -> dict[str, Any]:
    try:
        return found.model_json_schema()
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        raise JobError(
            f"response.pydantic: {found.__name__} has no JSON Schema: {error} [job_response]"
        ) from error


def _refusal(found: type[BaseModel], answer: str) -> str | None:
    """Why the class does not take an answer that fits its schema, which says little of formats and nothing of validators."""
    try:
        found.model_validate_json(answer)
    except ValidationError as error:
        told = error.errors(include_url=False, include_context=False, include_input=False)
        return "; ".join(
            ": ".join((".".join(map(str, each["loc"])), each["msg"])).removeprefix(": ") for each in told
        )
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001  whatever validators of the job's own do, sys.exit included
        return f"made {found.__name__} raise {type(error).__name__}: {error}"
    return None
