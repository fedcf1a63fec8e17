"""Whether an answer is good enough for its route, and if not, why: pure, and compiled once a route."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec
from msgspec import Struct

from batchroute.core.excerpts import storable
from batchroute.core.responses import ErrorType, Failure, Response
from batchroute.job.checks import Check, Judge, plain
from batchroute.job.patterns import compiled
from batchroute.job.schemas import why_not
from batchroute.routing.telltales import PLACEHOLDERS, REFUSALS, UNCERTAIN

Function: TypeAlias = Callable[[str], object]
"""Of the job's own: the answer in; True or None for a good one out, False or the reason for another."""

_REFUSAL_CHARS: Final = 300
"""A refusal begins the answer; what is said later may speak of one."""
_SHOWN_CHARS: Final = 60

_Test: TypeAlias = Callable[[Response], str | None]
"""Why the answer is refused; None where it is not."""


class Refused(Struct, frozen=True):
    """One check that refuses an answer: which, and why."""

    check: ErrorType
    reason: str


class Checks:
    """What a route demands of its answers. `keep_best`: one that is refused may be better than none.

    `functions` are those that the checks name, by name.
    """

    def __init__(
        self,
        declared: Sequence[Check],
        functions: Mapping[str, Function] | None = None,
        *,
        keep_best: bool = False,
    ) -> None:
        self.judge: Judge | None = next((each.judge for each in declared if each.judge), None)
        self.keep_best = keep_best
        self._tests = [_test(each, functions or {}) for each in declared if each.judge is None]

    def refusals(self, response: Response) -> list[Refused]:
        """The checks that refuse the answer, in the order in which they are declared; the judge is not asked."""
        found = ((kind, test(response)) for kind, test in self._tests)
        return [Refused(kind, reason) for kind, reason in found if reason is not None]


def refused(response: Response, refusals: Sequence[Refused]) -> Failure:
    """The answer as one that is no use: it was given and is paid for."""
    return Failure(
        error_type=refusals[0].check,
        message="the answer " + "; ".join(each.reason for each in refusals),
        sent=True,
        http_status=response.http_status,
        usage=response.usage,
        finish_reason=response.finish_reason,
        response_model=response.response_model,
        response_id=response.response_id,
    )


def _test(check: Check, functions: Mapping[str, Function]) -> tuple[ErrorType, _Test]:
    """A check as a function of the answer, with the word for its refusals."""
    match check:
        case Check(min_chars=int() as least):
            return ErrorType.CHECK_MIN_CHARS, _long(least)
        case Check(contains=str() as pattern):
            return ErrorType.CHECK_CONTAINS, _containing(pattern)
        case Check(lacks=str() as pattern):
            return ErrorType.CHECK_LACKS, _lacking(pattern)
        case Check(json_schema=dict() as schema):
            return ErrorType.CHECK_SCHEMA, _following(schema)
        case Check(labels=tuple() as labels):
            return ErrorType.CHECK_LABELS, _labelled(labels)
        case Check(python=str() as name):
            return ErrorType.CHECK_PYTHON, _asking(functions[name])
    return next((kind, test) for key, (kind, test) in _SWITCHES.items() if key in check.given)


def _long(least: int) -> _Test:
    def test(response: Response) -> str | None:
        count = len(response.content.strip())
        return f"has {count} characters and not {least}" if count < least else None

    return test


def _containing(pattern: str) -> _Test:
    found = compiled(pattern)
    return lambda response: None if found(response.content) else f"does not contain {pattern}"


def _lacking(pattern: str) -> _Test:
    found = compiled(pattern)
    return lambda response: f"contains {pattern}" if found(response.content) else None


def _without(pattern: str, what: str) -> _Test:
    """Compiled when it is first needed: the shipped patterns take some milliseconds."""
    return lambda response: what if compiled(pattern)(_straight(response.content)) else None


def _refusing(response: Response) -> str | None:
    declined = response.flag == "refusal" or compiled(REFUSALS)(_straight(response.content[:_REFUSAL_CHARS]))
    return "is a refusal to answer" if declined else None


def _straight(text: str) -> str:
    """With the apostrophes that the telltales are written in."""
    return text.replace("\u2019", "'")


def _complete(response: Response) -> str | None:
    return "was cut off at its limit of tokens" if response.finish_reason == "length" else None


def _json(response: Response) -> str | None:
    return None if _decoded(response.content) is not _NOTHING else "is not JSON"


_NOTHING: Final = object()


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return _NOTHING


def _following(schema: dict[str, Any]) -> _Test:
    complaint = why_not(schema)

    def test(response: Response) -> str | None:
        value = _decoded(response.content)
        if value is _NOTHING:
            return "is not JSON"
        said = complaint(value)
        return None if said is None else f"does not follow the schema: {_short(said)}"

    return test


def _labelled(labels: Sequence[str]) -> _Test:
    known = frozenset(map(plain, labels))
    listed = _short(", ".join(labels))

    def test(response: Response) -> str | None:
        found = plain(response.content)
        return None if found in known else f"is {_short(found)!r} and none of {listed}"

    return test


def _asking(function: Function) -> _Test:
    """What the function raises refuses the answer: it may be what it was not made for, and a run does not end over it."""

    def test(response: Response) -> str | None:
        try:
            said = function(response.content)
            told = None if said is None or isinstance(said, bool) else _short(str(said))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # noqa: BLE001  whatever code of the job's own does, sys.exit included
            return f"made the check raise {type(error).__name__}: {_short(_words(error))}"
        return "is refused by the job's function" if said is False else told

    return test


def _words(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001  as above
        return "and its text cannot be had"


def _short(text: str) -> str:
    return storable(text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}...")


_SWITCHES: Final[dict[str, tuple[ErrorType, _Test]]] = {
    "placeholders": (ErrorType.CHECK_PLACEHOLDERS, _without(PLACEHOLDERS, "holds a placeholder")),
    "uncertain": (ErrorType.CHECK_UNCERTAIN, _without(UNCERTAIN, "is unsure of itself")),
    "refusal": (ErrorType.CHECK_REFUSAL, _refusing),
    "complete": (ErrorType.CHECK_COMPLETE, _complete),
    "json": (ErrorType.CHECK_JSON, _json),
}
