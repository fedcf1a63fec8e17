"""Estimates of tokens by script, against counts of the vocabulary o200k_base that were made once."""

import json

import pytest

from batchroute.core.tokens import tokens_of


def messages(text: str) -> bytes:
    chat = [{"role": "user", "content": text}]
    return json.dumps(chat, ensure_ascii=False, separators=(",", ":")).encode()


def test_no_messages_are_a_token() -> None:
    assert tokens_of(b"[]") == 1


@pytest.mark.parametrize(
    ("text", "low", "high"),
    [
        # a token for every four letters or so, two or more for a Han character that four bytes a token would halve
        pytest.param("the quick brown fox jumps over the lazy dog " * 20, 170, 220, id="English"),
        pytest.param("0123456789" * 20, 120, 180, id="digits"),
        pytest.param("不可抗力致使一方不能履行合同" * 20, 180, 280, id="Chinese"),
        pytest.param("быстрая коричневая лиса " * 20, 100, 200, id="Russian"),
        pytest.param("अनुवाद करें और लिखें " * 20, 100, 240, id="Hindi"),
    ],
)
def test_every_script_has_its_weight(text: str, low: int, high: int) -> None:
    assert low <= tokens_of(messages(text)) <= high


def test_more_text_is_never_fewer_tokens() -> None:
    counts = [tokens_of(messages("a漢я😀 " * times)) for times in range(50)]

    assert counts == sorted(counts)
