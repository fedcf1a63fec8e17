"""What a run says on stderr, as lines for people or as JSON lines for programs.

A JSON line has `ts` (UTC), `level` (info, warning, error), `event`, `job`, `message`, and fields of its event.
"""

import datetime as dt
import json
import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, Protocol

from batchroute.core.excerpts import printable

Clean = Callable[[str], str]

_IN_LINES: Final = frozenset({"stacks", "reason"})
"""Events whose text has lines of its own; in that of any other a line break is shown, as everything unprintable is."""


class Log(Protocol):
    """Somewhere to say things."""

    def tell(self, level: str, event: str, text: str, **fields: object) -> None:
        """Say one thing. It never raises: a log that cannot be written is no reason to stop."""


class PlainLog:
    """Lines that begin with `name`; `write` is given each without its end."""

    def __init__(self, name: str, clean: Clean = str, write: Callable[[str], object] | None = None) -> None:
        self._name = f"{name}: " if name else ""
        self._clean = clean
        self._write = write or to_stderr

    def tell(self, level: str, event: str, text: str, **_: object) -> None:
        said = self._clean(text)
        warning = "Warning: " if level == "warning" and event != "stacks" else ""
        lines = said.splitlines() if event in _IN_LINES else [said]
        for line in lines:
            self._write(f"{self._name}{warning}{printable(line)}")


class JsonLog:
    """One JSON object a line."""

    def __init__(self, name: str, clean: Clean = str) -> None:
        self._name = name
        self._clean = clean

    def tell(self, level: str, event: str, text: str, **fields: object) -> None:
        now = dt.datetime.now(dt.UTC).isoformat(timespec="milliseconds")  # noqa: TID251  when it is said
        line = {"ts": now, "level": level, "event": event, "job": self._name, "message": text, **fields}
        to_stderr(json.dumps(_cleaned(line, self._clean), default=_number))


class _Ear(logging.Handler):
    """Says what the floors below have logged."""

    def __init__(self, log: Log) -> None:
        super().__init__()
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        event = getattr(record, "event", "warning")
        self._log.tell(record.levelname.lower(), event, record.getMessage())


@contextmanager
def heard(log: Log) -> Iterator[None]:
    """Have this log say what the package logs."""
    logger, ear = logging.getLogger("batchroute"), _Ear(log)
    logger.addHandler(ear)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(ear)
        logger.propagate = True


def _cleaned(value: Any, clean: Clean) -> Any:
    """The value with every text in it cleaned: afterwards it would be too late, a mask might swallow a quote."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, dict):
        return {_cleaned(key, clean): _cleaned(each, clean) for key, each in value.items()}
    return [_cleaned(each, clean) for each in value] if isinstance(value, list | tuple) else value


def _number(value: Any) -> float | str:
    """Amounts are decimals."""
    return float(value) if hasattr(value, "as_tuple") else str(value)


def to_stderr(line: str) -> None:
    """Write a line where progress and errors go, if anybody still reads it."""
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(f"{line}\n")
        sys.stderr.flush()
