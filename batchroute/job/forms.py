"""The form that an answer must have, as a job file declares it: JSON of a schema, or one of some labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Self, TypeAlias

import msgspec
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from batchroute.core.results import PARSED
from batchroute.job.documents import Node
from batchroute.job.functions import FunctionName, missing
from batchroute.job.paths import Origin
from batchroute.job.problems import KeyPath, Problem
from batchroute.job.spec import Listed, Spec, Text, distinct

if TYPE_CHECKING:
    from jsonschema_rs import Validator

_MAX_BYTES: Final = 1 << 20
_CODE: Final = "job_response"
_CLASS: Final = "Write module:Class, such as orders:Order for Order in orders.py beside the job file"


def validator(schema: dict[str, Any]) -> "Validator":
    """What tells whether a value fits a JSON Schema. Raises ValueError for what is none, or refers to elsewhere."""
    import jsonschema_rs  # noqa: PLC0415  0.06 s that only a job with a schema spends

    try:
        return jsonschema_rs.validator_for(schema, offline=True)
    except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError) as error:
        said = getattr(error, "message", str(error)).partition("\n")[0].replace(". ", "; ").rstrip(".")
        at = "".join(f"/{step}" for step in getattr(error, "instance_path", ()))
        raise ValueError(f"is no JSON Schema: {at or 'it'}: {said}. Mend it") from error


def _schema(value: Any, info: ValidationInfo) -> Any:
    """The schema itself, read from its file where the job names one."""
    if not isinstance(value, str) or not value:
        return value
    origin = info.context
    path = Path(origin.absolute(value) if isinstance(origin, Origin) else value)
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}). Write the schema into {path}") from error
    if len(content) > _MAX_BYTES:
        raise ValueError("is larger than 1 MiB. Keep one schema in it and nothing else")
    try:
        found = msgspec.json.decode(content)
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"names {path}, which is not JSON ({error}). Mend it") from error
    if not isinstance(found, dict):
        raise ValueError(f"names {path}, which holds no object. Write a JSON Schema into it")  # noqa: TRY004  pydantic's
    return found


def _valid(schema: dict[str, JsonValue]) -> dict[str, JsonValue]:
    validator(schema)
    return schema


def _class(text: str) -> str:
    try:
        FunctionName.of(text)
    except ValueError as error:
        raise ValueError(f"is not the name of a class. {_CLASS}") from error
    return text


def read_alike(label: str) -> str:
    """A label without what makes no difference: the case of letters, and how much blank there is."""
    return " ".join(label.split()).casefold()


def _apart(labels: tuple[str, ...]) -> tuple[str, ...]:
    first: dict[str, str] = {}
    for label in labels:
        other = first.setdefault(read_alike(label), label)
        if other is not label or not label.strip():
            raise ValueError(f"has {other!r} and {label!r}, which read alike. Rename one of them")
    return labels


Schema: TypeAlias = Annotated[
    dict[str, JsonValue],
    BeforeValidator(_schema),
    AfterValidator(_valid),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string", "minLength": 1}]}),
]
"""A JSON Schema, or in the job file the path of one."""


class Form(Spec):
    """What an answer has to be. One that is not is sent back once, and then the next model is asked."""

    model_config = ConfigDict(serialize_by_alias=True)

    json_schema: Schema | None = Field(
        alias="schema",
        default=None,
        description="A JSON Schema, or a .json file with one, relative to the job file: the answer is JSON that fits.",
    )
    pydantic: Annotated[Text, AfterValidator(_class)] | None = Field(
        default=None, description="module:Class, a pydantic model beside the job file, in place of schema."
    )
    labels: (
        Annotated[
            tuple[Text, ...],
            Listed,
            Field(min_length=2),
            AfterValidator(distinct),
            AfterValidator(_apart),
        ]
        | None
    ) = Field(default=None, description="The answer is one of these, such as [positive, negative, neutral].")

    @model_validator(mode="after")
    def _one_kind(self) -> Self:
        given = [
            name
            for name, value in (
                ("schema", self.json_schema),
                ("pydantic", self.pydantic),
                ("labels", self.labels),
            )
            if value is not None
        ]
        if len(given) != 1:
            has = f"has {' and '.join(given)}" if given else "has none of schema, pydantic and labels"
            raise ValueError(f"{has}. Keep exactly one of the three")
        return self


def misfits(root: Node, origin: Origin) -> Iterator[Problem]:
    """Responses that contradict the rest of the job, or whose class is not beside the job file."""
    declared = list(_declared(root))
    if not declared:
        return
    asked = root.find("prompt", "params", "response_format")
    if asked is not None:
        yield _problem(
            asked, ("prompt", "params", "response_format"), "is what response says", "Keep one of the two"
        )
    keep = root.find("output", "keep")
    for index, node in enumerate(keep.elements() if keep else ()):
        if node.text() == PARSED:
            yield _problem(
                node,
                ("output", "keep", index),
                "is the column of what response parses",
                "Rename it in the input",
            )
    for path, node in declared:
        yield from _classless(node, path, origin)


def _declared(root: Node) -> Iterator[tuple[KeyPath, Node]]:
    """The responses of the job and of its routes."""
    own = root.child("response")
    if own is not None and own.value is not None:
        yield ("response",), own
    routes = root.child("routes")
    for name, route in (routes.entries() if routes else {}).items():
        found = route.child("response")
        if found is not None and found.value is not None:
            yield ("routes", name, "response"), found


def _classless(response: Node, path: KeyPath, origin: Origin) -> Iterator[Problem]:
    node = response.child("pydantic")
    try:
        name = FunctionName.of((node.text() if node else None) or "")
    except ValueError:
        return  # said elsewhere
    reason = missing(name, Path(origin.absolute(".")))
    if node is not None and reason is not None:
        what, _, remedy = reason.rpartition(". ")
        yield _problem(node, (*path, "pydantic"), what, remedy)


def _problem(node: Node, path: KeyPath, reason: str, remedy: str) -> Problem:
    return Problem(mark=node.mark, path=path, reason=reason, remedy=remedy, code=_CODE)
