import inspect
import pickle

import pytest

from batchroute.core import errors
from batchroute.core.errors import (
    BatchrouteError,
    BudgetError,
    DeadlineError,
    HungError,
    InputError,
    InterruptedRunError,
    JobError,
    NoModelError,
    NoRoomError,
    OutputError,
    OutputLockedError,
    StalledError,
)

EXIT_CODES = {
    BatchrouteError: 1,
    JobError: 2,
    StalledError: 4,
    BudgetError: 4,
    DeadlineError: 4,
    NoModelError: 5,
    InputError: 65,
    OutputError: 74,
    NoRoomError: 74,
    OutputLockedError: 75,
    HungError: 1,
    InterruptedRunError: 1,
}
"""Of the classes; an interrupted run carries that of its signal."""
PLAIN = [one for one in EXIT_CODES if one not in {InputError, InterruptedRunError}]


def error_classes() -> set[type[BatchrouteError]]:
    return {one for _, one in inspect.getmembers(errors, inspect.isclass) if issubclass(one, BatchrouteError)}


def test_exit_codes_are_those_that_cron_lines_depend_on() -> None:
    assert {one: one.exit_code for one in error_classes()} == EXIT_CODES


def test_tree_in_the_docstring_is_the_tree_of_classes() -> None:
    drawn = {
        line.strip("│├└─ ").split()[0]: line.strip("│├└─ ").split()[1]
        for line in (errors.__doc__ or "").splitlines()
        if line.startswith(("├", "└", "│"))
    }

    told = {**EXIT_CODES, InterruptedRunError: InterruptedRunError("", exit_code=130).exit_code}
    assert drawn == {one.__name__: str(code) for one, code in told.items() if one is not BatchrouteError}


@pytest.mark.parametrize("error", PLAIN)
def test_message_is_what_a_person_reads(error: type[BatchrouteError]) -> None:
    assert str(error("requests.jsonl: mend it")) == "requests.jsonl: mend it"


def test_input_error_carries_its_code_beside_the_message() -> None:
    error = InputError("a.jsonl is not UTF-8", code="not_utf8")

    assert (str(error), error.code) == ("a.jsonl is not UTF-8 [not_utf8]", "not_utf8")


@pytest.mark.parametrize("error", PLAIN)
def test_error_crosses_a_process_boundary(error: type[BatchrouteError]) -> None:
    copy = pickle.loads(pickle.dumps(error("gone")))

    assert (type(copy), str(copy)) == (error, "gone")
