"""Softmax regression in plain Python: slow, without a dependency, and the same sums in the same order every time."""

import argparse
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import polars as pl

from batchroute.routing import wordings
from batchroute.routing.wordings import NOTHING, PARTS, TASKS, tokens
from tests.test_samples import REQUESTS, half
from tests.training.generated import Example, examples, spoken

CLASSES: Final = (*TASKS, NOTHING)
EACH: Final = 8
"""Requests made of every phrase."""
SPOKEN: Final = 2
"""How often a word that speaks for a task is shown."""
OWN: Final = 4
"""What a sample request weighs beside one that was made up."""
ROUNDS: Final = 8
STEP: Final = 0.35
RARE: Final = 2
"""A word in fewer requests is not learnt."""
LIGHT: Final = 3
"""What weighs less than this for every task, in parts, is left out."""

MODULE: Final = Path(wordings.__file__).with_name("weights.py")
HEADING: Final = '''# ruff: noqa: E501 - one word or pair of words a line, in all scripts
"""What words weigh for each task: made by `python -m tests.training`, not by hand. See wordings.py."""

from typing import Final
'''

Weighed = tuple[Sequence[str], int, float]
"""The words of a request, the number of its task, and what it weighs."""


def features(texts: Sequence[str]) -> list[list[str]]:
    """All words and pairs of words of each text."""
    found: list[list[str]] = [[] for _ in texts]
    before = None
    for row, word in tokens(pl.Series(texts, dtype=pl.String)).iter_rows():
        found[row].append(word)
        if word != "^":
            found[row].append(f"{before} {word}")
        before = word
    return found


def seen() -> list[Example]:
    """The half of the sample requests that may be trained on."""
    return [Example(one.text, one.task) for one in REQUESTS if half(one) == 0 and one.task in TASKS]


def weighed(some: Sequence[Example], weight: float) -> list[Weighed]:
    words = features([one.text for one in some])
    return [(w, CLASSES.index(one.task or NOTHING), weight) for w, one in zip(words, some, strict=True)]


def made() -> list[Weighed]:
    """All that was made up."""
    return weighed([*examples(EACH), *spoken(SPOKEN)], 1)


def train(some: Sequence[Weighed]) -> dict[str, list[float]]:
    """Weights by word."""
    often = Counter(word for words, _, _ in some for word in set(words))
    table = {word: [0.0] * len(CLASSES) for word, times in often.items() if times >= RARE}
    spread = dict.fromkeys(table, 1.0)
    known = [([word for word in words if word in table], task, weight) for words, task, weight in some]
    dice = random.Random(11)
    for _ in range(ROUNDS):
        dice.shuffle(known)
        for words, task, weight in known:
            _learn(table, spread, words, task, weight)
    return table


def _learn(
    table: dict[str, list[float]], spread: dict[str, float], words: Sequence[str], task: int, weight: float
) -> None:
    """One step towards the task; the more often a word has moved, the less it does."""
    shares = likelihoods(table, words)
    wrong = [weight * (share - (number == task)) for number, share in enumerate(shares)]
    length = sum(one * one for one in wrong)
    if length < 1e-4:
        return
    for word in words:
        spread[word] += length
        step = STEP / math.sqrt(spread[word]) / math.sqrt(len(words))
        row = table[word]
        for number, one in enumerate(wrong):
            row[number] -= step * one


def likelihoods(table: dict[str, list[float]], words: Sequence[str], sharpness: float = 1.0) -> list[float]:
    sums = [sum(column) for column in zip(*(table[word] for word in words), strict=True)] or [0.0] * len(
        CLASSES
    )
    most = max(sums)
    shares = [math.exp((one - most) * sharpness) for one in sums]
    total = sum(shares)
    return [share / total for share in shares]


def cross_validated(folds: int = 4) -> None:
    """Tells how many of the sample requests are named rightly by weights that they had no part in."""
    others, own = made(), weighed(seen(), OWN)
    random.Random(5).shuffle(own)
    sums = []
    for fold in range(folds):
        table = shipped(train(others + [one for number, one in enumerate(own) if number % folds != fold]))
        for words, task, _ in own[fold::folds]:
            sums.append((table, [word for word in words if word in table], task))
    for sharpness in (0.8, 1.0, 1.2, 1.4, 1.6):
        said = [(likelihoods(table, words, sharpness), task) for table, words, task in sums]
        loss = -sum(math.log(max(shares[task], 1e-9)) for shares, task in said) / len(said)
        print(f"sharpness {sharpness}: loss {loss:.3f}")
    right = sum(max(shares) == shares[task] for shares, task in said)
    print(f"cross-validated: {right} of {len(said)} ({right / len(said):.1%})")


def shipped(table: dict[str, list[float]]) -> dict[str, list[float]]:
    return {word: [weight / PARTS for weight in row] for word, row in rounded(table).items()}


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.training", description=__doc__)
    options.add_argument("--check", action="store_true", help="cross-validate, and write nothing")
    if options.parse_args().check:
        cross_validated()
    else:
        write(train(made() + weighed(seen(), OWN)))


def write(table: dict[str, list[float]]) -> None:
    """Make the module of the weights anew."""
    rows = rounded(table)
    lines = [f"{word}\t{','.join(map(str, rows[word]))}".replace("\\", "\\\\") for word in sorted(rows)]
    text = "\n".join(lines).replace('"""', r"\"\"\"")
    MODULE.write_text(f'{HEADING}\nWEIGHTS: Final = """\\\n{text}\\\n"""\n', encoding="utf-8")


def rounded(table: dict[str, list[float]]) -> dict[str, list[int]]:
    """Weights as they are shipped: whole parts, without the words that hardly weigh."""
    rows = {word: [round(weight * PARTS) for weight in row] for word, row in table.items()}
    return {word: row for word, row in rows.items() if max(map(abs, row)) >= LIGHT}
