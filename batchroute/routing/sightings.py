"""What was surely not seen before, told in three bytes a digest."""

BITS = 24
_CAPACITY = 1 << 20


class Sightings:
    """A set of digests that may err to one side: what it does not hold was never added, what it does hold was, but
    for some five in ten thousand. A Bloom filter (Bloom, 1970) of four bits a digest, in pieces of a million each.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        """`capacity` is the digests in a piece."""
        self._capacity = capacity
        self._bits = capacity * BITS
        self._pieces: list[bytearray] = []
        self._left = 0

    def add(self, one: int, other: int) -> None:
        """Take in the halves of a digest, 64 bits each that are as good as random."""
        if not self._left:
            self._pieces.append(bytearray(self._bits // 8))
            self._left = self._capacity
        self._left -= 1
        piece, bits = self._pieces[-1], self._bits
        bit = one % bits
        piece[bit >> 3] |= 1 << (bit & 7)
        bit = (one >> 32) % bits
        piece[bit >> 3] |= 1 << (bit & 7)
        bit = other % bits
        piece[bit >> 3] |= 1 << (bit & 7)
        bit = (other >> 32) % bits
        piece[bit >> 3] |= 1 << (bit & 7)

    def has(self, one: int, other: int) -> bool:
        """Whether it was added, or seems so."""
        bits = self._bits
        first = one % bits
        byte, bit = first >> 3, 1 << (first & 7)
        for piece in self._pieces:
            if piece[byte] & bit and self._has(piece, (one >> 32, other, other >> 32)):
                return True
        return False

    def _has(self, piece: bytearray, numbers: tuple[int, int, int]) -> bool:
        """Seldom asked, so that the other bits are seldom looked at."""
        for number in numbers:
            bit = number % self._bits
            if not piece[bit >> 3] >> (bit & 7) & 1:
                return False
        return True
