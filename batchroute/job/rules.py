"""How the parts of a job fit together: names that are declared, routes that can match, paths that do not meet.

Rules look at the tree rather than at the typed job, so that one run finds these faults beside wrong values.
"""

import os
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from itertools import product
from pathlib import Path, PurePath
from typing import Final, TypeAlias

from batchroute.job import auto_names, checks, choices, endpoints, forms, images, profiles
from batchroute.job.addresses import is_loopback, looks_real, names_a_secret
from batchroute.job.documents import Node
from batchroute.job.environment import in_storage_options, is_secret, leaves
from batchroute.job.functions import FunctionName, missing
from batchroute.job.key_files import readable_by_others
from batchroute.job.paths import Origin
from batchroute.job.problems import KeyPath, Problem, dotted, nearest
from batchroute.job.simulation import SHIPPED_MODELS
from batchroute.job.storage import SCHEME

DEFAULT: Final = "default"
_ROUTE: Final = "job_route_unreachable"
_COMPLEXITIES: Final = ("simple", "medium", "hard", None)
_ANY: Final = None  # stands for a task that no route names, and for none at all

_Words: TypeAlias = tuple[str, ...] | None


def broken(root: Node, origin: Origin) -> Iterator[Problem]:
    """Every rule that the tree breaks."""
    yield from _undeclared(root)
    yield from _functions(root, origin)
    yield from _twins(root)
    yield from _default_route(root)
    yield from _unreachable(root)
    yield from choices.misfits(root)
    yield from profiles.misfits(root)
    yield from auto_names.misfits(root)
    yield from checks.misfits(root, origin)
    yield from forms.misfits(root, origin)
    yield from endpoints.misfits(root)
    yield from images.misfits(root)
    yield from _speechless(root)
    yield from _overlap(root, origin)
    yield from _cache(root, origin)
    yield from _keys_on_the_command_line(root)


def warnings(root: Node, origin: Origin) -> Iterator[str]:
    """What works and deserves a second look."""
    for path, node in _literal_keys(root):
        secret = "a secret" if path[0] == "notify" else "a key"
        yield (
            f"{dotted(path)} holds {secret} as it stands (line {node.mark.line}). "
            'Keep it in a variable of the environment and write "${NAME}"'
        )
    for name, provider in _children(root, "providers"):
        url = _text(provider, "base_url") or ""
        with_key = any(provider.find(key) for key in ("api_key", "api_key_file", "headers"))
        if with_key and _is_bare(url):
            yield f"providers.{name}.base_url is plain http: the key travels unencrypted. Use https if the server can"
    for key in ("webhook", "ping"):
        if (url_node := root.find("notify", key)) and _is_bare(url_node.text() or ""):
            yield f"notify.{key} is plain http: the secret in it travels unencrypted. Use https if the server can"
    yield from _open_key_files(root, origin)
    yield from _unsimulated(root)


def _open_key_files(root: Node, origin: Origin) -> Iterator[str]:
    """Key files that other users of this machine may read or change."""
    for name, provider in _children(root, "providers"):
        written = _text(provider, "api_key_file")
        mode = readable_by_others(Path(origin.absolute(written))) if written and "\0" not in written else None
        if mode is not None:
            yield (
                f"providers.{name}.api_key_file is open to other users (mode {mode:04o}). "
                f"Close it: chmod 600 {written}"
            )


def _unsimulated(root: Node) -> Iterator[str]:
    """Models that their simulator does not have: it will answer 404."""
    simulators = {
        name: node for name, node in _children(root, "providers") if _text(node, "kind") == "simulator"
    }
    for name, model in _children(root, "models"):
        simulator = simulators.get(_text(model, "provider") or "")
        if simulator is None:
            continue
        described = simulator.find("simulation", "models")
        known = {*SHIPPED_MODELS, *(described.entries() if described is not None else ())}
        asked = _text(model, "model") or name
        if asked not in known:
            yield (
                f"models.{name}: the simulator has no model {asked}{nearest(asked, known)}. "
                f"Name one of {', '.join(sorted(known))}, or describe it in simulation.models"
            )


def _capped(root: Node) -> Iterator[tuple[str, Node]]:
    """The routes that have a budget of their own."""
    budget = root.find("budget", "per_route")
    yield from (budget.entries() if budget is not None else {}).items()


def _undeclared(root: Node) -> Iterator[Problem]:
    uses: dict[str, list[tuple[KeyPath, Node]]] = {
        "provider": [
            (("models", name, "provider"), node)
            for name, model in _children(root, "models")
            if (node := model.child("provider"))
        ],
        "model": [*_routed(root), *_labelling(root), *checks.judged(root), *_baseline(root)],
        "route": [(("budget", "per_route", name), node) for name, node in _capped(root)],
    }
    for word, found in uses.items():
        declared = root.find(f"{word}s")
        if declared is None or not declared.entries():
            continue  # said elsewhere, once
        for path, node in found:
            name = path[-1] if word == "route" else node.text()
            if isinstance(name, str) and name and name not in declared.entries():
                yield _unknown_name(word, name, path, node, declared)


