"""The Python stage: a function of the job's own, asked about a batch, and what its answers mean."""

import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Final, TypeAlias

import msgspec

from batchroute.core.errors import JobError
from batchroute.core.excerpts import storable
from batchroute.job.stages import PythonStage
from batchroute.routing.columns import Columns
from batchroute.routing.complexity import LEVELS
from batchroute.routing.opinions import COMPLEXITY, UNDECIDED, Answer, Opinions, opinions

Function: TypeAlias = Callable[[list[dict[str, Any]]], Sequence[Any]]
"""Fields of the records, a mapping each, in; as many answers in the same order out."""

_FORMS: Final = "Return a label, (label, confidence), a mapping with task, complexity or confidence, or None"


class Asked:
    """A function as a stage. What it raises, and answers of another shape, are JobErrors that name the stage."""

    def __init__(self, stage: PythonStage, function: Function, *, name: str) -> None:
        self._stage = stage
        self._function = function
        self._name = name

    def decide(self, columns: Columns) -> Opinions:
        """The opinions of the function. Raises JobError."""
        names = self._stage.columns
        fields = [{name: record.fields.get(name) for name in names} for record in columns.records()]
        count = len(fields)
        try:
            said = list(self._function(fields))
        except KeyboardInterrupt:
            raise
        except BaseException as error:  # sys.exit in it is a fault of the function, and ends no run
            raise self._error(f"raised {type(error).__name__}{_place(error)}: {error}. Mend it") from error
        if len(said) != count:
            raise self._error(f"gave {len(said)} answers for {count} records. Return one for each")
        return opinions([self._answer(one) for one in said])

    def _answer(self, said: Any) -> Answer:
        match said:
            case None:
                return UNDECIDED
            case str():
                fields: Mapping[str, Any] = {self._stage.label: said}
            case (label, confidence):
                fields = {self._stage.label: label, "confidence": confidence}
            case Mapping():
                fields = said
            case _:
                raise self._error(f"answered {said!r}. {_FORMS}")
        return self._checked(fields)

    def _checked(self, fields: Mapping[str, Any]) -> Answer:
        try:
            answer = msgspec.convert({**_LABELLESS, **fields}, _Checked)
        except (msgspec.ValidationError, TypeError) as error:
            raise self._error(f"answered {dict(fields)!r}: {error}. {_FORMS}") from error
        if answer.task is not None and storable(answer.task) != answer.task:
            raise self._error(f"answered {answer.task!r}, which holds half of a character. {_FORMS}")
        if answer.complexity is not None and answer.complexity not in LEVELS:
            raise self._error(f"answered the {COMPLEXITY} {answer.complexity!r}. Write {', '.join(LEVELS)}")
        return Answer(task=_named(answer.task), complexity=answer.complexity, confidence=answer.confidence)

    def _error(self, what: str) -> JobError:
        return JobError(f"{self._name} {storable(what)} [job_function]")


class _Checked(msgspec.Struct, forbid_unknown_fields=True):
    task: str | None
    complexity: str | None
    confidence: Annotated[float, msgspec.Meta(ge=0, le=1)] | None


def _place(error: BaseException) -> str:
    """Where in the file of the function it was raised; empty where that is no Python."""
    frames = traceback.extract_tb(error.__traceback__)[1:]
    own = [frame for frame in frames if frame.filename == frames[0].filename]
    return f" at {own[-1].filename}, line {own[-1].lineno}" if own else ""


def _named(task: str | None) -> str | None:
    return (task.strip() or None) if task is not None else None


_LABELLESS: Final = {"task": None, "complexity": None, "confidence": None}
