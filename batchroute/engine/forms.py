"""The forms of a job's answers, opened: schemas read off classes, types of the column that holds the values."""

from typing import Any

import polars as pl
from pydantic import BaseModel

from batchroute.core.errors import JobError
from batchroute.core.results import PARSED
from batchroute.io.functions import import_function
from batchroute.io.parsed import labels_type, merged, schema_type
from batchroute.job.forms import Form as Declared
from batchroute.job.jobs import Job, Prompt
from batchroute.routing.forms import Formed, JsonForm, LabelForm


def answer_forms(job: Job) -> dict[str, Formed]:
    """The form of every route whose answers have to have one. Raises JobError for a class that has no schema."""
    return {
        name: Formed(_form(job, declared), {model: job.answers_in(model) for model in route.models})
        for name, route in job.routes.items()
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
    return JsonForm(_schema(job, declared))


def _told(prompt: Prompt) -> list[str]:
    """The texts that every request has in it."""
    texts = [prompt.system, prompt.user, *(message.content for message in prompt.messages or ())]
    return [text for text in texts if text is not None]


def _schema(job: Job, declared: Declared) -> dict[str, Any]:
    if declared.json_schema is not None:
        return dict(declared.json_schema)
    assert declared.pydantic is not None, "a form has one of the three"
    name = declared.pydantic
    found = import_function(name, job.directory)
    if not (isinstance(found, type) and issubclass(found, BaseModel)):
        raise JobError(
            f"response.pydantic: {name} is no pydantic model. Derive it from pydantic.BaseModel [job_response]"
        )
    try:
        return found.model_json_schema()
    except Exception as error:
        raise JobError(f"response.pydantic: {name} has no JSON Schema: {error} [job_response]") from error
