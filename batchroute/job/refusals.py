"""pydantic's errors as problems that name a place in the file and say what to write instead."""

import re
from collections.abc import Iterable, Iterator
from types import UnionType
from typing import Annotated, Any, Final, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from batchroute.job.addresses import HEADER_NAME
from batchroute.job.documents import Node
from batchroute.job.environment import is_secret
from batchroute.job.problems import KeyPath, Problem, closest, nearest, split
from batchroute.job.spec import KEY, NAME

_KEY: Final = "[key]"  # pydantic's mark of an error about a key rather than its value
_SENTENCES: Final = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}. Write {ge} or more",
    "less_than": "must be less than {lt}. Write a smaller number",
    "less_than_equal": "must be at most {le}. Write {le} or less",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "decimal_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_type": "must be true or false. Write it without quotes",
    "string_type": "must be text",
    "path_type": "must be a path",
    "string_too_short": "must not be empty",
    "string_unicode": "must be valid Unicode. Remove the half of a character",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must not be empty",
    "too_long": "must have at most {max_length} of them",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "tuple_type": "must be a list. Write [a, b]",
    "list_type": "must be a list. Write [a, b]",
    "dict_type": "must be a mapping. Write keys with their values",
    "model_type": "must be a mapping. Write keys with their values",
    "model_attributes_type": "must be a mapping. Write keys with their values",
}
_SPELLINGS: Final = {
    NAME: "must be small letters, digits, - and _, at most 64, and begin with a letter or digit. Rename it",
    KEY: "must be letters, digits and any of ._:/@-, at most 100, and begin with a letter or digit. Rename it",
    HEADER_NAME: "is not the name of a header. Use letters, digits and -",
}
_PLAIN_URL: Final = re.compile(r"[^@?#]*")  # no place for a password or a key
_QUOTED: Final = re.compile(r"'([^']*)'")
_WORDS: Final[dict[str | int, str]] = {
    "base_url": "job_base_url",
    "api_key": "env_malformed",
    "headers": "job_header",
    "price": "job_price",
    "timeout": "job_duration",
    "sql": "job_sql",
    "checks": "job_check",
    "last_resort": "job_check",
    "python": "job_function",
    "response": "job_response",
}
_RANGES: Final = frozenset(
    {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
)
_NUMBERS: Final = frozenset({"int_type", "int_from_float", "float_type", "decimal_type"})


def problems_of(error: ValidationError, root: Node, model: type[BaseModel]) -> Iterator[Problem]:
    """Every error that validating the tree against the model gave, in pydantic's order."""
    for details in error.errors(include_url=False):
        path, node = _located(root, details["loc"])
        if details["type"] == "missing":
            yield _missing(details, path, node, model)
        elif details["type"] == "extra_forbidden":
            yield _unknown(path, node, model)
        else:
            yield _wrong(details, path, node, model)


def _located(root: Node, loc: KeyPath) -> tuple[KeyPath, Node]:
    """Follow a location as far as the tree goes, past the names of a union's choices."""
    path: KeyPath = ()
    node = root
    for step in loc:
        child = node.child(step)
        if child is not None:
            path, node = (*path, step), child
    return path, node


def _missing(details: ErrorDetails, path: KeyPath, node: Node, model: type[BaseModel]) -> Problem:
    key = str(details["loc"][-1])
    field = _fields(model, path).get(key)
    about = f": {field.description}" if field and field.description else ""
    return Problem(
        mark=node.key,
        path=(*path, key),
        reason="is missing",
        remedy=f"Add {key}{about}",
        code="job_key_missing",
    )


def _unknown(path: KeyPath, node: Node, model: type[BaseModel]) -> Problem:
    known = _fields(model, path[:-1])
    hint = nearest(str(path[-1]), known)
    home = "" if hint else _home(str(path[-1]), known)
    remedy = "" if hint else home or f"Known here: {', '.join(known)}"
    return Problem(
        mark=node.key, path=path, reason=f"unknown key{hint}", remedy=remedy, code="job_unknown_key"
    )


def _home(key: str, fields: dict[str, FieldInfo]) -> str:
    """Advice for a key that belongs one level deeper, such as rpm, which stands in limits."""
    homes = [name for name, field in fields.items() if key in _named(_choices(field.annotation))]
    return f"Write it in {homes[0]}" if homes else ""


def _wrong(details: ErrorDetails, path: KeyPath, node: Node, model: type[BaseModel]) -> Problem:
    reason, remedy = split(_sentence(details))
    about_key = details["loc"][-1:] == (_KEY,)
    nothing = node.value is None and not node.source  # an empty value ends up on the next line
    return Problem(
        mark=node.key if about_key or nothing else node.mark,
        path=path,
        reason=reason,
        got="" if about_key else _got(path, node, _kind(details)),
        remedy=remedy or _advice(details, _about(model, path), node) or _remedy(_kind(details), node),
        code=_code(details, path),
    )


def _code(details: ErrorDetails, path: KeyPath) -> str:
    """The word for a wrong value: of its key where that has one, else of what is wrong with it."""
    kind = _kind(details)
    if kind.endswith("_type") or kind in _NUMBERS:
        return "job_type"
    if path[:1] == ("classify",) and path[2:] == ("confidence",):
        return "job_sql"  # of a column stage it is the name of a column, which is never wrong
    if path[:1] == ("classify",) and "pattern" in str(details.get("ctx", {}).get("error", "")):
        return "job_regex"
    if path[:1] == ("routes",) and "twice" in str(details.get("ctx", {}).get("error", "")):
        return "job_route_repeat"
    named = [_WORDS[step] for step in path if step in _WORDS]
    return named[-1] if named else "job_range" if kind in _RANGES else "job_value"


def _about(model: type[BaseModel], path: KeyPath) -> str:
    """What is known of the key at this path, or of the list in which it is an element."""
    at = max((number for number, step in enumerate(path) if isinstance(step, str)), default=0)
    field = _fields(model, path[:at]).get(str(path[at])) if path else None
    return field.description or "" if field else ""


def _advice(details: ErrorDetails, about: str, node: Node) -> str:
    """What to write where only some words are right, and where something must be."""
    if details["type"] == "literal_error":
        words = _QUOTED.findall(details["ctx"]["expected"])
        meant = words[0] if len(words) == 1 else closest(str(node.value), words)
        return f"Write {meant or about or 'one of them'}"
    if details["type"] == "too_short":
        return f"Write at least one. {about}" if about else "Write at least one"
    return ""


def _sentence(details: ErrorDetails) -> str:
    facts = details.get("ctx", {})
    if details["type"] in {"value_error", "assertion_error"}:
        return str(facts["error"])
    if details["type"] == "string_pattern_mismatch":
        return _SPELLINGS.get(facts["pattern"], "is not spelt as it must be: {pattern}".format(**facts))
    sentence = _SENTENCES.get(_kind(details))
    return sentence.format(**facts) if sentence else details["msg"]


def _kind(details: ErrorDetails) -> str:
    """The type of an error; strict mode has one for every class that is not JSON's."""
    if details["type"] == "is_instance_of":
        return f"{details['ctx']['class'].lower()}_type"
    return details["type"]


def _got(path: KeyPath, node: Node, kind: str) -> str:
    """The value as written; of a place for secrets only a reference to the environment."""
    if is_secret(path):
        return " and ".join(f"${{{name}}}" for name in sorted(node.variables))
    if isinstance(node.value, dict | list):
        return node.shown() if kind.endswith("_type") else ""
    with_secret = path[-1:] == ("base_url",) and not _PLAIN_URL.fullmatch(node.source)
    return "" if with_secret else node.shown()


def _remedy(kind: str, node: Node) -> str:
    if kind in _NUMBERS:
        return _number_remedy(node)
    if kind in {"string_type", "path_type"} and isinstance(node.value, bool | int | float):
        return f'Put it in quotes: "{node.source}"'
    if kind == "greater_than":
        return "Write a positive number or leave it out"
    if node.value is None or kind == "string_too_short":
        return "Write a value or remove the key"
    return ""


def _number_remedy(node: Node) -> str:
    if node.variables:
        return "Use --set for a number: a variable of the environment is always text"
    if isinstance(node.value, float) and node.value.is_integer():
        return f"Write {node.value:.0f}"
    if isinstance(node.value, str) and node.value.strip().replace(".", "", 1).isdecimal():
        return f"Write {node.value.strip()} without quotes"
    return "Write a plain number"


def _fields(model: type[BaseModel], path: KeyPath) -> dict[str, FieldInfo]:
    """The keys that may stand in the mapping at this path, with what is known about them."""
    choices: list[Any] = [model]
    for step in path:
        choices = [below for choice in choices for below in _below(choice, step)]
    return _named(choices)


def _named(choices: Iterable[Any]) -> dict[str, FieldInfo]:
    models = [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]
    return {field.alias or name: field for each in models for name, field in each.model_fields.items()}


def _below(choice: Any, step: str | int) -> list[Any]:
    """The types that a value may have one step below a value of this type."""
    if isinstance(choice, type) and issubclass(choice, BaseModel):
        field = _named([choice]).get(str(step))
        return _choices(field.annotation) if field else []
    inner = get_args(choice)
    if get_origin(choice) is dict:
        return _choices(inner[1])
    return _choices(inner[0]) if get_origin(choice) in {tuple, list} else []


def _choices(annotation: Any) -> list[Any]:
    """The plain types behind a union or an annotation."""
    if get_origin(annotation) is Annotated:
        return _choices(get_args(annotation)[0])
    if get_origin(annotation) in {Union, UnionType}:
        return [below for choice in get_args(annotation) for below in _choices(choice)]
    return [annotation]
