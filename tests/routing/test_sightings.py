"""What was added is found, and little else."""

import hashlib
import struct

from batchroute.routing.sightings import Sightings


def digest(number: int) -> tuple[int, int]:
    one, other = struct.unpack("<qq", hashlib.blake2b(b"%d" % number, digest_size=16).digest())
    return one, other


def test_all_that_was_added_is_found_and_of_the_rest_next_to_nothing() -> None:
    """Also once there is more than one piece can hold."""
    seen = Sightings(capacity=1024)
    for number in range(3000):
        seen.add(*digest(number))

    assert all(seen.has(*digest(number)) for number in range(3000))
    assert sum(seen.has(*digest(number)) for number in range(10_000, 20_000)) < 50


def test_an_empty_one_holds_nothing() -> None:
    assert not Sightings().has(*digest(1))
