"""YAML text as a tree of values that know their place. Only what a job file needs; the rest is refused.

Anchors, aliases, merge keys and tags are refused: they can hide what a job does, and a small file that
unfolds into a huge one cannot be written without them.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
    StreamEndEvent,
)
from ruamel.yaml.reader import ReaderError

from batchroute.job.problems import KeyPath, Mark, Problem, shortened, split
from batchroute.job.scalars import Scalar, resolve

MAX_DEPTH: Final = 32

_Event: TypeAlias = Any  # ruamel's events carry no types
_REMEDIES: Final = (
    ("character '\\t'", "Indent with blanks: YAML has no tabs"),
    ("that cannot start any token", "Put the text in quotes"),
    ("mapping values are not allowed", "Check the indentation, or put text that holds ': ' in quotes"),
    ("unexpected end of stream", "Close the quote"),
    ("expected ',' or", "Close the bracket, or put the text in quotes"),
    (
        "expected <block end>",
        "Indent keys of one mapping alike, and put text that begins with { or [ in quotes",
    ),
    ("could not find expected ':'", "Write a colon and a blank after the key"),
    ("unknown escape character", "Write the text in single quotes, which know no escapes"),
)
_TEMPLATE: Final = 'Put text in quotes that begins with {{: "{{ text }}"'


@dataclass(frozen=True, slots=True)
class Node:
    """A value of the tree. `source` is a scalar as it was written, `key` the place of its key."""

    mark: Mark
    key: Mark
    value: "Scalar | dict[str, Node] | list[Node]"
    source: str = ""
    variables: frozenset[str] = frozenset()

    def entries(self) -> "dict[str, Node]":
        """The values of a mapping by key; empty for anything else."""
        return self.value if isinstance(self.value, dict) else {}

    def elements(self) -> "list[Node]":
        """The values of a list; empty for anything else."""
        return self.value if isinstance(self.value, list) else []

    def child(self, step: str | int) -> "Node | None":
        """One step down; None where there is nothing."""
        if isinstance(step, str):
            return self.entries().get(step)
        elements = self.elements()
        return elements[step] if 0 <= step < len(elements) else None

    def find(self, *path: str | int) -> "Node | None":
        """Several steps down; None where there is nothing."""
        node: Node | None = self
        for step in path:
            node = node.child(step) if node else None
        return node

    def text(self) -> str | None:
        """The value if it is text."""
        return self.value if isinstance(self.value, str) else None

    def plain(self) -> Any:
        """The value without places, as a JSON parser would give it."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def shown(self) -> str:
        """The value as a message repeats it."""
        if isinstance(self.value, dict):
            return "a mapping"
        if isinstance(self.value, list):
            return "a list"
        return shortened(self.source) or "nothing"


@dataclass(frozen=True, slots=True)
class Document:
    """A tree, if there is one, and what was wrong with the text."""

    root: Node | None
    problems: tuple[Problem, ...] = ()


class _Stopped(Exception):  # noqa: N818 - the end of reading, not an error of ours
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.reason)
        self.problem = problem


def parse(text: str, *, override: str = "") -> Document:
    """Read one YAML document. With `override` every place is that option's instead of a line."""
    reading = _Reading(text, override)
    try:
        return Document(reading.document(), tuple(reading.problems))
    except _Stopped as stopped:
        return Document(None, (*reading.problems, stopped.problem))
    except MarkedYAMLError as error:
        return Document(None, (*reading.problems, _syntax(error, override)))
    except ReaderError as error:
        return Document(None, (_character(error, text, override),))


