"""Whether the model that answered is the one that was asked."""

import pytest

from batchroute.providers.models import substituted


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ("m", None),
        ("m", "m"),
        pytest.param("m", "m-2026-01-01", id="A102"),
        ("claude-sonnet-4", "claude-sonnet-4-20250514"),
        ("mistral-large-latest", "mistral-large-2411"),
        ("gemini-1.5-pro", "models/gemini-1.5-pro-002"),
        ("openai/gpt-5.4-mini", "gpt-5.4-mini-2026-03-05"),
        ("Meta-Llama", "meta-llama"),
    ],
)
def test_another_spelling_is_the_same_model(asked: str, answered: str | None) -> None:
    assert not substituted(asked, answered)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        pytest.param("m", "unrelated", id="A103"),
        ("gpt-5.4", "gpt-5.4-mini"),
        ("gpt-5.4-mini", "gpt-5.4"),
        ("gpt-4", "gpt-4.1-2025-04-14"),
        ("m-2025-01-01", "m-2026-01-01"),
        ("m-2025-01-01", "m"),
        ("m", ""),
    ],
)
def test_another_model_is_a_substitute(asked: str, answered: str) -> None:
    assert substituted(asked, answered)
