"""What is wrong with a job file: a place, a reason and a remedy."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TypeAlias

from batchroute.core.excerpts import printable

KeyPath: TypeAlias = tuple[str | int, ...]

_SHOWN = 60


@dataclass(frozen=True, slots=True, order=True)
class Mark:
    """A place in the job file, counted from 1; or the `--set` option that put a value there."""

    line: int
    column: int
    override: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing to mend. `reason` begins with a verb or says what is there; `remedy` is a whole sentence.

    `code` is the word for its kind that never changes, whatever the sentences say.
    """

    mark: Mark
    path: KeyPath = ()
    reason: str
    got: str = ""
    remedy: str = ""
    code: str

    def text(self, file: str) -> str:
        """One line: where, which key, why, what was found, and what to write instead."""
        got = f" (got {self.got})" if self.got else ""
        ending = "" if self.reason.endswith("?") else "."
        remedy = f" {self.remedy.rstrip('.')}." if self.remedy else ""
        return printable(
            f"{located(file, self.mark, self.path)}: {self.reason}{got}{ending}{remedy} [{self.code}]"
        )


def located(file: str, mark: Mark, path: KeyPath) -> str:
    """A place as messages begin with it: file, line, column and key, or the option that put a value there."""
    where = dotted(path)
    if not mark.override:
        place = f"{file}:{mark.line}:{mark.column}"
        return f"{place}: {where}" if where else place
    option = f"--set {mark.override}"
    return option if where in {"", mark.override} else f"{option}: {where}"


def split(sentence: str) -> tuple[str, str]:
    """A validator's message as reason and remedy: they are parted by the first full stop."""
    reason, _, remedy = sentence.partition(". ")
    return reason.rstrip("."), remedy


def dotted(path: KeyPath) -> str:
    """A key path as people write it: `classify[0].column`."""
    text = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in path)
    return text.removeprefix(".")


def shortened(text: str) -> str:
    """The beginning of a value, enough to recognise it."""
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."


def closest(name: str, names: Iterable[str]) -> str | None:
    """The one of the names that was probably meant."""
    by_case = {each.lower(): each for each in names}
    close = get_close_matches(name.lower(), by_case, n=1)
    return by_case[close[0]] if close else None


def nearest(name: str, names: Iterable[str]) -> str:
    """`, did you mean mini?` when one of the names is close, else nothing."""
    meant = closest(name, names)
    return f", did you mean {meant}?" if meant else ""