def _functions(root: Node, origin: Origin) -> Iterator[Problem]:
    """Python stages whose function is not beside the job file. What is no name of a function is said elsewhere."""
    classify = root.child("classify")
    for index, stage in enumerate(classify.elements() if classify else ()):
        node = stage.child("python")
        try:
            name = FunctionName.of((node.text() if node else None) or "")
        except ValueError:
            continue
        reason = missing(name, Path(origin.absolute(".")))
        if node and reason is not None:
            what, _, remedy = reason.rpartition(". ")
            path: KeyPath = ("classify", index, "python")
            yield Problem(mark=node.mark, path=path, reason=what, remedy=remedy, code="job_function")


def _unknown_name(word: str, name: str, path: KeyPath, node: Node, declared: Node) -> Problem:
    hint = nearest(name, declared.entries())
    remedy = "" if hint else f"Declare it in {word}s, or use one of: {', '.join(declared.entries())}"
    reason = f"no {word} is named {name}{hint}"
    return Problem(mark=node.mark, path=path, reason=reason, remedy=remedy, code=f"job_unknown_{word}")


def _routed(root: Node) -> Iterator[tuple[KeyPath, Node]]:
    for name, route in _children(root, "routes"):
        for at, listed in choices.lists(route):
            for index, node in enumerate(listed.elements()):
                path: KeyPath = ("routes", name, *at, index)
                yield path, node
                yield from (((*path, place), inner) for place, inner in enumerate(node.elements()))


def _labelling(root: Node) -> Iterator[tuple[KeyPath, Node]]:
    classify = root.child("classify")
    for index, stage in enumerate(classify.elements() if classify else ()):
        if node := stage.find("llm", "model"):
            yield ("classify", index, "llm", "model"), node


def _speechless(root: Node) -> Iterator[Problem]:
    """Languages of models, and nothing that tells the language of a record."""
    if root.find("input", "language"):
        return
    for name, model in _children(root, "models"):
        spoken = model.child("languages")
        if spoken is not None and spoken.value is not None:
            yield Problem(
                mark=spoken.key,
                path=("models", name, "languages"),
                reason="is never looked at: nothing tells in which language a record is",
                remedy="Name the column in input.language, or remove it",
                code="job_language",
            )


def _baseline(root: Node) -> Iterator[tuple[KeyPath, Node]]:
    node = root.child("baseline")
    if node:
        yield ("baseline",), node


def _twins(root: Node) -> Iterator[Problem]:
    """Names that differ in case only are the same name in a report, a file system and a tired eye."""
    for group in ("providers", "models", "routes"):
        seen: dict[str, str] = {}
        for name, node in _children(root, group):
            first = seen.setdefault(name.lower(), name)
            if first != name:
                reason = f"differs from {first} in case only"
                yield Problem(
                    mark=node.key,
                    path=(group, name),
                    reason=reason,
                    remedy="Rename one of the two",
                    code="job_duplicate_name",
                )


def _default_route(root: Node) -> Iterator[Problem]:
    routes = root.child("routes")
    if routes is None or not routes.entries():
        return
    default = routes.child(DEFAULT)
    if default is None:
        remedy = "Close the list with default: {models: [...]}, for records that no other route takes"
        yield Problem(
            mark=routes.key, path=("routes", DEFAULT), reason="is missing", remedy=remedy, code=_ROUTE
        )
        return
    path: KeyPath = ("routes", DEFAULT)
    if list(routes.entries())[-1] != DEFAULT:
        remedy = "Move it to the end: routes are tried in order, and it takes every record"
        yield Problem(mark=default.key, path=path, reason="is not the last route", remedy=remedy, code=_ROUTE)
    when = default.child("when")
    if when and when.value is not None:
        remedy = "Remove when: it takes what no other route took"
        yield Problem(
            mark=when.key,
            path=(*path, "when"),
            reason="narrows the default route",
            remedy=remedy,
            code=_ROUTE,
        )


def _unreachable(root: Node) -> Iterator[Problem]:
    """A route whose records all belong to earlier ones."""
    earlier: list[tuple[str, _Words, _Words]] = []
    for name, route in _children(root, "routes"):
        if name == DEFAULT:
            continue
        task, complexity = _words(route, "task"), _words(route, "complexity")
        if task is None and complexity is None:
            yield Problem(
                mark=route.key,
                path=("routes", name),
                reason="has no when, so that no record comes to the routes after it",
                remedy="Add when: {task: ...}, or name it default and put it last",
                code=_ROUTE,
            )
            continue
        takers = _takers(earlier, task, complexity)
        if takers:
            reason = f"can never match: {' and '.join(takers)} before it {_verb(takers)} all its records"
            yield Problem(
                mark=route.key,
                path=("routes", name),
                reason=reason,
                remedy="Move it up or remove it",
                code=_ROUTE,
            )
        earlier.append((name, task, complexity))


