"""What `run` says before and after the run itself, and when it breaks; never a secret of the job."""

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from batchroute.cli.imports import quick_imports
from batchroute.cli.logs import Clean, JsonLog, Log, PlainLog, to_stderr
from batchroute.core.errors import BatchrouteError
from batchroute.core.excerpts import printable

if TYPE_CHECKING:
    from batchroute.job.jobs import Job
    from batchroute.report.summary import Summary

INTERNAL_ERROR = 1


class Told:
    """Says things in one format. `clean` takes the job's secrets out, as soon as it is loaded."""

    def __init__(self, log_format: str | None, name: str) -> None:
        self._json = log_format == "json"
        self.clean: Clean = str
        self._log: Log = self._logging_as(name)

    def load(self, path: Path, overrides: tuple[str, ...]) -> "Job":
        """Load the job, warn of what deserves it. Raises JobError."""
        with quick_imports():
            from batchroute.job.loading import load_job
            from batchroute.providers.redaction import Redactor, secrets_of

        job = load_job(path, overrides=overrides)
        self.clean = Redactor(secrets_of(job)).clean
        self._log = self._logging_as(job.job)
        for warning in job.warnings:
            self._log.tell("warning", "warning", warning)
        return job

    def end(self, summary: "Summary", *, quiet: bool) -> None:
        """Say what there is to say of a run that has ended, beside its table."""
        import msgspec

        from batchroute.cli.display import left_out

        for warning in summary.warnings:
            self._log.tell("warning", "warning", warning)
        if quiet:  # it was not said meanwhile, and cron should mail it
            for model, why in summary.disabled.items():
                self._log.tell("warning", "warning", left_out(model, why))
        if self._json and not (quiet and summary.exit_code == 0):
            level = "info" if summary.exit_code == 0 else "error"
            text = summary.reason or summary.status
            self._log.tell(level, "ended", text, **msgspec.to_builtins(summary, builtin_types=(Decimal,)))

    def failed(self, error: Exception) -> int:
        """Say why there was no run, or why it broke; the exit code for that."""
        known = isinstance(error, BatchrouteError)
        trace = "" if known else "".join(traceback.format_exception(error))
        if self._json:
            fields = {} if known else {"traceback": trace}
            text = str(error) if known else f"{type(error).__name__}: {error}"
            self._log.tell("error", "error", text, exit_code=_exit_code(error), **fields)
        else:
            for line in self.clean(f"Error: {error}" if known else trace).splitlines():
                to_stderr(printable(line))
        return _exit_code(error)

    def _logging_as(self, name: str) -> Log:
        return JsonLog(name, self.clean) if self._json else PlainLog("", self.clean)


@contextmanager
def told_as(log_format: str | None, name: str) -> Iterator[Told]:
    """Say things as `--log-format` wants it; what breaks the body is said too, and ends the process."""
    told = Told(log_format, name)
    try:
        yield told
    except Exception as error:  # noqa: BLE001  said in the format that was asked for, without secrets
        sys.exit(told.failed(error))


def _exit_code(error: Exception) -> int:
    return error.exit_code if isinstance(error, BatchrouteError) else INTERNAL_ERROR
