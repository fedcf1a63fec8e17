"""The shipped weights: what the file holds, how they are added up, and that the script makes them."""

import random
from pathlib import Path

import polars as pl
import pytest

from batchroute.routing.weights import CLASSES, FILE, MOST, ROOM, by_key, sums
from batchroute.routing.wordings import ENDING, OPENING, likeliest, tokens
from tests.training.training import MADE_FROM, digest, learnt_from, write


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
    assert 2 * count * MOST < ROOM // 2

    heavy = [sign * MOST * (-1) ** at for at in range(len(CLASSES))]
    found = _differences(_table({"!": heavy, "! !": heavy}), ["!"] * count)

    assert found == [(2 * count - 1) * (weight - heavy[0]) for weight in heavy]


def test_the_file_has_each_word_once_and_no_weight_beyond_what_there_is_room_for() -> None:
    table = pl.read_parquet(FILE)

    assert table.columns == ["before", "word", *CLASSES]
    assert table.select("before", "word").is_duplicated().sum() == 0
    assert table.select(pl.all_horizontal(pl.col(CLASSES).is_between(-MOST, MOST))).to_series().all()
    assert FILE.stat().st_size < 300_000


def test_the_file_is_made_from_what_the_script_learns_from() -> None:
    """Who changes phrases, samples or the reading of words has to run `python -m tests.training`."""
    assert pl.read_parquet_metadata(FILE)[MADE_FROM] == digest(learnt_from())


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
        ("Translate, please", ["^", "trans", ",", "pleas", "$"]),
        ("12.5 km", ["^", "0", ".", "0", "km", "$"]),
        ("用 Python 写", ["^", "用", "pytho", "写", "$"]),
        ("a\n\nb", ["^", "a", "⏎", "⏎", "b", "$"]),
        (None, []),
    ],
)
def test_words_are_stems_marks_numbers_and_characters(text: str | None, words: list[str]) -> None:
    assert tokens(pl.Series([text], dtype=pl.String))["word"].to_list() == words
