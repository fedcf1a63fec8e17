"""What was surely not seen before, told in four bytes a digest."""

from array import array
from random import Random
from typing import Final

_CAPACITY: Final = 1 << 20
_WORD: Final = "I"
_BITS, _SET, _SETS = 32, 7, 1024
_MASKS: Final = tuple(
    sum(1 << bit for bit in Random(number).sample(range(_BITS), _SET)) for number in range(_SETS)
)


class Sightings:
    """A set of digests that may err to one side: what is new to it was never noted; what is not, was, but for about
    one in a thousand of each million. A Bloom filter (Bloom, 1970) whose bits for a digest lie in one word, since it is
    asked for every record, in pieces of a million digests each.
    """

    def __init__(self, capacity: int = _CAPACITY) -> None:
        """`capacity` is the digests in a piece, and the words of it."""
        self._capacity = capacity
        self._pieces: list[array[int]] = []
        self._left = 0

    def __bool__(self) -> bool:
        """Whether anything was noted."""
        return bool(self._pieces)

    def note(self, one: int, other: int) -> bool:
        """Take in the halves of a digest, 64 bits each that are as good as random; whether it was noted before, or
        seems so.
        """
        place, mask = one % self._capacity, _MASKS[other % _SETS]
        for piece in self._pieces:
            if piece[place] & mask == mask:
                return True
        if not self._left:
            self._pieces.append(array(_WORD, bytes(self._capacity * _BITS // 8)))
            self._left = self._capacity
        self._left -= 1
        self._pieces[-1][place] |= mask
        return False
