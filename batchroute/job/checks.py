"""What an answer of a route must be like, as a job file declares it, and what becomes of a record without one."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final, Literal, Self, TypeAlias

from pydantic import AfterValidator, ConfigDict, Field, model_validator
from pydantic_core import SchemaError

from batchroute.job.documents import Node
from batchroute.job.functions import FunctionName, missing
from batchroute.job.paths import Origin
from batchroute.job.patterns import compiled
from batchroute.job.problems import KeyPath, Problem
from batchroute.job.schemas import SchemaOrFile
from batchroute.job.spec import Listed, Positive, Spec, Text, distinct

_CODE: Final = "job_check"
SCALE_OF_ONE: Final = 1.0
"""Up to this threshold a judge is asked for a score from 0 to 1, above it for one from 1 to 10."""


def _regex(pattern: str) -> str:
    try:
        compiled(pattern)
    except SchemaError as error:
        raise ValueError(_complaint(str(error))) from error
    return pattern


def _complaint(said: str) -> str:
    if "not supported" in said:
        return "has look-around or a backreference, which are not supported. Write a check of its own for what must not be there"
    if "size limit" in said:
        return "is too large. Repeat less in it"
    reason = said.rpartition("error: ")[2].strip().rstrip(".")
    return f"is not a regular expression: {reason}. Mend it, or escape it with \\"


def _function(text: str) -> str:
    FunctionName.of(text)
    return text


def _apart(labels: tuple[str, ...]) -> tuple[str, ...]:
    distinct(tuple(map(plain, labels)))
    return labels


def plain(label: str) -> str:
    """A label as labels are compared: without case, and with one blank between its words."""
    return " ".join(label.split()).casefold()


_On: TypeAlias = Literal[True] | None
Regex: TypeAlias = Annotated[Text, AfterValidator(_regex)]
"""A regular expression in Rust's dialect, searched anywhere in the answer; case-insensitive unless it says `(?-i)`."""


class Judge(Spec):
    """A declared model that says how good an answer is."""

    model: Text = Field(
        description="One of `models`: it is asked once for each answer that passed the other checks."
    )
    rubric: Text = Field(description="What a good answer is like, in words.")
    threshold: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.7,
        description="The least score of an answer that is good enough: up to 1 on a scale from 0 to 1, "
        "above on one from 1 to 10. Default: 0.7.",
    )


class Check(Spec):
    """One thing that an answer must be like: a mapping with one key."""

    min_chars: Positive | None = Field(default=None, description="Characters, blanks around it not counted.")
    contains: Regex | None = Field(default=None, description="A regular expression that is found in it.")
    lacks: Regex | None = Field(default=None, description="A regular expression that is not found in it.")
    placeholders: _On = Field(
        default=None, description="true: without TODO, lorem ipsum, [insert ...] and their like."
    )
    uncertain: _On = Field(default=None, description="true: without words of doubt, such as `I am not sure`.")
    refusal: _On = Field(default=None, description="true: it does not begin with a refusal to answer.")
    complete: _On = Field(default=None, description="true: it was not cut off at its limit of tokens.")
    json_text: _On = Field(default=None, alias="json", description="true: it is JSON and nothing else.")
    json_schema: SchemaOrFile | None = Field(
        default=None,
        alias="schema",
        description="A JSON Schema that it follows, or a file that holds one; relative to the job file.",
    )
    labels: Annotated[tuple[Text, ...], Listed, Field(min_length=1), AfterValidator(_apart)] | None = Field(
        default=None, description="It is one of these, whatever its case and the blanks in it."
    )
    python: Annotated[Text, AfterValidator(_function)] | None = Field(
        default=None,
        description="module:function beside the job file: given the answer, it returns True, or why it is refused.",
    )
    judge: Judge | None = Field(default=None, description="A model that scores it.")

    model_config = ConfigDict(serialize_by_alias=True)  # what is dumped can be read again

    @model_validator(mode="after")
    def _one_key(self) -> Self:
        given = self.given
        if len(given) != 1:
            raise ValueError(
                f"has {' and '.join(given) or 'no key'}, and a check has one key. Write a check for each"
            )
        return self

    @property
    def given(self) -> tuple[str, ...]:
        """The keys that are written, as they are called in the file."""
        return tuple(
            field.alias or name
            for name, field in type(self).model_fields.items()
            if getattr(self, name) is not None
        )


Checks: TypeAlias = Annotated[tuple[Check, ...], Listed]


def judged(root: Node) -> Iterator[tuple[KeyPath, Node]]:
    """Where routes name a judge, for the rule that models are declared."""
    for path, check in _checks(root):
        model = check.find("judge", "model")
        if model is not None:
            yield (*path, "judge", "model"), model


def misfits(root: Node, origin: Origin) -> Iterator[Problem]:
    """Checks that contradict each other, functions that are not there, and what waits for a check in vain."""
    routes = root.child("routes")
    for name, route in (routes.entries() if routes else {}).items():
        path: KeyPath = ("routes", name)
        keep = route.child("keep_best")
        if keep is not None and keep.value is True and not _elements(route):
            yield _problem(
                keep,
                (*path, "keep_best"),
                "keeps nothing: no check refuses an answer",
                "Add checks, or remove it",
            )
        yield from _twice(route, path)
        yield from _too_short(route, path)
    for place, check in _checks(root):
        yield from _absent(check, place, origin)


def _twice(route: Node, path: KeyPath) -> Iterator[Problem]:
    """Two judges, or the same switch twice."""
    seen = Counter[str]()
    for index, check in enumerate(_elements(route)):
        for key, node in check.entries().items():
            seen[key] += 1
            if seen[key] == 2 and key not in {"contains", "lacks", "python"}:
                yield _problem(
                    node, (*path, "checks", index, key), "is the second check of its kind", "Keep one of them"
                )


def _too_short(route: Node, path: KeyPath) -> Iterator[Problem]:
    """A length that none of the labels has."""
    checks = _elements(route)
    labels = [
        node.text() or "" for check in checks if (one := check.child("labels")) for node in one.elements()
    ]
    for index, check in enumerate(checks):
        least = check.child("min_chars")
        if labels and least and isinstance(least.value, int) and least.value > max(map(len, labels)):
            yield _problem(
                least,
                (*path, "checks", index, "min_chars"),
                "is more than any of the labels has",
                "Remove it, or the labels",
            )


def _absent(check: Node, path: KeyPath, origin: Origin) -> Iterator[Problem]:
    """A function that is not beside the job file. What is no name of a function is said elsewhere."""
    node = check.child("python")
    try:
        name = FunctionName.of((node.text() if node else None) or "")
    except ValueError:
        return
    reason = missing(name, Path(origin.absolute(".")))
    if node and reason is not None:
        what, _, remedy = reason.rpartition(". ")
        yield Problem(mark=node.mark, path=(*path, "python"), reason=what, remedy=remedy, code="job_function")


def _checks(root: Node) -> Iterator[tuple[KeyPath, Node]]:
    routes = root.child("routes")
    for name, route in (routes.entries() if routes else {}).items():
        for index, check in enumerate(_elements(route)):
            yield ("routes", name, "checks", index), check


def _elements(route: Node) -> list[Node]:
    checks = route.child("checks")
    return list(checks.elements()) if checks else []


def _problem(node: Node, path: KeyPath, reason: str, remedy: str) -> Problem:
    return Problem(mark=node.key, path=path, reason=reason, remedy=remedy, code=_CODE)
