"""Columns that a job names and no record has: slips that cost money, as no record fails of them."""

from collections.abc import Iterable, Sequence

from msgspec import Struct

from batchroute.core.records import Record
from batchroute.job.problems import nearest


class Naming(Struct, frozen=True):
    """A column that a key of the job names, and what comes of it where no record has it, in a sentence."""

    key: str
    column: str
    effect: str


class Absences:
    """Looks at records until each of these columns was seen, which is at once where the job is right."""

    def __init__(self, named: Iterable[Naming]) -> None:
        self._unseen = list(named)
        self._fields: tuple[str, ...] = ()
        """Of the first record."""

    def look_at(self, records: Sequence[Record]) -> None:
        """Note which columns these records have."""
        if not (self._unseen and records):
            return
        self._fields = self._fields or tuple(records[0].fields)
        self._unseen = [
            each for each in self._unseen if not any(each.column in record.fields for record in records)
        ]

    def warnings(self) -> tuple[str, ...]:
        """A sentence for each column that none of the records had; of no record at all, nothing is known."""
        if not self._fields:
            return ()
        return tuple(
            f"no record has {each.column}, the column that {each.key} names"
            f"{nearest(each.column, self._fields) or '.'} {each.effect} [column_missing]"
            for each in self._unseen
        )