def _takers(earlier: list[tuple[str, _Words, _Words]], task: _Words, complexity: _Words) -> list[str]:
    """The earlier routes that leave nothing over; empty when something is left."""
    takers: dict[str, None] = {}
    for one_task, one_complexity in product(task or (_ANY,), complexity or _COMPLEXITIES):
        first = next(
            (
                name
                for name, tasks, complexities in earlier
                if (tasks is None or one_task in tasks)
                and (complexities is None or one_complexity in complexities)
            ),
            None,
        )
        if first is None:
            return []
        takers[first] = None
    return list(takers)


def _verb(names: list[str]) -> str:
    return "takes" if len(names) == 1 else "take"


def _overlap(root: Node, origin: Origin) -> Iterator[Problem]:
    """An output that lies in the input, or the other way round, would be read as input by the next run."""
    read = root.find("input", "path")
    for key in ("path", "copy_to"):
        written = root.find("output", key)
        if not (written and read and written.text() and read.text()):
            continue
        if _same_place(str(written.text()), str(read.text()), origin):
            yield Problem(
                mark=written.mark,
                path=("output", key),
                reason="equals, contains or lies in input.path",
                got=written.shown(),
                remedy="Choose a directory of its own",
                code="output_overlaps_input",
            )


def _cache(root: Node, origin: Origin) -> Iterator[Problem]:
    """A cache outlives datasets, so that it lies in none; and where there is none, it is nobody's last resort."""
    written = root.find("cache", "path")
    for keys in (("output", "path"), ("input", "path")):
        other = root.find(*keys)
        if not (written and other and written.text() and other.text()):
            continue
        if _same_place(str(written.text()), str(other.text()), origin):
            yield Problem(
                mark=written.mark,
                path=("cache", "path"),
                reason=f"equals, contains or lies in {'.'.join(keys)}",
                got=written.shown(),
                remedy="Choose a directory of its own",
                code="job_cache",
            )
    if root.child("cache"):
        return
    for name, route in _children(root, "routes"):
        wished = route.find("last_resort", "cache")
        if wished is not None and wished.value is True:
            yield Problem(
                mark=wished.mark,
                path=("routes", name, "last_resort", "cache"),
                reason="looks into a cache, and the job has none",
                remedy="Declare cache: {path: ../out/cache}, or remove it",
                code="job_cache",
            )


def _same_place(written: str, read: str, origin: Origin) -> bool:
    stored = [text.startswith(SCHEME) for text in (written, read)]
    if any(stored):
        return all(stored) and _meet(PurePath(written), PurePath(read))
    target, source = (PurePath(origin.absolute(text)) for text in (written, read))
    return _meet(target, source) or _meet(_real(target), _real(source))


def _real(path: PurePath) -> PurePath:
    """The path without symbolic links, as far as it exists."""
    try:
        return PurePath(os.path.realpath(path))
    except (OSError, ValueError):
        return path


def _meet(target: PurePath, source: PurePath) -> bool:
    for one, pattern in zip(target.parts, source.parts, strict=False):
        if pattern == "**":
            return True
        if one != pattern and not fnmatchcase(one, pattern):
            return False
    return True


def _keys_on_the_command_line(root: Node) -> Iterator[Problem]:
    for path, node in _literal_keys(root, of_overrides=True):
        yield Problem(
            mark=node.mark,
            path=path,
            reason="shows a key to every user of this machine",
            remedy="Put it into a variable of the environment and write '${NAME}'",
            code="job_literal_key",
        )


def _literal_keys(root: Node, *, of_overrides: bool = False) -> Iterator[tuple[KeyPath, Node]]:
    for path, node in leaves(root):
        literal = node.text() if not node.variables else None
        if (
            literal
            and is_secret(path)
            and bool(node.mark.override) is of_overrides
            and _is_key(path, literal)
        ):
            yield path, node


def _is_key(path: KeyPath, literal: str) -> bool:
    """A proxy is a secret by its password, a header also by its name, a key by its looks, a webhook as a whole."""
    if path[0] == "notify":
        return not _is_local(literal)
    if in_storage_options(path):
        return looks_real(literal)
    if path[2] == "proxy":
        return "@" in literal
    named = path[2] == "api_key" or names_a_secret(str(path[-1]))
    return bool(named) and any(looks_real(word) for word in literal.split())


def _is_local(url: str) -> bool:
    try:
        return is_loopback(url)
    except ValueError:
        return True  # refused elsewhere


def _is_bare(url: str) -> bool:
    try:
        return url.startswith("http://") and not is_loopback(url)
    except ValueError:
        return False  # refused elsewhere


def _children(root: Node, key: str) -> Iterable[tuple[str, Node]]:
    node = root.child(key)
    return node.entries().items() if node else ()


def _text(node: Node, key: str) -> str | None:
    child = node.child(key)
    return child.text() if child else None


def _words(route: Node, key: str) -> _Words:
    node = route.find("when", key)
    if node is None or node.value is None:
        return None
    if isinstance(node.value, str):
        return (node.value,)
    return tuple(word for each in node.elements() if (word := each.text()) is not None)
