"""`--set models.mini.limits.rpm=500`: one value of the tree replaced before it is validated."""

import re
from dataclasses import replace
from typing import Final

from batchroute.job.documents import Node, parse
from batchroute.job.problems import KeyPath, Mark, Problem, nearest, split

_NAMED: Final = {"providers": "provider", "models": "model", "routes": "route"}


def overridden(root: Node, option: str) -> tuple[Node, tuple[Problem, ...]]:
    """The tree with one `key.path=value` applied, or unchanged beside what is wrong with the option."""
    key, equals, written = option.partition("=")
    mark = Mark(0, 0, key or option)
    if not equals or not key:
        return root, (_problem(mark, "has no value. Write --set key.path=value"),)
    document = parse(written, override=key)
    if document.problems:
        return root, tuple(replace(problem, path=()) for problem in document.problems)
    leaf = document.root or Node(mark, mark, None)
    try:
        steps = _steps(root, key)
        _known_name(root, steps)
        return _placed(root, steps, replace(leaf, mark=mark, key=mark)), ()
    except LookupError as error:
        return root, (_problem(mark, str(error.args[0])),)


def _problem(mark: Mark, sentence: str) -> Problem:
    reason, remedy = split(sentence)
    return Problem(mark=mark, reason=reason, remedy=remedy, code="job_override")


def _steps(root: Node, key: str) -> KeyPath:
    """Part a dotted key; names that hold dots themselves, such as gpt-4.1, are found in the tree."""
    rest = re.sub(r"\[([0-9]+)\]", r".\1", key).split(".")
    steps: list[str | int] = []
    node: Node | None = root
    while rest:
        taken = _longest(node, rest)
        name = ".".join(rest[:taken])
        rest = rest[taken:]
        steps.append(int(name) if node and node.elements() and name.isdecimal() else name)
        node = node.child(steps[-1]) if node else None
    return tuple(steps)


def _longest(node: Node | None, rest: list[str]) -> int:
    known = node.entries() if node else {}
    return next((count for count in range(len(rest), 0, -1) if ".".join(rest[:count]) in known), 1)


def _known_name(root: Node, steps: KeyPath) -> None:
    """A key below a name that is not declared would declare it, which nobody means."""
    word = _NAMED.get(str(steps[0]))
    if word is None or len(steps) < 3:
        return
    names = root.find(steps[0])
    known = names.entries() if names else {}
    if steps[1] not in known:
        hint = nearest(str(steps[1]), known) or f". Use one of: {', '.join(known)}"
        raise LookupError(f"no {word} is named {steps[1]}{hint}")


def _placed(node: Node | None, steps: KeyPath, leaf: Node) -> Node:
    if not steps:
        return leaf
    node = node or Node(leaf.mark, leaf.key, None)
    step, rest = steps[0], steps[1:]
    below = _placed(node.child(step), rest, leaf)
    if isinstance(node.value, dict) and isinstance(step, str):
        return replace(node, value={**node.value, step: below})
    if isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
        return replace(node, value=[*node.value[:step], below, *node.value[step + 1 :]])
    if node.value is None and isinstance(step, str):
        return replace(node, value={step: below})
    raise LookupError(_nowhere(node, step))


def _nowhere(node: Node, step: str | int) -> str:
    if isinstance(node.value, list):
        return f"the list has no element {step}. It has {len(node.value)}, counted from 0"
    return f"a plain value has no key {step}. Set the whole value instead"
