"""From the text of a job file to a Job, or to the list of everything that must be mended."""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from batchroute.core.errors import JobError
from batchroute.job.documents import Document, Node, parse
from batchroute.job.environment import expanded, leaks, leaves
from batchroute.job.jobs import Job
from batchroute.job.overrides import overridden
from batchroute.job.paths import Origin
from batchroute.job.presets import with_keys
from batchroute.job.problems import KeyPath, Mark, Problem, dotted, located
from batchroute.job.refusals import problems_of
from batchroute.job.rules import broken, warnings

MAX_BYTES: Final = 1 << 20
_MOST_LINES: Final = 100


def load_job(
    path: str | Path, *, overrides: Sequence[str] = (), environ: Mapping[str, str] = os.environ
) -> Job:
    """Read a job file, apply `key.path=value` overrides, expand `${NAME}` and check all of it.

    Raises JobError with one line a problem: file:line:column, key path, reason and remedy.
    """
    document = _document(Path(path))
    root, problems = document.root, list(document.problems)
    if root is None:
        raise _error(path, problems)
    for option in overrides:
        root, refused = overridden(root, option)
        problems += refused
    root, unset = expanded(root, environ)
    root, keyless = with_keys(root, environ)
    problems += [*unset, *keyless, *leaks(root)]
    places = {
        dotted(at): located(str(path), node.mark, at) for at, node in leaves(root) if at[:1] == ("prompt",)
    }
    origin = Origin(Path(path), places=places)
    job = _validated(root, replace(origin, warnings=tuple(warnings(root, origin))), problems)
    if job is None or problems:
        raise _error(path, problems)
    return job


def _validated(root: Node, origin: Origin, problems: list[Problem]) -> Job | None:
    """The job; what is wrong is added to `problems`, save what follows from those already there."""
    known = [problem.path for problem in problems]
    problems += _new(broken(root, origin), known)
    try:
        return Job.model_validate(root.plain(), context=origin)
    except ValidationError as error:
        problems += _new(problems_of(error, root, Job), known)
        return None


def _new(found: Iterable[Problem], known: list[KeyPath]) -> list[Problem]:
    return [each for each in found if not any(path and path == each.path[: len(path)] for path in known)]


def _document(path: Path) -> Document:
    document = parse(_text(path))
    if document.problems and document.root is None:
        return document
    start = Mark(1, 1)
    if document.root is None or document.root.value is None:
        empty = Problem(
            mark=start, reason="is empty", remedy="Write one with `batchroute init`", code="job_not_mapping"
        )
        return Document(None, (empty,))
    if not isinstance(document.root.value, dict):
        remedy = "Begin with job:, input:, output:, prompt:, providers:, models: and routes:"
        shape = Problem(
            mark=document.root.mark, reason="must be a mapping of keys", remedy=remedy, code="job_not_mapping"
        )
        return Document(None, (*document.problems, shape))
    return document


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise JobError(
            f"{path}: there is no such file. Write one with `batchroute init`. [job_missing]"
        ) from None
    except IsADirectoryError:
        raise JobError(f"{path}: is a directory. Name a job file in it. [job_missing]") from None
    except OSError as error:
        raise JobError(
            f"{path}: cannot be read ({error.strerror}). Check its permissions. [job_missing]"
        ) from error
    if len(raw) > MAX_BYTES:
        raise JobError(
            f"{path}: is larger than 1 MiB. Keep records in the input, not in the job file. [job_limits]"
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _error(path, [_undecodable(raw, error.start)]) from None


def _undecodable(raw: bytes, at: int) -> Problem:
    line = raw.count(b"\n", 0, at) + 1
    before = raw[raw.rfind(b"\n", 0, at) + 1 : at].decode(errors="replace")
    mark = Mark(line, len(before) + 1)
    return Problem(
        mark=mark,
        reason=f"is not UTF-8 (byte 0x{raw[at]:02X})",
        remedy="Save the file as UTF-8",
        code="job_limits",
    )


def _error(path: str | Path, problems: Iterable[Problem]) -> JobError:
    """Problems in the order of the file, those of `--set` last."""
    ordered = sorted(problems, key=lambda problem: (problem.mark.override != "", problem.mark))
    lines = list(dict.fromkeys(problem.text(str(path)) for problem in ordered))
    more = len(lines) - _MOST_LINES
    if more > 0:
        lines = [*lines[:_MOST_LINES], f"{path}: {more} more problems of this kind."]
    return JobError("\n".join(lines))
