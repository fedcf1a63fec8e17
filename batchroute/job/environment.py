"""`${NAME}` in the values of a job file, replaced after parsing: a variable can never add a key.

`$${` stands for a literal `${`. Messages name variables and never repeat what they hold.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Final

from batchroute.job.documents import Node
from batchroute.job.problems import KeyPath, Problem, split
from batchroute.job.storage import SECRET_OPTIONS

_REFERENCE: Final = re.compile(r"\$\$\{|\$\{([^}]*)(\})?")
_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_SECRET_KEYS: Final = frozenset({"api_key", "headers", "proxy"})
_SECRET_URLS: Final = frozenset({"webhook", "ping"})
_STORED: Final = "storage_options"


def expanded(root: Node, environ: Mapping[str, str]) -> tuple[Node, tuple[Problem, ...]]:
    """The tree with every reference replaced, beside the references that cannot be."""
    expansion = _Expansion(environ)
    tree = expansion.node(root, ())
    return tree, tuple(expansion.problems)


def is_secret(path: KeyPath) -> bool:
    """Whether the value at this path is one that nobody may see."""
    if path[:1] == ("notify",):
        return len(path) > 1 and path[1] in _SECRET_URLS
    if in_storage_options(path):
        return len(path) > 2 and path[2] in SECRET_OPTIONS
    return len(path) > 2 and path[0] == "providers" and path[2] in _SECRET_KEYS


def in_storage_options(path: KeyPath) -> bool:
    """Whether the value at this path tells how to reach object storage."""
    return path[:1] in {("input",), ("output",)} and path[1:2] == (_STORED,)


def leaves(node: Node, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Node]]:
    """Every plain value of the tree with its path, in the order of the file."""
    for key, child in node.entries().items():
        yield from leaves(child, (*path, key))
    for index, child in enumerate(node.elements()):
        yield from leaves(child, (*path, index))
    if not isinstance(node.value, dict | list):
        yield path, node


class _Expansion:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._environ = environ

    def node(self, node: Node, path: KeyPath) -> Node:
        if isinstance(node.value, dict):
            return replace(
                node, value={key: self.node(child, (*path, key)) for key, child in node.value.items()}
            )
        if isinstance(node.value, list):
            below = [self.node(child, (*path, index)) for index, child in enumerate(node.value)]
            return replace(node, value=below)
        if isinstance(node.value, str) and "${" in node.value:
            return self._text(node, node.value, path)
        return node

    def _text(self, node: Node, text: str, path: KeyPath) -> Node:
        names: set[str] = set()
        try:
            value = _REFERENCE.sub(lambda match: self._value(match, names), text)
        except LookupError as error:
            code, sentence = error.args
            reason, remedy = split(sentence)
            self.problems.append(Problem(mark=node.mark, path=path, reason=reason, remedy=remedy, code=code))
            return node
        return replace(node, value=value, variables=frozenset(names))

    def _value(self, match: re.Match[str], names: set[str]) -> str:
        if match[0] == "$${":
            return "${"
        name = _name(match)
        value = self._environ.get(name)
        if value is None:
            raise LookupError(
                "env_unset",
                f"the variable {name} is not set. Set it, or write $${{{name}}} if you mean the text",
            )
        if not value:
            raise LookupError("env_unset", f"the variable {name} is empty. Set it before the run")
        names.add(name)
        return value


def _name(match: re.Match[str]) -> str:
    name: str = match[1]
    if "${" in name:
        raise LookupError("env_not_allowed", "has one ${ inside another. Name the variable itself")
    if not match[2]:
        raise LookupError("env_malformed", "has ${ without }. Close it, or write $${ if you mean the text")
    if not _NAME.fullmatch(name):
        raise LookupError(
            "env_malformed", "has ${ without a variable's name. Write ${NAME}, or $${ if you mean the text"
        )
    return name


def leaks(root: Node) -> Iterator[Problem]:
    """A variable that holds a key has no business outside its provider, nor the URL of a webhook elsewhere."""
    used = [(path, node) for path, node in leaves(root) if node.variables]
    for home, whose in (("providers", "a provider"), ("notify", "notify"), (_STORED, "object storage")):
        secrets = [node.variables for path, node in used if _home(path) == home and is_secret(path)]
        keys = frozenset[str]().union(*secrets)
        for path, node in used:
            shared = sorted(node.variables & keys)
            if shared and _home(path) != home:
                reason = f"uses {shared[0]}, which holds a key or another secret of {whose}"
                yield Problem(
                    mark=node.mark,
                    path=path,
                    reason=reason,
                    remedy="Use another variable here",
                    code="env_not_allowed",
                )


def _home(path: KeyPath) -> str | int:
    """Where a secret belongs: the two mappings of storage options are one home, as input and output may share it."""
    return _STORED if in_storage_options(path) else path[0]
