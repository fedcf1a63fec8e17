"""Compressed bytes to plain bytes, in pieces of bounded size, whatever the file claims."""

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import zstandard

from batchroute.core.errors import InputError
from batchroute.io.sources.files import Kind, SourceFile

PIECE = 1 << 20
_BOMB_FLOOR = 64 << 20
_BOMB_RATIO = 100
_GZIP_WBITS = 31  # zlib: a gzip header and trailer around the largest window

# Input is fed in slices, because neither library bounds its output: a zstd block of four bytes may stand
# for 128 KiB, so 1 KiB gives at most 32 MiB; deflate reaches 1,032:1, so 16 KiB gives at most 16 MiB.
_GZIP_SLICE = 16 << 10
_ZSTD_SLICE = 1 << 10


class Member(Protocol):
    """A decompressor of one gzip member or zstd frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, block: bytes, /) -> bytes: ...


def members(file: SourceFile) -> "Members | None":
    """The decompressor for a JSONL file of this kind; None for plain text."""
    if file.kind is Kind.JSONL_GZIP:
        return Members(file.name, lambda: zlib.decompressobj(_GZIP_WBITS), is_gzip, slice_bytes=_GZIP_SLICE)
    if file.kind is Kind.JSONL_ZSTD:
        return Members(file.name, _zstd_frame, is_zstd, slice_bytes=_ZSTD_SLICE)
    return None


def is_gzip(head: bytes) -> bool:
    """Whether these can be the first bytes of a gzip member (RFC 1952, 2.3.1)."""
    return head[:2] == b"\x1f\x8b"[: len(head)]


def is_zstd(head: bytes) -> bool:
    """Whether these can be the first bytes of a zstd frame, or of a skippable one (RFC 8878, 3.1)."""
    if 0x50 <= head[0] <= 0x5F:
        return head[1:4] == b"\x2a\x4d\x18"[: len(head) - 1]
    return head[:4] == b"\x28\xb5\x2f\xfd"[: len(head)]


class Members:
    """Concatenated gzip members or zstd frames. Zero padding after the last one is allowed, junk is not.

    Raises InputError as soon as the data turns out bad: compressed_bad, compressed_trailing, compressed_bomb.
    """

    def __init__(
        self, name: str, member: Callable[[], Member], begins: Callable[[bytes], bool], *, slice_bytes: int
    ) -> None:
        self._name = name
        self._new_member = member
        self._begins = begins
        self._slice = slice_bytes
        self._member: Member | None = None
        self._whole = 0
        self._padded = False
        self._read = self._written = 0

    def pieces(self, block: bytes) -> Iterator[bytes]:
        """Plain bytes of the next block of the file, about a mebibyte at a time."""
        ready: list[bytes] = []
        size = 0
        for start in range(0, len(block), self._slice):
            for plain in self._inflate(block[start : start + self._slice]):
                ready.append(plain)
                size += len(plain)
            if size >= PIECE:
                yield b"".join(ready)
                ready, size = [], 0
        if size:
            yield b"".join(ready)

    def close(self) -> None:
        """Raise InputError compressed_truncated or compressed_bad if the last member is not complete."""
        if self._member is not None:
            raise InputError(
                f"{self._name} is cut: its compressed data does not end", code="compressed_truncated"
            )
        if not self._whole:
            raise InputError(f"{self._name} is empty, which is no compressed file", code="compressed_bad")

    def _inflate(self, compressed: bytes) -> Iterator[bytes]:
        self._read += len(compressed)
        while compressed:
            if self._member is None:
                compressed = self._between(compressed)
                continue
            try:
                plain = self._member.decompress(compressed)
            except (zlib.error, zstandard.ZstdError) as error:
                raise InputError(f"{self._name} is damaged: {error}", code="compressed_bad") from error
            compressed = b""
            if self._member.eof:
                compressed, self._member = self._member.unused_data, None
                self._whole += 1
            self._measure(len(plain))
            yield plain

    def _between(self, compressed: bytes) -> bytes:
        """Open the next member, or drop padding."""
        if self._whole:
            rest = compressed.lstrip(b"\0")
            self._padded |= len(rest) < len(compressed)
            if not rest:
                return b""
            if self._padded or not self._begins(rest):
                raise InputError(
                    f"{self._name} has junk after its compressed data", code="compressed_trailing"
                )
        elif not self._begins(compressed):
            raise InputError(f"{self._name} does not hold what its suffix says", code="compressed_bad")
        self._member = self._new_member()
        return compressed

    def _measure(self, size: int) -> None:
        self._written += size
        if self._written > max(_BOMB_FLOOR, _BOMB_RATIO * self._read):
            raise InputError(
                f"{self._name} grows more than {_BOMB_RATIO} times on decompression. Decompress it first",
                code="compressed_bomb",
            )


def _zstd_frame() -> Member:
    return zstandard.ZstdDecompressor().decompressobj()