class _Reading:
    """One pass over the parser's events."""

    def __init__(self, text: str, override: str) -> None:
        self.problems: list[Problem] = []
        self._events: Iterator[_Event] = iter(YAML(typ="safe", pure=True).parse(text))
        self._override = override

    def document(self) -> Node | None:
        next(self._events)  # the stream's start
        start = next(self._events)
        if isinstance(start, StreamEndEvent):
            return None
        root = self._node(next(self._events), ())
        next(self._events)  # the document's end
        after = next(self._events)
        if isinstance(after, DocumentStartEvent):
            self._refuse("job_syntax", after, (), "begins a second document. Keep one job in a file")
        return root

    def _node(self, event: _Event, path: KeyPath, key: Mark | None = None) -> Node:
        mark = self._mark(event)
        key = key or mark
        if len(path) > MAX_DEPTH:
            reason = f"is nested deeper than {MAX_DEPTH} levels"
            remedy = "No key of a job file lies so deep"
            raise _Stopped(Problem(mark=mark, reason=reason, remedy=remedy, code="job_limits"))
        self._plain_yaml_only(event, path)
        if isinstance(event, MappingStartEvent):
            return Node(mark, key, self._mapping(path))
        if isinstance(event, SequenceStartEvent):
            return Node(mark, key, self._sequence(path))
        if isinstance(event, ScalarEvent):
            return Node(mark, key, self._scalar(event, path), _source(event))
        return Node(mark, key, None)  # an alias, already refused

    def _mapping(self, path: KeyPath) -> dict[str, Node]:
        entries: dict[str, Node] = {}
        while not isinstance(event := next(self._events), MappingEndEvent):
            name = self._key(event, path)
            below = path if name is None else (*path, name)
            node = self._node(next(self._events), below, self._mark(event))
            if name in entries:
                first = entries[name].key.line
                self._refuse(
                    "job_duplicate_key",
                    event,
                    below,
                    f"is here twice, first on line {first}. Remove one of the two",
                )
            elif name is not None:
                entries[name] = node
        return entries

    def _sequence(self, path: KeyPath) -> list[Node]:
        elements: list[Node] = []
        while not isinstance(event := next(self._events), SequenceEndEvent):
            elements.append(self._node(event, (*path, len(elements))))
        return elements

    def _key(self, event: _Event, path: KeyPath) -> str | None:
        """The text of a key; None after refusing it."""
        if not isinstance(event, ScalarEvent):
            self._refuse("job_key_type", event, path, f"has a key that is not text. {_TEMPLATE}")
            self._node(event, (*path, "?"))
            return None
        self._plain_yaml_only(event, path)
        name: str = event.value
        if name == "<<" and event.implicit[0]:
            self._refuse("job_alias", event, path, "has a merge key, <<. Write the keys out")
            return None
        if event.implicit[0] and not _is_text(name):
            quoted = f'Put it in quotes: "{name or "~"}"'
            self._refuse(
                "job_key_type",
                event,
                path,
                f"has a key that is not text. {quoted}",
                got=_source(event) or "nothing",
            )
            return None
        return name

    def _scalar(self, event: _Event, path: KeyPath) -> Scalar:
        text: str = event.value
        if not event.implicit[0]:  # quoted, or a block
            return text
        try:
            return resolve(text)
        except ValueError as error:
            code = "job_range" if "finite" in str(error) else "job_number_form"
            self._refuse(code, event, path, str(error), got=_source(event))
            return text

    def _plain_yaml_only(self, event: _Event, path: KeyPath) -> None:
        if isinstance(event, AliasEvent):
            self._refuse("job_alias", event, path, f"is an alias, *{event.anchor}. Write the value out")
        elif event.anchor is not None:
            self._refuse(
                "job_alias", event, path, f"has an anchor, &{event.anchor}. Remove it and write the value out"
            )
        if getattr(event, "tag", None) is not None:
            self._refuse(
                "job_tag",
                event,
                path,
                f"has a tag, {event.tag}. Remove it: the job file has no types to choose",
            )

    def _refuse(self, code: str, event: _Event, path: KeyPath, sentence: str, *, got: str = "") -> None:
        reason, remedy = split(sentence)
        mark = self._mark(event)
        self.problems.append(Problem(mark=mark, path=path, reason=reason, got=got, remedy=remedy, code=code))

    def _mark(self, event: _Event) -> Mark:
        start = event.start_mark
        return Mark(start.line + 1, start.column + 1, self._override)


def _is_text(word: str) -> bool:
    try:
        return isinstance(resolve(word), str)
    except ValueError:
        return False


def _source(event: _Event) -> str:
    if event.style in {'"', "'"}:
        return f"{event.style}{event.value}{event.style}"
    return str(event.value)


def _syntax(error: MarkedYAMLError, override: str) -> Problem:
    reason = str(error.problem or error.context)
    # An unclosed bracket or quote is found at the end of the file; where it opened is more use.
    at_end = "stream" in reason and error.context_mark is not None
    mark = error.context_mark if at_end else error.problem_mark or error.context_mark
    remedy = next((advice for sign, advice in _REMEDIES if sign in reason), "")
    place = Mark(mark.line + 1, mark.column + 1, override) if mark else Mark(1, 1, override)
    return Problem(mark=place, reason=f"is not YAML: {reason}", remedy=remedy, code="job_syntax")


def _character(error: ReaderError, text: str, override: str) -> Problem:
    before = text[: error.position]
    mark = Mark(before.count("\n") + 1, len(before) - before.rfind("\n"), override)
    code = f"U+{ord(text[error.position]):04X}"
    return Problem(
        mark=mark,
        reason=f"holds the control character {code}",
        remedy=f'Remove it, or write "\\u{code[2:]}"',
        code="job_syntax",
    )
