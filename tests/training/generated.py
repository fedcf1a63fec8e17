"""Requests made up from phrases, for training: labelled texts, the same ones in every run."""

import json
import random
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

FOLDER: Final = Path(__file__).parent / "phrases"
REQUESTS: Final = Path(__file__).parent / "requests"
"""Whole requests by language, one JSON object a line: `task` (none where nothing is asked) and `text`."""

SHOWN: Final = ("translate", "summarize", "extract", "classify", "moderate")
"""Tasks that are asked of a material, which stands before, within or after the request."""

_JOINS: Final = (
    ("{ask}: {m}", 4), ("{ask}:\n\n{m}", 3), ("{ask}. {m}", 1), ("{ask}\n{m}", 4), ("{ask}\n\n{m}", 4),
    ("{m}\n\n{ask}", 2), ("{m} {ask}", 1), ("{ask}", 1), ('{ask} "{m}"', 5), ("{ask}: “{m}”", 1), ('"{m}" {ask}', 2),
)  # fmt: skip
_TOGETHER: Final = 3
_GROUP: Final = re.compile(r"\(([^()]*)\)")
_SLOT: Final = re.compile(r"\{(\w+)\}")


WORDS: Final = Path(__file__).with_name("words.txt")
"""Words that speak for a task wherever they stand."""


class Example(NamedTuple):
    text: str
    task: str
    """Empty where nothing is asked."""


class Phrases(NamedTuple):
    asks: Mapping[str, Sequence[str]]
    slots: Mapping[str, Sequence[str]]


@cache
def languages() -> Mapping[str, Phrases]:
    return {path.stem: _read(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.txt"))}


def _read(text: str) -> Phrases:
    asks: dict[str, list[str]] = {}
    slots: dict[str, list[str]] = {}
    lines: list[str] = []
    for line in filter(None, text.split("\n")):
        if heading := re.fullmatch(r"\[(?:slot (\w+)|(\w+))\]", line):
            lines = []
            (slots if heading[1] else asks)[heading[1] or heading[2]] = lines
        else:
            lines.append(line.replace("\\n", "\n"))
    return Phrases(asks, {name: "\n".join(lines).split("|") for name, lines in slots.items()})


def written() -> Iterator[Example]:
    """Requests that were written for training, each by itself, as people and applications of all kinds send them."""
    for path in sorted(REQUESTS.glob("*.jsonl")):
        for line in path.read_bytes().splitlines():
            one = json.loads(line)
            yield Example(one["text"], "" if one["task"] == "none" else one["task"])


def examples(each: int, seed: int = 7) -> Iterator[Example]:
    """`each` requests from every phrase."""
    dice = random.Random(seed)
    for name, phrases in languages().items():
        for task, asks in phrases.asks.items():
            for ask in asks:
                for _ in range(each):
                    yield Example(_said(dice, name, task, ask), "" if task == "none" else task)


def _said(dice: random.Random, language: str, task: str, ask: str) -> str:
    said = _GROUP.sub(lambda group: dice.choice(group[1].split("|")), ask)
    if task in SHOWN and "{m}" not in said:
        joins, weights = zip(*_JOINS, strict=True)
        said = dice.choices(joins, weights)[0].replace("{ask}", said.rstrip(":"))
    said = _SLOT.sub(lambda slot: _filled(dice, language, slot[1]), said)
    if task != "none":
        said = (_filled(dice, language, "before") if dice.random() < 0.1 else "") + said
        said += _filled(dice, language, "after") if dice.random() < 0.2 else ""
    return said.lower() if dice.random() < 0.1 else said


def _filled(dice: random.Random, language: str, slot: str) -> str:
    own, english = languages()[language].slots, languages()["en"].slots
    if slot == "m":
        some = own if dice.random() < 0.75 else languages()[dice.choice(list(languages()))].slots
        return " ".join(dice.choice(some["m"]) for _ in range(dice.choice((1, 1, 1, 2, 3))))
    return dice.choice(own.get(slot) or english[slot])


def spoken(times: int, seed: int = 3) -> Iterator[Example]:
    """Requests that are nothing but words of their task, a few of them; each word `times` times."""
    dice = random.Random(seed)
    lines = WORDS.read_text(encoding="utf-8").splitlines()
    for heading, line in zip(lines[::2], lines[1::2], strict=True):
        for _ in range(times):
            words = line.split("|")
            dice.shuffle(words)
            for start in range(0, len(words), _TOGETHER):
                yield Example(" ".join(words[start : start + _TOGETHER]), heading.strip("[]"))
