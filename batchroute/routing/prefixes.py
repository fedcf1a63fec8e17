"""Which requests begin alike for so long that a provider need not read the beginning twice, and in which order they are
sent so that it does not.

What providers keep of prompts, as their pages have it (read in 2026-11):

- OpenAI: prefixes of 1,024 tokens or more, for 5 to 10 minutes at least; a request comes to the machine that knows its
  prefix by a hash of about its first 256 tokens. Writes are free before GPT-5.6, since then they cost 1.25 times the input
  (developers.openai.com/api/docs/guides/prompt-caching; learn.microsoft.com/azure/foundry/openai/how-to/prompt-caching
  says the same of Azure).
- Anthropic: from 512 to 4,096 tokens by model, for 5 minutes, and only what is marked with cache_control; nothing may be
  read before the first answer has begun (platform.claude.com/docs/en/build-with-claude/prompt-caching).
- Gemini: 2,048 or 4,096 tokens by model, by itself; "similar prefixes in a short amount of time" help
  (ai.google.dev/gemini-api/docs/caching).
- DeepSeek: what two requests have in common is kept on disk, by itself (api-docs.deepseek.com/guides/kv_cache).

So two requests belong together from 1,024 tokens on, they go to one endpoint, and the others of a group follow its first
one once that can have been answered: sent in the same moment, none of them would find anything.
"""

from collections import Counter, deque
from collections.abc import Container, Sequence
from hashlib import blake2b
from typing import Final

from msgspec import Struct

from batchroute.core.tokens import tokens_of

LEAST_TOKENS: Final = 1024
"""What a prefix has at least, by the estimate: the smallest that most providers keep."""
LEAST_BYTES: Final = 1024
"""Nothing shorter has so many tokens, but texts of signs and digits alone."""
_STEP_BYTES: Final = 512
_LONGER: Final = 6
"""How many longer beginnings are looked at, each half as long again as the one before it: a system prompt may be that of
all records, and the text behind it that of a few."""
_DIGEST_BYTES: Final = 8
BESIDE: Final = 16
"""Groups that are sent side by side: those of one alone would be too much for one of several equal models, while the
others have nothing to do."""

Beginnings = tuple[int, ...]
"""Digests of ever longer beginnings of one request; none where it is short. Those of another request are equal as far as
the two begin alike."""


class Sequel(Struct, frozen=True):
    """In which order records are sent, by their places, and what each has in common with others; None: nothing."""

    places: Sequence[int]
    prefixes: Sequence[int | None]


def beginnings(messages: bytes) -> Beginnings:
    """Digests of how a request begins: the shortest beginning with enough tokens, and longer ones."""
    length = _shortest(messages) if len(messages) >= LEAST_BYTES else None
    if length is None:
        return ()
    digest, digested, found = blake2b(digest_size=_DIGEST_BYTES), 0, list[int]()
    while length <= len(messages) and len(found) <= _LONGER:
        digest.update(messages[digested:length])
        digested, length = length, length * 3 // 2
        found.append(int.from_bytes(digest.digest(), "little", signed=True))
    return tuple(found)


def _shortest(messages: bytes) -> int | None:
    """The length of the shortest beginning that is long enough, bytes: told by nothing that comes after it."""
    tokens = 0
    for start in range(0, len(messages) - _STEP_BYTES + 1, _STEP_BYTES):
        tokens += tokens_of(messages[start : start + _STEP_BYTES])
        if tokens >= LEAST_TOKENS:
            return start + _STEP_BYTES
    return None


def sequel(found: Sequence[Beginnings], apart: int, known: Container[int] = ()) -> Sequel | None:
    """The order for requests that begin so; None where no two begin alike, nor one as those before them that are `known`.

    Those that have a prefix in common follow the first of them `apart` requests later or more, if there are so many
    others, and then no more than `BESIDE` requests after one another. Whatever has nothing in common with another one
    keeps its order.
    """
    times = Counter(digest for each in found for digest in each)
    prefixes = [
        next((digest for digest in reversed(each) if times[digest] > 1 or digest in known), None)
        for each in found
    ]
    if all(prefix is None for prefix in prefixes):
        return None
    return Sequel(_arranged(_groups(found, prefixes), apart), prefixes)


def _groups(found: Sequence[Beginnings], prefixes: Sequence[int | None]) -> list[list[int]]:
    """The places of those that have the longest prefix in common, groups that begin alike beside one another."""
    first: dict[int, int] = {}
    groups: dict[int | None, list[int]] = {}
    alone: list[list[int]] = []
    for place, (each, prefix) in enumerate(zip(found, prefixes, strict=True)):
        for digest in each:
            first.setdefault(digest, place)
        if prefix is None:
            alone.append([place])
        else:
            groups.setdefault(prefix, []).append(place)

    def begins(group: list[int]) -> list[int]:
        return [*(first[digest] for digest in found[group[0]]), group[0]]

    return sorted([*alone, *groups.values()], key=begins)


def _arranged(groups: Sequence[list[int]], apart: int) -> list[int]:
    """The first of each group, and the others of it behind those of other groups, a few groups side by side."""
    places: list[int] = []
    waiting: deque[tuple[int, deque[int]]] = deque()
    beside: deque[deque[int]] = deque()
    firsts = deque(groups)
    while firsts or waiting or beside:
        while waiting and len(beside) < BESIDE and (waiting[0][0] <= len(places) or not firsts):
            beside.append(waiting.popleft()[1])
        if beside:
            others = beside.popleft()
            places.append(others.popleft())
            if others:
                beside.append(others)
        else:
            first, *rest = firsts.popleft()
            if rest:
                waiting.append((len(places) + apart, deque(rest)))
            places.append(first)
    return places
