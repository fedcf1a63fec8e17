"""Which records a run is asked for, by what classification and routing make of them."""

from collections.abc import Collection, Sequence
from typing import Final, get_args

from msgspec import Struct

from batchroute.core.errors import JobError
from batchroute.core.records import Labels
from batchroute.job.jobs import Complexity, Job

KEYS: Final = ("route", "task", "complexity")


class Selection(Struct, frozen=True):
    """The routes, tasks and complexities that are asked for; a key that is not named takes all."""

    wanted: dict[str, frozenset[str]] = {}

    @classmethod
    def of(cls, asked: Sequence[str], job: Job) -> "Selection":
        """Read `route=code` and its like: of values of one key any will do, of several keys all must.

        Raises JobError for another form, and for a route or complexity that the job cannot give.
        """
        wanted: dict[str, frozenset[str]] = {}
        for text in asked:
            key, equals, value = text.partition("=")
            if key not in KEYS or not equals or not value:
                raise JobError(
                    f"--only {text!r} must be route=NAME, task=NAME or complexity=NAME. [only_form]"
                )
            _check(key, value, job)
            wanted[key] = wanted.get(key, frozenset()) | {value}
        return cls(wanted)

    def takes(self, labels: Labels, route: str) -> bool:
        """Whether a record with these labels, on this route, is asked for."""
        if not self.wanted:
            return True
        found = {"route": route, "task": labels.task, "complexity": labels.complexity}
        return all(found[key] in values for key, values in self.wanted.items())


def _check(key: str, value: str, job: Job) -> None:
    known: dict[str, Collection[str]] = {"route": job.routes, "complexity": get_args(Complexity)}
    if key in known and value not in known[key]:
        raise JobError(
            f"--only {key}={value}: there is no such {key}, only {', '.join(known[key])}. [only_unknown]"
        )
