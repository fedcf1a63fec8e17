"""Counting tokens exactly, for models whose vocabulary is known. An extra, offline: the vocabularies are in the package."""

from collections.abc import Callable, Mapping
from warnings import catch_warnings, simplefilter

from msgspec import json

from batchroute.core.requests import Request

_BESIDE_A_MESSAGE = 3
_BESIDE_ALL = 3
"""Tokens of a chat beside those of its texts, the role of each message being one more (OpenAI cookbook, "How to count
tokens with tiktoken", 2026-08)."""


def exact_counts(models: Mapping[str, str]) -> dict[str, Callable[[Request], int]]:
    """What counts the input of a request, for the declared models of which that is known by the provider's name.

    Nothing where the extra `tokens` is not installed. Images and tools are not counted.
    """
    try:
        with catch_warnings():
            simplefilter("ignore", DeprecationWarning)  # how version 0.1.4 reads its own files
            from bpe_openai import _bindings  # noqa: PLC0415  40 MB, and only who plans wants it
    except ImportError:
        return {}
    known: dict[str, Callable[[Request], int]] = {}
    encodings: dict[str, Callable[[Request], int]] = {}
    for name, model in models.items():
        encoding = _encoding(model)
        if encoding is not None:
            if encoding not in encodings:
                encodings[encoding] = _counting(_bindings.tokenizer_for_encoding(encoding).count)
            known[name] = encodings[encoding]
    return known


def _encoding(model: str) -> str | None:
    """The vocabulary of a model, by its name (github.com/openai/tiktoken, model.py, 2026-08)."""
    if model.startswith(("gpt-4o", "gpt-4.1", "gpt-4.5", "gpt-5", "chatgpt-4o", "o1", "o3", "o4-mini")):
        return "o200k_base"
    return "cl100k_base" if model.startswith(("gpt-4", "gpt-3.5-turbo")) else None


def _counting(count: Callable[[str], int]) -> Callable[[Request], int]:
    def of(request: Request) -> int:
        messages = json.decode(request.messages)
        texts = [text for message in messages for text in _texts(message.get("content"))]
        return _BESIDE_ALL + (_BESIDE_A_MESSAGE + 1) * len(messages) + sum(map(count, texts))

    return of


def _texts(content: object) -> list[str]:
    if isinstance(content, str):
        return [content]
    parts = content if isinstance(content, list) else []
    return [part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)]
