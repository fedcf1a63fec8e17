"""What a simulated model knows of earlier prompts: how they began.

As OpenAI's models before GPT-5.6 do it: prefixes of 1,024 tokens or more, in steps of 128 (developers.openai.com, guide
Prompt caching, 2026-11).
"""

from collections import OrderedDict
from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

BYTES_PER_TOKEN: Final = 4
LEAST_TOKENS: Final = 1024
STEP_TOKENS: Final = 128
MOST_PREFIXES: Final = 65_536
"""What is known at most; what was not asked for the longest is forgotten first."""


class Memory:
    """The prefixes that one model knows, each for `lasting` seconds after it was used last."""

    def __init__(self, lasting: float) -> None:
        self._lasting = lasting
        self._known: OrderedDict[bytes, tuple[float, float]] = OrderedDict()
        """From when to when, by digest."""

    def cached(self, wire: bytes, now: float, known_at: float) -> int:
        """How many tokens of this prompt are known already; from `known_at`, when it is answered, all of them are."""
        tokens, unbroken = 0, True
        for length, digest in _prefixes(wire):
            begins, ends = self._known.get(digest, (known_at, 0.0))
            unbroken = unbroken and begins <= now < ends
            if unbroken:
                tokens = length
            self._known[digest] = (
                min(begins, known_at) if now < ends else known_at,
                known_at + self._lasting,
            )
            self._known.move_to_end(digest)
        while len(self._known) > MOST_PREFIXES:
            self._known.popitem(last=False)
        return tokens


def _prefixes(wire: bytes) -> Iterator[tuple[int, bytes]]:
    """The prefixes that are kept of a prompt, the shortest first: tokens and digest of each."""
    digest, digested = blake2b(digest_size=8), 0
    for tokens in range(LEAST_TOKENS, len(wire) // BYTES_PER_TOKEN + 1, STEP_TOKENS):
        until = tokens * BYTES_PER_TOKEN
        digest.update(wire[digested:until])
        digested = until
        yield tokens, digest.digest()
