"""What was added is found, and little else."""

import hashlib
import struct

from batchroute.routing.sightings import Sightings


def digest(number: int) -> tuple[int, int]:
    one, other = struct.unpack("<qq", hashlib.blake2b(b"%d" % number, digest_size=16).digest())
    return one, other


def test_all_that_was_noted_is_known_and_of_the_rest_next_to_nothing() -> None:
    """Also once there is more than one piece can hold."""
    seen = Sightings(capacity=1024)
    first = [seen.note(*digest(number)) for number in range(3000)]

    assert sum(first) < 20
    assert all(seen.note(*digest(number)) for number in range(3000))
    assert sum(seen.note(*digest(number)) for number in range(10_000, 12_000)) < 20


def test_an_empty_one_knows_nothing() -> None:
    assert not Sightings().note(*digest(1))
