"""What a source reads: records, and what could not be read as one."""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from msgspec import Struct


class Record(Struct, frozen=True, gc=False):
    """One thing read from the source, with its fields.

    `record_id` is the caller's id as text, or `file:line` where the input has none. `line` counts from 1:
    the line of a JSONL file, the row of a Parquet file.
    """

    record_id: str
    file: str
    line: int
    fields: dict[str, Any]


class Fault(Struct, frozen=True, gc=False):
    """Why a record cannot be sent: a word of the public vocabulary and a sentence for people."""

    error_type: str
    message: str


class Reject(Struct, frozen=True, gc=False, kw_only=True):
    """A place in the input that gave no record. It ends as a dead letter under `file:line`."""

    file: str
    line: int
    fault: Fault

    @property
    def record_id(self) -> str:
        return f"{self.file}:{self.line}"


class Offsets:
    """Where consecutive lines begin in their file, in bytes of its text; added up only once some line is bad."""

    __slots__ = ("_first_line", "_lengths", "_start", "_starts")

    def __init__(self, *, first_line: int, start: int, lengths: Sequence[int]) -> None:
        """`start` is the offset of the first line, `lengths` those of all lines without their line feeds."""
        self._first_line = first_line
        self._start = start
        self._lengths = lengths
        self._starts: list[int] | None = None

    def of(self, line: int) -> int:
        """The offset of a line's first byte."""
        if self._starts is None:
            self._starts = list(accumulate((length + 1 for length in self._lengths), initial=self._start))
        return self._starts[line - self._first_line]


class Batch(Struct, frozen=True, gc=False, kw_only=True):
    """Consecutive records of one file, with the rejects found between them, both in input order.

    `offsets` are those of a file of lines; rows of Parquet have none.
    """

    records: list[Record]
    rejects: list[Reject]
    offsets: Offsets | None = None

    def place(self, file: str, line: int) -> str:
        """Where a record or reject of this batch stands, for people: file and line, and the byte if it is known."""
        return f"{file}:{line}" if self.offsets is None else f"{file}:{line} (byte {self.offsets.of(line)})"

    def column(self, name: str) -> list[Any]:
        """The values of one field over the batch; None where a record does not have it."""
        return [record.fields.get(name) for record in self.records]

    def __len__(self) -> int:
        return len(self.records) + len(self.rejects)

    def first(self, count: int) -> "Batch":
        """The first `count` places of the batch, records and rejects alike."""
        if count >= len(self):
            return self
        places: list[Record | Reject] = [*self.records, *self.rejects]
        lines = sorted(place.line for place in places)[:count]
        last = lines[-1] if lines else 0
        return Batch(
            records=[record for record in self.records if record.line <= last],
            rejects=[reject for reject in self.rejects if reject.line <= last],
            offsets=self.offsets,
        )


class Labels(Struct, frozen=True, gc=False):
    """What classification found; None where no stage decided. `classified_by` is the stage that named the task."""

    task: str | None = None
    complexity: str | None = None
    classified_by: str | None = None


UNLABELLED = Labels()
