"""Why a run stops. An expected failure of one record is a row, not an exception.

BatchrouteError
├── JobError              2    the job file or the command line is wrong
├── InputError            65   the input cannot be used
├── OutputError           74   the output cannot be written, or is damaged
│   └── NoRoomError       74   the disk is nearly full
├── OutputLockedError     75   another run holds the output directory
├── StalledError          4    nothing was answered for too long; run again to continue
├── BudgetError           4    the budget is used up; raise it to continue
├── DeadlineError         4    the time is over; run again to continue
├── NoModelError          5    no model can serve
├── HungError             1    nothing happened although it should have; run again to continue
└── InterruptedRunError   130  a second signal came while nothing was in flight (143 after SIGTERM)
"""

from typing import ClassVar, Literal


class BatchrouteError(Exception):
    """Something a person must mend. The message says what is wrong and what to do."""

    exit_code: int = 1
    event: ClassVar[Literal["failure", "budget"]] = "failure"
    """Which event of `notify` a run is that ends so."""


class JobError(BatchrouteError):
    """The job file, the environment it names, an override or a function of the job's own is wrong.

    Nothing was sent: a run that finds it later ends as for unusable input.
    """

    exit_code = 2


class InputError(BatchrouteError):
    """The input is missing, unreadable or not what it claims to be; `code` is the word for it that never changes."""

    exit_code = 65

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message)
        self.code = code

    def __str__(self) -> str:
        return f"{self.args[0]} [{self.code}]"


class OutputError(BatchrouteError):
    """The output directory cannot be written, or what it holds does not fit together.

    `code` is a word of the public vocabulary for what is damaged; None where the disk refused something.
    """

    exit_code = 74

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.code = code


class NoRoomError(OutputError):
    """The disk is nearly full: nothing more is begun while there is room to end in good order."""


class OutputLockedError(BatchrouteError):
    """Another run holds the output directory."""

    exit_code = 75


class StalledError(BatchrouteError):
    """Nothing was answered for too long. What is left stays pending."""

    exit_code = 4


class BudgetError(BatchrouteError):
    """No further request fits the budget. What is left stays pending."""

    exit_code = 4
    event = "budget"


class DeadlineError(BatchrouteError):
    """What is in flight would not be back before the deadline if more were sent. What is left stays pending."""

    exit_code = 4


class NoModelError(BatchrouteError):
    """Every model was disabled: credentials, billing, or names that no provider knows."""

    exit_code = 5


class HungError(BatchrouteError):
    """Nothing happened for far longer than any request may take: a bug. What is committed is kept."""


class InterruptedRunError(BatchrouteError):
    """A second signal came before the first request or after the last one. What is committed is kept."""

    def __init__(self, message: str, *, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code
