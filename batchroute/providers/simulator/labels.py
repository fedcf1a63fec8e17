"""Which label a simulated model answers with, out of those that the prompt names."""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from zlib import crc32

from batchroute.providers.simulator.prompts import TASKS, Prompt

DEFAULT_LABELS = ("positive", "negative", "neutral")

_HEAD_CHARS = 2_000
_CUES = (
    re.compile(r"\b(?:labels?|categor(?:y|ies)|classes|options)\b[^:\n]{0,60}:", re.IGNORECASE),
    re.compile(r"\b(?:one|label|word|any) of\b[^:,\n]{0,60}:", re.IGNORECASE),
    re.compile(r"\b(?:of|either)\b", re.IGNORECASE),
    re.compile(r"\bas\b", re.IGNORECASE),
)
_SEPARATOR = re.compile(r"[,|/;\n]|\bor\b|\band\b")
_LABEL = re.compile(r"\w[\w -]{0,39}")
_WORD = re.compile(r"[^\W\d_]+")

_MOOD_WORDS = {
    "positive": "good great love excellent happy thanks thank perfect wonderful fast amazing best pleased",
    "negative": "bad terrible hate awful angry broken worst refund slow late poor disappointed never damaged",
}
MOODS = {word: mood for mood, words in _MOOD_WORDS.items() for word in words.split()}


def named(prompt: Prompt) -> tuple[str, ...]:
    """The labels that the prompt lists after words such as "labels:" or "one of"; none if it lists none."""
    return _named_by_instructions(prompt.system[:_HEAD_CHARS]) or _named(prompt.text[:_HEAD_CHARS])


def _named(text: str) -> tuple[str, ...]:
    for cue in _CUES:
        if (found := cue.search(text)) and len(labels := _listed(text[found.end() :])) > 1:
            return labels
    return ()


_named_by_instructions = lru_cache(maxsize=64)(_named)  # a job has few system messages


def right(labels: Sequence[str], prompt: Prompt) -> str:
    """The label that every able model agrees on: the task, the mood or the first label that the text speaks of."""
    by_name = {label.lower(): label for label in labels}
    text = _without_list(prompt.text.lower(), by_name)
    for word in _WORD.findall(text):
        for sign in (word, MOODS.get(word), TASKS.get(word)):
            if sign in by_name:
                return by_name[sign]
    for neutral in ("neutral", "chat", "other"):
        if neutral in by_name:
            return by_name[neutral]
    return labels[crc32(text.encode("utf-8", "replace")) % len(labels)]


def wrong(labels: Sequence[str], answer: str, shape: int) -> str:
    """Another label than the right one, if there is another."""
    others = [label for label in labels if label != answer]
    return others[shape % len(others)] if others else "unknown"


def _listed(text: str) -> tuple[str, ...]:
    """Labels at the beginning of a text: a line of them, or one a line behind a dash."""
    first, _, rest = text.lstrip(" ").partition("\n")
    if not first.strip():
        lines = [line.strip() for line in rest.split("\n")[:40]]
        first = "\n".join(line[1:] for line in lines if line.startswith(("-", "*")))
    pieces = _SEPARATOR.split(first.partition(". ")[0].partition(":")[0].rstrip("."))
    labels = [piece.strip(" \t\"'`[](){}.?") for piece in pieces]
    return tuple(dict.fromkeys(label for label in labels if _LABEL.fullmatch(label)))


def _without_list(text: str, names: Iterable[str]) -> str:
    """The text without the first mention of each label, when it mentions all of them: that is the list."""
    if all(name in text for name in names):
        for name in names:
            text = text.replace(name, " ", 1)
    return text
