"""The targets hold for their seeds, and for those seeds damaged: a fuzzer that starts from a fault finds nothing else."""

import random

import pytest

from tests.fuzzing.targets import SEEDS, TARGETS

ROUNDS = {"lines": 2000, "job": 40, "response": 2000}


def damaged(seed: bytes, chance: random.Random) -> bytes:
    octets = bytearray(seed)
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(octets) + 1)
        what = chance.choice([b"", b"\0", b'"', b"\\", b"{", b"}", b"\xff", b"\n", chance.randbytes(3)])
        octets[at : at + chance.randint(0, 3)] = what
    return bytes(octets)


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_holds_for_seeds_and_for_damaged_ones(name: str) -> None:
    chance = random.Random(1)
    for seed in SEEDS[name]:
        TARGETS[name](seed)
        for _ in range(ROUNDS[name] // len(SEEDS[name])):
            TARGETS[name](damaged(seed, chance))
