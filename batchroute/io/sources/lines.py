"""Bytes to lines. Lines end at a line feed and nowhere else; one too long is dropped while it is read."""

from collections.abc import Sequence
from typing import TypeAlias

from batchroute.core.records import Fault

MAX_LINE = 8 << 20
"""Bytes of the longest line that is read."""

Line: TypeAlias = bytes | Fault
"""A line without its line feed, or why it was not kept."""


class Splitter:
    """Holds at most one unfinished line, of at most `limit` bytes."""

    def __init__(self, limit: int = MAX_LINE) -> None:
        self._limit = limit
        self._tail = b""
        self._dropped: Fault | None = None

    def feed(self, piece: bytes) -> Sequence[Line]:
        """The lines that end in this piece."""
        if self._dropped is None:
            return self._split(piece)
        start, newline, rest = piece.partition(b"\n")
        if start.strip(b"\0"):
            self._dropped = self._too_long(start)
        if not newline:
            return ()
        dropped, self._dropped = self._dropped, None
        return [dropped, *self._split(rest)]

    def end(self) -> Sequence[Line]:
        """The last line, when no line feed follows it."""
        if self._dropped is not None:
            return [self._dropped]
        return [self._tail] if self._tail else ()

    def _split(self, piece: bytes) -> Sequence[Line]:
        joined = self._tail + piece
        lines = joined.split(b"\n")
        self._tail = lines.pop()
        if len(joined) <= self._limit:
            return lines
        if len(self._tail) > self._limit:
            self._dropped, self._tail = self._too_long(self._tail), b""
        return [line if len(line) <= self._limit else self._too_long(line) for line in lines]

    def _too_long(self, line: bytes) -> Fault:
        if line.strip(b"\0"):
            return Fault("line_too_long", f"the line is longer than {self._limit:,} bytes")
        return Fault("line_nul_tail", "zero bytes instead of a record: the file was not written to its end")
