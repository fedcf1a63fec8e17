"""A first-in, first-out queue that holds its head in memory and the rest on disk.

Records that were read ahead of a slow pool wait here. It is no part of the dataset: what a crash leaves of
it is thrown away, because its records are still pending in the store.
"""

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

import msgspec

from batchroute.core.errors import OutputError

T = TypeVar("T")

MEMORY_RECORDS = 4096
MEMORY_BYTES = 16 << 20
FRAME_RECORDS = 256
FRAME_BYTES = 4 << 20


class Spool(Generic[T]):
    """Holds any number of values in bounded memory. Raises OutputError when the disk fails."""

    def __init__(
        self,
        path: Path,
        *,
        encode: Callable[[list[T]], bytes],
        decode: Callable[[bytes], list[T]],
        size: Callable[[T], int],
    ) -> None:
        self._path = path
        self._encode, self._decode, self._size = encode, decode, size
        self._head: deque[T] = deque()
        self._head_bytes = 0
        self._tail: list[T] = []
        self._tail_bytes = 0
        self._frames: deque[tuple[int, int]] = deque()
        self._file: BinaryIO | None = None
        self._end = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, value: T) -> None:
        self._length += 1
        size = self._size(value)
        head = self._head
        fits = len(head) < MEMORY_RECORDS and self._head_bytes < MEMORY_BYTES
        if fits and not self._tail and not self._frames:
            head.append(value)
            self._head_bytes += size
            return
        self._tail.append(value)
        self._tail_bytes += size
        if len(self._tail) >= FRAME_RECORDS or self._tail_bytes >= FRAME_BYTES:
            self._spill()

    def take(self) -> T:
        """The oldest value. Raises IndexError when there is none."""
        if not self._head:
            self._refill()
        value = self._head.popleft()
        self._head_bytes -= self._size(value)
        self._length -= 1
        return value

    def close(self) -> None:
        """Forget everything."""
        if self._file is not None:
            self._file.close()
            self._path.unlink(missing_ok=True)

    def _spill(self) -> None:
        frame = self._encode(self._tail)
        self._tail, self._tail_bytes = [], 0
        try:
            if self._file is None:
                self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
                self._file = os.fdopen(descriptor, "w+b")
            self._file.seek(self._end)
            self._file.write(frame)
            self._file.flush()
        except OSError as error:
            raise OutputError(f"{self._path}: {error.strerror}. Free space, then run again.") from error
        self._frames.append((self._end, len(frame)))
        self._end += len(frame)

    def _refill(self) -> None:
        if not self._frames:
            self._head.extend(self._tail)
            self._tail, self._tail_bytes = [], 0
        else:
            assert self._file is not None
            start, length = self._frames.popleft()
            try:
                self._file.seek(start)
                self._head.extend(self._decode(self._file.read(length)))
                if not self._frames:
                    self._file.truncate(0)
                    self._end = 0
            except (OSError, msgspec.DecodeError) as error:
                raise OutputError(f"{self._path}: {error}. Mend the disk, then run again.") from error
        self._head_bytes = sum(map(self._size, self._head))
