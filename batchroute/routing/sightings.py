"""What was surely not seen before, told in two bytes a digest."""

from batchroute.routing.fingerprints import Digest

BITS = 16
_CAPACITY = 1 << 20


class Sightings:
    """A set of digests that may err to one side: what it does not hold was never added, what it does hold was, but
    for some two in a thousand. A Bloom filter (Bloom, 1970) of four bits a digest, in pieces of a million each.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        """`capacity` is the digests in a piece, a power of two."""
        self._capacity = capacity
        self._mask = capacity * BITS - 1
        self._pieces: list[bytearray] = []
        self._left = 0

    def add(self, digest: Digest) -> None:
        """Its bits are as good as random."""
        if not self._left:
            self._pieces.append(bytearray(self._capacity * BITS // 8))
            self._left = self._capacity
        self._left -= 1
        piece, mask, (one, other) = self._pieces[-1], self._mask, digest
        for bit in (one & mask, one >> 32 & mask, other & mask, other >> 32 & mask):
            piece[bit >> 3] |= 1 << (bit & 7)

    def __contains__(self, digest: Digest) -> bool:
        mask, (one, other) = self._mask, digest
        first = one & mask
        byte, bit = first >> 3, 1 << (first & 7)
        for piece in self._pieces:
            if piece[byte] & bit and all(  # seldom, so that the other bits are seldom looked at
                piece[other_bit >> 3] >> (other_bit & 7) & 1
                for other_bit in (one >> 32 & mask, other & mask, other >> 32 & mask)
            ):
                return True
        return False
