# ruff: noqa: RUF001 - full-width punctuation is what Chinese is written with
"""How demanding a text looks."""

import polars as pl
import pytest

from batchroute.routing.complexity import LEVELS, estimate

FILLER = "The depot opened at six and the first vans left before seven, as they do on every other day. "

SIMPLE = (
    "Hi there! How are you today?",
    "Translate this into French: good morning",
    "Is this review positive or negative? The battery died after two days.",
    "你好，今天过得怎么样？",
    "Extrae el nombre: Juan Pérez.",
    "Schreibe ein Gedicht über den ersten Schnee.",
    "",
)
MEDIUM = (
    "Prove that the sum of two odd numbers is even. Give one example.",
    "Compare Lisbon and Porto for a weekend. Which one is cheaper, and why?",
    "A shop sells 3 pens for 2.40 and 5 books for 31. Ann buys 9 pens and 2 books. How much is it?",
    "Summarize the following. " + FILLER * 8,
    "Vergleiche beide Angebote. Nenne drei Vorteile. Nenne drei Nachteile.",
)
HARD = (
    """Design a distributed queue.
1. State the guarantees.
2. Show the data model.
3. Discuss failure of each node.
4. Estimate the cost for 10, 100 and 1000 nodes. Justify each choice.""",
    """Prove by induction that 1 + 3 + 5 + 7 = 16 generalises.
(a) State it.
(b) Base case for n = 1.
(c) Step from n to n + 1.
(d) Conclude. Then give 2 further identities.""",
    "Analyse the contract. " + FILLER * 16 + "List the risks. Rank them. Explain why.",
)


def _levels(*texts: str | None) -> list[str | None]:
    return estimate(pl.Series(texts, dtype=pl.String)).to_list()


@pytest.mark.parametrize(
    ("level", "texts"),
    list(zip(LEVELS, (SIMPLE, MEDIUM, HARD), strict=True)),
    ids=["simple", "medium", "hard"],
)
def test_length_structure_and_demanding_words_make_the_level(level: str, texts: tuple[str, ...]) -> None:
    assert _levels(*texts) == [level] * len(texts)


def test_every_text_has_a_level_and_null_has_none() -> None:
    assert _levels("", None, "?") == ["simple", None, "simple"]


def test_no_texts_have_no_levels() -> None:
    assert _levels() == []


@pytest.mark.parametrize(
    "more", [FILLER * 3, "\n1. First.\n2. Second.\n3. Third.", " 4 8 15 16 23 42", " Explain why."]
)
def test_more_to_do_never_looks_easier(more: str) -> None:
    for text in (*SIMPLE, *MEDIUM, *HARD):
        before, after = _levels(text, text + more)

        assert before is not None
        assert after is not None
        assert LEVELS.index(after) >= LEVELS.index(before)


def test_length_alone_asks_for_more_than_a_simple_model_but_not_for_the_best() -> None:
    assert _levels("word " * 10_000) == ["medium"]


def test_a_chinese_text_weighs_as_much_as_its_translation() -> None:
    english = (
        "Every morning the old man walks along the river to feed the birds that are waiting for him, " * 16
    )
    chinese = "老人每天早晨都沿着河边散步去喂那些正在等着他的鸟儿并且和它们说说话然后慢慢走回家" * 12

    assert _levels(english, chinese) == ["medium", "medium"]
