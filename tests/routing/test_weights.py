"""The shipped weights: what the file holds, how they are added up, and that the script makes them."""

import random
from collections import Counter
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.routing.weights import CLASSES, EARLY, FILE, LATE, MOST, NEAR, ROOM, by_key, sums
from batchroute.routing.wordings import ENDING, OPENING, likeliest, tokens
from tests.test_samples import REQUESTS, half, shingles
from tests.training.generated import written
from tests.training.training import MADE_FROM, digest, features_of, learnt_from, write


def _table(weights: dict[str, list[int]]) -> pl.DataFrame:
    both = [word.rpartition(" ") for word in weights]
    columns = dict(zip(CLASSES, zip(*weights.values(), strict=True), strict=True))
    words = {"before": [before or None for before, _, _ in both], "word": [word for _, _, word in both]}
    return pl.DataFrame(
        words | columns, schema_overrides={"before": pl.String} | dict.fromkeys(CLASSES, pl.Int8)
    )


def _differences(table: pl.DataFrame, words: list[str]) -> list[int]:
    """How far each class is from the first one."""
    (row,) = sums(pl.DataFrame({"row": [0] * len(words), "word": words}), by_key(table)).iter_rows(named=True)
    return [row[name] - row[CLASSES[0]] for name in CLASSES]


@pytest.mark.parametrize("seed", range(20))
def test_weights_of_words_and_pairs_are_added_up(seed: int) -> None:
    dice = random.Random(seed)
    names = ["a", "b", "c", "a b", "b a", "c c"]
    weights = {name: [dice.randint(-MOST, MOST) for _ in CLASSES] for name in names}
    words = [dice.choice("abcd") for _ in range(dice.randint(3, 140))]

    spoken = ["a", *words, *(f"{one} {other}" for one, other in zip(["a", *words], words, strict=False))]
    totals = [sum(weights[name][at] for name in spoken if name in weights) for at in range(len(CLASSES))]

    assert _differences(_table(weights), ["a", *words]) == [total - totals[0] for total in totals]


@pytest.mark.parametrize("sign", [1, -1])
def test_a_text_of_nothing_but_the_weightiest_word_has_room(sign: int) -> None:
    longest = "!" * (OPENING + ENDING + 100)
    (count,) = tokens(pl.Series([longest])).group_by("row").len()["len"]
    assert (2 * count + 2 * len(NEAR)) * MOST < ROOM // 2

    heavy = [sign * MOST * (-1) ** at for at in range(len(CLASSES))]
    words = ["^", *["!"] * (count - 2), "$"]
    weighty = ["^", "!", "$", "^ !", "! !", "! $", f"{EARLY} !", f"{LATE} !"]
    found = _differences(_table(dict.fromkeys(weighty, heavy)), words)

    assert found == [(2 * count - 1 + 2 * len(NEAR)) * (weight - heavy[0]) for weight in heavy]


@given(st.lists(st.lists(st.sampled_from(["^", "$", "a", "b"]), max_size=6), min_size=1, max_size=5))
def test_words_near_a_beginning_or_an_end_weigh_as_they_are_learnt_whatever_stands_beside_them(
    texts: list[list[str]],
) -> None:
    """Each text by itself, and all of them at once; the learnt features are those of the script."""
    names = [f"{mark} {word}" for mark in (EARLY, LATE) for word in "ab"]
    weights = {name: [0, 3**place % MOST, *[0] * (len(CLASSES) - 2)] for place, name in enumerate(names)}
    table = by_key(_table(weights))
    spelled = [["^", *text, "$"] for text in texts]
    words = pl.DataFrame(
        {
            "row": [row for row, text in enumerate(spelled) for _ in text],
            "word": [word for text in spelled for word in text],
        }
    )
    found = {row["row"]: row["reason"] - row["code"] for row in sums(words, table).iter_rows(named=True)}
    expected = {
        row: sum(weights[name][1] for name in features_of(text) if name in weights)
        for row, text in enumerate(spelled)
    }
    assert {row: found.get(row, 0) for row in expected} == expected


def test_the_file_has_each_word_once_and_no_weight_beyond_what_there_is_room_for() -> None:
    table = pl.read_parquet(FILE)

    assert table.columns == ["before", "word", *CLASSES]
    assert table.select("before", "word").is_duplicated().sum() == 0
    assert table.select(pl.all_horizontal(pl.col(CLASSES).is_between(-MOST, MOST))).to_series().all()
    assert FILE.stat().st_size < 300_000


def test_the_file_is_made_from_what_the_script_learns_from() -> None:
    """Who changes phrases, samples or the reading of words has to run `python -m tests.training`."""
    assert pl.read_parquet_metadata(FILE)[MADE_FROM] == digest(learnt_from())


def test_nothing_that_is_learnt_is_nearly_a_request_that_is_not_to_be_seen() -> None:
    """Else the figure for the unseen half would be no honest one."""
    unseen = [(request.text, shingles(request.text)) for request in REQUESTS if half(request)]
    having: dict[str, list[int]] = {}
    for number, (_, some) in enumerate(unseen):
        for shingle in some:
            having.setdefault(shingle, []).append(number)

    near = []
    for text in [example.text for example in written()]:
        own = shingles(text)
        for number, shared in Counter(at for shingle in own for at in having.get(shingle, ())).items():
            if shared / (len(own) + len(unseen[number][1]) - shared) > 0.35:
                near.append((text, unseen[number][0]))

    assert near == []


@pytest.mark.benchmark
def test_the_script_makes_the_file_again(tmp_path: Path) -> None:
    write(tmp_path / "again.parquet", learnt_from())

    assert pl.read_parquet(tmp_path / "again.parquet").equals(pl.read_parquet(FILE))


@pytest.mark.parametrize("text", [None, "", "   ", "\n\t"])
def test_where_there_are_no_words_nothing_is_said(text: str | None) -> None:
    assert likeliest(pl.Series([text], dtype=pl.String)).is_empty()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Translate, please", ["^", "tran", ",", "plea", "$"]),
        ("12.5 km", ["^", "0", ".", "0", "km", "$"]),
        ("用 Python 写", ["^", "用", "pyth", "写", "$"]),
        ("a\n\nb", ["^", "a", "⏎", "⏎", "b", "$"]),
        (None, []),
    ],
)
def test_words_are_stems_marks_numbers_and_characters(text: str | None, words: list[str]) -> None:
    assert tokens(pl.Series([text], dtype=pl.String))["word"].to_list() == words
