"""Exact counts: of models whose vocabulary is known, where the extra is installed; and how near the estimates are."""

import json
from pathlib import Path

import pytest

from batchroute.core.requests import Request
from batchroute.io.tokenizers import exact_counts
from batchroute.routing.estimates import sent_tokens

SAMPLES = Path(__file__).parents[2] / "sample_data" / "requests.jsonl"


def asking(text: str) -> Request:
    chat = [{"role": "user", "content": text}]
    return Request(messages=json.dumps(chat, ensure_ascii=False, separators=(",", ":")).encode())


def test_models_of_unknown_vocabulary_are_not_counted() -> None:
    assert exact_counts({"mine": "own", "claude": "claude-sonnet-4-5"}) == {}


def test_a_chat_counts_its_text_and_what_is_beside_it() -> None:
    pytest.importorskip("bpe_openai")

    count = exact_counts({"mini": "gpt-5.4-mini"})["mini"]

    assert count(asking("hello world")) == 3 + 4 + 2


def test_estimates_of_the_samples_are_within_three_percent_of_the_counts() -> None:
    pytest.importorskip("bpe_openai")
    count = exact_counts({"mini": "gpt-5.4-mini"})["mini"]
    requests = [asking(json.loads(line)["text"]) for line in SAMPLES.read_text().splitlines()]

    assert sum(map(sent_tokens, requests)) == pytest.approx(sum(map(count, requests)), rel=0.03)
