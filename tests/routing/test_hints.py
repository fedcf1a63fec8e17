"""Weak evidence of a task adds up."""

import polars as pl
import pytest

from batchroute.routing.hints import HINTS, SHAPES, weigh


def _weigh(*texts: str | None) -> list[str | None]:
    return weigh(pl.Series(texts, dtype=pl.String)).to_list()


@pytest.mark.parametrize(
    ("text", "task"),
    [
        ("Tram 7 runs every 12 minutes, tram 9 every 20. How long until both are here at once?", "reason"),
        ("Vornamen, Beruf, Wohnort: «Lotte, Bäckerin, zog 1998 nach Aurich.»", "extract"),
        ("Birthday greeting card for an aunt who hates balloons, 30 words, funny", "creative"),
        ("Hello!", "chat"),
        ("你好呀", "chat"),
        ("Hmm", None),
        ("", None),
        (None, None),
    ],
)
def test_what_is_likeliest_is_said_if_it_is_likely_at_all(text: str | None, task: str | None) -> None:
    assert _weigh(text) == [task]


def test_a_text_is_weighed_alone_and_in_its_place() -> None:
    texts = ["Hello!", None, "为什么天是蓝的", "", "Hmm", "lowest price per hour?", "Ciao"]

    assert _weigh(*texts) == [_weigh(text)[0] for text in texts]
    assert _weigh() == []


@pytest.mark.parametrize(
    "words", [("poem", "lowest"), ("poem", "sequence"), ("slogan", "formula"), ("anecdote", "graph")]
)
def test_of_tasks_that_are_as_likely_the_same_one_is_told_in_every_run(words: tuple[str, str]) -> None:
    """Python orders sets of texts anew in each."""
    assert _weigh(" ".join(words), " ".join(reversed(words))) == ["reason", "reason"]


def test_a_word_weighs_once_however_often_it_is_said() -> None:
    assert _weigh("poem, Poem, POEM; lowest possible to pay") == ["reason"]


def test_a_greeting_makes_no_long_text_conversation() -> None:
    assert _weigh("Hello. " + "The average cost per hour was low. " * 20) != ["chat"]


@pytest.mark.parametrize("task", HINTS)
def test_each_word_speaks_for_a_task_once(task: str) -> None:
    words = HINTS[task].split("|")

    assert sorted(words) == sorted(set(words))
    assert all(words)


def test_shapes_speak_of_tasks_that_there_are() -> None:
    assert {task for shape in SHAPES for task in shape.weights} <= set(HINTS)
