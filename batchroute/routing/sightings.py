"""What was surely not seen before, told in four bytes a digest."""

from array import array
from random import Random
from typing import Final

_CAPACITY: Final = 1 << 20
_WORD: Final = "I"
_BITS, _SET = 32, 7
_MASKS: Final = tuple(
    sum(1 << bit for bit in Random(number).sample(range(_BITS), _SET)) for number in range(4096)
)


class Sightings:
    """A set of digests that may err to one side: what it does not hold was never added, what it does hold was, but
    for about one in a thousand of each million. A Bloom filter (Bloom, 1970) whose bits for a digest lie in one word, since it is asked
    for every record, in pieces of a million digests each.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        """`capacity` is the digests in a piece, and the words of it."""
        self._capacity = capacity
        self._pieces: list[array[int]] = []
        self._left = 0

    def add(self, one: int, other: int) -> None:
        """Take in the halves of a digest, 64 bits each that are as good as random."""
        if not self._left:
            self._pieces.append(array(_WORD, bytes(self._capacity * _BITS // 8)))
            self._left = self._capacity
        self._left -= 1
        self._pieces[-1][one % self._capacity] |= _MASKS[other & 4095]

    def has(self, one: int, other: int) -> bool:
        """Whether it was added, or seems so."""
        place, mask = one % self._capacity, _MASKS[other & 4095]
        for piece in self._pieces:  # noqa: SIM110  any() takes twice as long
            if piece[place] & mask == mask:
                return True
        return False
