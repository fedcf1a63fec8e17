"""Bytes to lines. Lines end at a line feed and nowhere else; one too long is dropped while it is read."""

from collections.abc import Sequence
from typing import TypeAlias

from msgspec import Struct

from batchroute.core.excerpts import excerpt
from batchroute.core.records import Fault

MAX_LINE = 8 << 20
"""Bytes of the longest line that is read."""


class Dropped(Struct, frozen=True, gc=False):
    """A line that was not kept: why, and its length in bytes."""

    fault: Fault
    length: int

    def __len__(self) -> int:
        return self.length


Line: TypeAlias = bytes | Dropped
"""A line without its line feed, or what is left of one that was not kept."""


class Splitter:
    """Holds at most one unfinished line, of at most `limit` bytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._tail = b""
        self._fault: Fault | None = None
        self._lost = 0
        """Bytes of the unfinished line that were not kept; only where it has a fault."""

    def feed(self, piece: bytes, zeros: int = 0) -> Sequence[Line]:
        """The lines that end in this piece. `zeros`: so many zero bytes follow it in the file, and were not read."""
        lines = self._feed(piece)
        if zeros:
            self._fault = self._fault or _zeros(self._tail)
            self._lost, self._tail = self._lost + len(self._tail) + zeros, b""
        return lines

    def end(self) -> Sequence[Line]:
        """The last line, when no line feed follows it."""
        if self._fault is not None:
            return [Dropped(self._fault, self._lost)]
        return [self._tail] if self._tail else ()

    def _feed(self, piece: bytes) -> Sequence[Line]:
        if self._fault is None:
            return self._split(piece)
        start, newline, rest = piece.partition(b"\n")
        self._lost += len(start)
        if self._lost > self._limit and self._fault.error_type == "line_nul_tail" and start.strip(b"\0"):
            self._fault = self._too_long(start)
        if not newline:
            return ()
        dropped, self._fault, self._lost = Dropped(self._fault, self._lost), None, 0
        return [dropped, *self._split(rest)]

    def _split(self, piece: bytes) -> Sequence[Line]:
        joined = self._tail + piece
        lines = joined.split(b"\n")
        self._tail = lines.pop()
        if len(joined) <= self._limit:
            return lines
        if len(self._tail) > self._limit:
            self._fault, self._lost, self._tail = self._too_long(self._tail), len(self._tail), b""
        return [
            line if len(line) <= self._limit else Dropped(self._too_long(line), len(line)) for line in lines
        ]

    def _too_long(self, line: bytes) -> Fault:
        if line.strip(b"\0"):
            return Fault("line_too_long", f"the line is longer than {self._limit:,} bytes: {excerpt(line)}")
        return _zeros(line)


def _zeros(line: bytes) -> Fault:
    """The run of zeros may follow the beginning of a record."""
    begins = f": {excerpt(line)}" if line.strip(b"\0") else ""
    return Fault(
        "line_nul_tail", f"zero bytes instead of a record: the file was not written to its end{begins}"
    )
