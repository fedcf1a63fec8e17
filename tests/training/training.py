"""Softmax regression in plain Python: slow, without a dependency, and the same sums in the same order every time."""

import argparse
import hashlib
import math
import random
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

import polars as pl

from batchroute.routing.weights import (
    CLASSES,
    EARLY,
    FILE,
    FIRST,
    LAST,
    LATE,
    MOST,
    NEAR,
    NOTHING,
    PARTS,
    TASKS,
)
from batchroute.routing.wordings import tokens
from tests.test_samples import REQUESTS, half
from tests.training.generated import Example, examples, spoken, written

EACH: Final = 16
"""Requests made of every phrase."""
SPOKEN: Final = 2
"""How often a word that speaks for a task is shown."""
BLANK: Final = 100
"""How often a text without a word is shown."""
WHOLE: Final = 1
"""What a whole request weighs beside one that was made of a phrase."""
ROUNDS: Final = 8
AGAIN: Final = 6
"""Rounds of those that are kept."""
STEP: Final = 0.35
DROPPED: Final = 0.3
"""This share of the words of a request is not read, others each time: what is made of few phrases repeats itself."""
RARE: Final = 2
"""A word in fewer requests is not learnt."""
MADE_FROM: Final = "made_from"
"""The key of the file's metadata under which the digest stands."""
KEPT: Final = 30_000
"""So many words are kept, those that weigh most; the others are forgotten, and what they said is learnt by these."""

_EDGES: Final = (FIRST, LAST)

Weighed = tuple[Sequence[str], int, float]
"""The words of a request, the number of its task, and what it weighs."""


def features(texts: Sequence[str]) -> list[list[str]]:
    """All words and pairs of words of each text, and those near its beginning and its end as such."""
    words: list[list[str]] = [[] for _ in texts]
    for row, word in tokens(pl.Series(texts, dtype=pl.String)).iter_rows():
        words[row].append(word)
    return [features_of(some) for some in words]


def features_of(words: Sequence[str]) -> list[str]:
    """The same of the words of one text. Where it begins and ends is no word: of that alone nothing is learnt."""
    pairs = [f"{before} {word}" for before, word in pairwise(words)]
    alone = [word for word in words if word not in _EDGES]
    return [*alone, *pairs, *_near(words, FIRST, EARLY, 1), *_near(words, LAST, LATE, -1)]


def _near(words: Sequence[str], edge: str, mark: str, way: int) -> list[str]:
    places = [place + way * step for place, word in enumerate(words) if word == edge for step in NEAR]
    there = [words[place] for place in places if 0 <= place < len(words)]
    return [f"{mark} {word}" for word in there if word not in _EDGES]


def seen() -> list[Example]:
    """The half of the sample requests that may be trained on."""
    return [Example(one.text, one.task) for one in REQUESTS if half(one) == 0 and one.task in TASKS]


def weighed(some: Sequence[Example], weight: float) -> list[Weighed]:
    words = features([one.text for one in some])
    return [(w, CLASSES.index(one.task or NOTHING), weight) for w, one in zip(words, some, strict=True)]


def whole() -> list[Weighed]:
    """Requests as they are sent."""
    return weighed([*written(), *seen()], WHOLE)


def made() -> list[Weighed]:
    """All that is made of phrases. In texts without a word nothing is asked."""
    return weighed([*examples(EACH), *spoken(SPOKEN), *[Example("", "")] * BLANK], 1)


def train(some: Sequence[Weighed]) -> dict[str, list[float]]:
    """Weights by word: of all words first, then of those that weighed most."""
    often = Counter(word for words, _, _ in some for word in set(words))
    everything = {word: [0.0] * len(CLASSES) for word, times in often.items() if times >= RARE}
    return _trained(_heaviest(_trained(everything, some, ROUNDS)), some, AGAIN)


def _trained(table: dict[str, list[float]], some: Sequence[Weighed], rounds: int) -> dict[str, list[float]]:
    spread = dict.fromkeys(table, 1.0)
    known = [([word for word in words if word in table], task, weight) for words, task, weight in some]
    dice = random.Random(11)
    for _ in range(rounds):
        dice.shuffle(known)
        for words, task, weight in known:
            read = [word for word in words if dice.random() >= DROPPED]
            _learn(table, spread, read, task, weight)
    return table


def _heaviest(table: dict[str, list[float]]) -> dict[str, list[float]]:
    def weight(word: str) -> tuple[float, str]:
        return -max(map(abs, table[word])), word

    return {word: table[word] for word in sorted(table, key=weight)[:KEPT]}


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
    """Tells how many of the requests that were written for training are named rightly by weights that they had no part
    in. They are harder than most: one in three has the words of one task in the material of another.
    """
    others, own = made() + weighed(seen(), WHOLE), weighed(list(written()), WHOLE)
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
    """Weights as they come back from the file."""
    return {word: [weight / PARTS for weight in row] for word, row in rounded(table).items()}


def rounded(table: dict[str, list[float]]) -> dict[str, list[int]]:
    """Whole parts, without the words that have come to nothing."""
    rows = {
        word: [max(-MOST, min(MOST, round(weight * PARTS))) for weight in row] for word, row in table.items()
    }
    return {word: rows[word] for word in sorted(rows) if any(rows[word])}


def frame(table: dict[str, list[float]]) -> pl.DataFrame:
    """The table of the file."""
    rows = rounded(table)
    both = [word.rpartition(" ") for word in rows]
    words = {"before": [before or None for before, _, _ in both], "word": [word for _, _, word in both]}
    columns = zip(CLASSES, zip(*rows.values(), strict=True), strict=True)
    numbers = [pl.Series(name, column, dtype=pl.Int8) for name, column in columns]
    return pl.DataFrame(words, schema_overrides={"before": pl.String}).with_columns(numbers)


def digest(some: Sequence[Weighed]) -> str:
    """Of all that the weights depend on: what is learnt from, as it is read, and how. It is kept in the file."""
    how = WHOLE, ROUNDS, AGAIN, STEP, DROPPED, RARE, KEPT, MOST, PARTS, CLASSES
    return hashlib.sha256(repr((how, some)).encode()).hexdigest()


def main() -> None:
    options = argparse.ArgumentParser(prog="python -m tests.training", description=__doc__)
    options.add_argument("--check", action="store_true", help="cross-validate, and write nothing")
    if options.parse_args().check:
        cross_validated()
    else:
        write(FILE, learnt_from())


def learnt_from() -> list[Weighed]:
    return made() + whole()


def write(path: Path, some: Sequence[Weighed]) -> None:
    """Half a minute."""
    frame(train(some)).write_parquet(
        path, compression="zstd", compression_level=19, statistics=False, metadata={MADE_FROM: digest(some)}
    )
