"""How a simulated model labels a numbered list of quoted texts: a line for each, `number | label | confidence`.

The instructions name the labels on a line `Labels: a | b | c`, and ask for the complexity or do not.
"""

import re
from zlib import crc32

from msgspec import DecodeError, Struct, json

from batchroute.providers.simulator import labels
from batchroute.providers.simulator.prompts import Prompt

_LABELS = re.compile(r"^Labels: (.+)$", re.MULTILINE)
_FORM = re.compile(r"number \| label \| confidence( \| complexity)?")
_LINE = re.compile(r'^(\d{1,4}): (".*")$')
_LONG_CHARS, _MIDDLING_CHARS = 400, 120


class Sheet(Struct, frozen=True, kw_only=True):
    """What is to be labelled: texts by number, and the labels to choose from."""

    labels: tuple[str, ...]
    texts: tuple[tuple[int, str], ...]
    complexity: bool


def read(prompt: Prompt) -> Sheet | None:
    """The sheet that a prompt is; None where it is none."""
    form, named = _FORM.search(prompt.system), _LABELS.search(prompt.system)
    if form is None or named is None:
        return None
    lines = [_LINE.match(line) for line in prompt.text.split("\n")]
    try:
        texts = tuple((int(line[1]), json.decode(line[2], type=str)) for line in lines if line is not None)
    except DecodeError:
        return None
    choice = tuple(label.strip() for label in named[1].split("|"))
    return Sheet(labels=choice, texts=texts, complexity=form[1] is not None)


def write(sheet: Sheet, *, skill: float, shape: int) -> str:
    """The labels of a model that is right with this probability, each for itself, and mostly knows how sure it is."""
    return "\n".join(_line(sheet, number, text, skill, shape) for number, text in sheet.texts)


def _line(sheet: Sheet, number: int, text: str, skill: float, shape: int) -> str:
    drawn = crc32(b"%d %b" % (shape, text.encode("utf-8", "replace")))
    label = labels.right(sheet.labels, Prompt(system="", text=text, tokens=0, wire=b""))
    able = drawn / 2**32 < skill
    if not able:
        label = labels.wrong(sheet.labels, label, drawn)
    confidence = (0.75 if able else 0.45) + drawn % 25 / 100
    line = f"{number} | {label} | {confidence:.2f}"
    return f"{line} | {_level(text)}" if sheet.complexity else line


def _level(text: str) -> str:
    if len(text) >= _LONG_CHARS:
        return "hard"
    return "medium" if len(text) >= _MIDDLING_CHARS else "simple"
