"""JSON Schemas of a job's own: read, found to be such, and compiled. The one door to jsonschema-rs.

jsonschema-rs, as it knows every draft, matches patterns in linear time, fetches nothing and checks an answer in
microseconds; fastjsonschema ends at draft 7 and matches with `re`, which a pattern can hold up for ever.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, JsonValue, ValidationInfo, WithJsonSchema

from batchroute.job.paths import Origin

_MOST_BYTES: Final = 4 << 20


def why_not(schema: dict[str, Any]) -> Callable[[Any], str | None]:
    """What tells of a value why it does not follow the schema, None where it does. Raises ValueError for no schema."""
    # only here, as most jobs have no schema, and it takes longer to import than a small job takes
    from jsonschema_rs import ReferencingError, RegexOptions, ValidationError, validator_for  # noqa: PLC0415

    try:
        validator = validator_for(schema, pattern_options=RegexOptions(), offline=True)
    except (ValidationError, ReferencingError, ValueError) as error:
        said = str(error).partition("\n")[0].rstrip(".").replace(". ", "; ")
        raise ValueError(f"is not a JSON Schema: {said}. Mend it") from error

    def complaint(value: Any) -> str | None:
        try:
            error = next(iter(validator.iter_errors(value)), None)
        except ValueError as unreadable:  # nested over 255 deep, or with half a character for a name
            return f"cannot be held against the schema: {unreadable}"
        if error is None:
            return None
        place = "".join(f"/{step}" for step in error.instance_path)
        return f"{place}: {error.message}" if place else error.message

    return complaint


def _schema(value: Any, info: ValidationInfo) -> Any:
    """The schema itself, read from its file where a file is named, and found to be one."""
    if isinstance(value, str) and value:
        value = _read(Path(info.context.absolute(value) if isinstance(info.context, Origin) else value))
    if isinstance(value, dict):
        why_not(value)
    return value


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}). Put the schema into {path}") from error
    if len(content) > _MOST_BYTES:
        raise ValueError(f"names {path}, which is larger than {_MOST_BYTES >> 20} MiB. Keep one schema in it")
    try:
        value = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"names {path}, which is not JSON. Mend it: {error}") from error
    if isinstance(value, dict):
        return value
    raise ValueError(f"names {path}, which holds no schema. Write a JSON object into it")


SchemaOrFile: TypeAlias = Annotated[
    dict[str, JsonValue],
    BeforeValidator(_schema),
    WithJsonSchema({"anyOf": [{"type": "object"}, {"type": "string", "minLength": 1}]}),
]
"""A JSON Schema, or in the job file the path of a file that holds one."""
