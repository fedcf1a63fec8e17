"""What was surely not seen before, told in two bytes a digest."""

from collections.abc import Iterator

BITS = 16
PROBES = 4
_CAPACITY = 1 << 20


class Sightings:
    """A set of digests that may err to one side: what it does not hold was never added, what it does hold was, but
    for some two in a thousand. A Bloom filter (Bloom, 1970), in pieces of a million digests each.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        """`capacity` is the digests in a piece, a power of two."""
        self._capacity = capacity
        self._mask = capacity * BITS - 1
        self._pieces: list[bytearray] = []
        self._left = 0

    def add(self, digest: bytes) -> None:
        """Digests are of 16 bytes at least, and as good as random."""
        if not self._left:
            self._pieces.append(bytearray(self._capacity * BITS // 8))
            self._left = self._capacity
        self._left -= 1
        piece = self._pieces[-1]
        for bit in self._bits(digest):
            piece[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, digest: bytes) -> bool:
        first = int.from_bytes(digest[:4], "little") & self._mask
        return any(
            piece[first >> 3] >> (first & 7) & 1  # seldom, so that the other bits are seldom looked at
            and all(piece[bit >> 3] >> (bit & 7) & 1 for bit in self._bits(digest))
            for piece in self._pieces
        )

    def _bits(self, digest: bytes) -> Iterator[int]:
        number = int.from_bytes(digest[:16], "little")
        mask = self._mask
        return iter((number & mask, number >> 32 & mask, number >> 64 & mask, number >> 96 & mask))
