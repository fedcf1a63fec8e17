"""The JSON Schema of job files, from which editors complete keys and show what they are for."""

from typing import Any, Final, cast

from batchroute.job.jobs import Job

DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_NOISE: Final = frozenset({"title", "format", "writeOnly"})
_MAPS: Final = frozenset({"properties", "$defs"})


def job_schema() -> dict[str, Any]:
    """The schema of a job file as it is written: durations and secrets are text, paths are not yet absolute."""
    schema = cast("dict[str, Any]", _tidied(Job.model_json_schema(mode="validation")))
    return {"$schema": DIALECT, **schema, "title": "batchroute job"}


def _tidied(part: Any) -> Any:
    """Drop what editors show as noise: titles made of key names, password fields, `or null`, computed defaults."""
    if isinstance(part, list):
        return [_tidied(each) for each in part]
    if not isinstance(part, dict):
        return part
    tidy = {
        key: _named(value) if key in _MAPS else _tidied(value)
        for key, value in part.items()
        if key not in _NOISE
    }
    return _without_null(_duration_default(_counted(tidy)))


def _named(schemas: dict[str, Any]) -> dict[str, Any]:
    """Schemas by name, where a name may be any word, `title` too."""
    return {name: _tidied(schema) for name, schema in schemas.items()}


def _without_null(part: dict[str, Any]) -> dict[str, Any]:
    choices = [choice for choice in part.get("anyOf", []) if choice != {"type": "null"}]
    if "anyOf" in part and len(choices) < len(part["anyOf"]):
        rest = {
            key: value for key, value in part.items() if key != "anyOf" and (key, value) != ("default", None)
        }
        return {**choices[0], **rest} if len(choices) == 1 else {"anyOf": choices, **rest}
    return part


def _counted(part: dict[str, Any]) -> dict[str, Any]:
    """A list's least length, which pydantic writes as a text's where a validator stands before it."""
    if part.get("type") == "array" and "minLength" in part:
        part["minItems"] = part.pop("minLength")
    return part


def _duration_default(part: dict[str, Any]) -> dict[str, Any]:
    default = part.get("default")
    if part.get("type") == "string" and isinstance(default, float):
        return {**part, "default": f"{default:g}s"}
    return part
