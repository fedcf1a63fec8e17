"""Random choices that follow from the seed and the request, never from the order of arrival."""

import math
from collections.abc import Mapping
from hashlib import blake2b
from struct import Struct as Layout

from msgspec import Struct

_LAYOUT = Layout("<5Q")
_UNIT = 2.0**-53
_Z95 = 1.6448536269514722  # the standard normal's 95th percentile


class Draws(Struct, frozen=True):
    """The independent choices of one request: two from [0, 1), a standard normal, and 64 bits."""

    fault: float
    skill: float
    latency: float
    shape: int
    tag: str
    """32 hexadecimal digits, unique to the request and how often it was seen."""


def key(seed: int, model: str) -> bytes:
    """What makes the choices of one seed and model its own."""
    return blake2b(b"%d\0%b" % (seed, model.encode())).digest()


def fingerprint(key: bytes, messages: bytes) -> bytes:
    """16 bytes that name a request to one seed and model, whenever it comes."""
    return blake2b(messages, digest_size=16, key=key).digest()


def draw(request: bytes, seen: int) -> Draws:
    """The choices for a request of this fingerprint that was admitted `seen` times before."""
    digest = blake2b(request + seen.to_bytes(8, "little"), digest_size=_LAYOUT.size).digest()
    *uniform, shape = _LAYOUT.unpack(digest)
    fault, skill, radius, angle = ((bits >> 11) * _UNIT for bits in uniform)
    # Box and Muller's transform: two uniform numbers to one normal; 1 - radius is above 0.
    normal = math.sqrt(-2.0 * math.log(1.0 - radius)) * math.cos(math.tau * angle)
    return Draws(fault, skill, normal, shape, digest[:16].hex())


def log_normal(p50: float, p95: float, normal: float) -> float:
    """The log-normal time with this median and 95th percentile, at this standard normal draw."""
    return p50 * math.exp(math.log(p95 / p50) / _Z95 * normal) if p50 else 0.0


def pick(shares: Mapping[str, float], draw: float) -> str | None:
    """The kind whose share covers the draw, None beyond all shares."""
    for kind, share in shares.items():
        if draw < share:
            return kind
        draw -= share
    return None
