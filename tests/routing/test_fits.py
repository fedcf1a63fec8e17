"""Which models can take a record."""

from typing import Any

import pytest
from msgspec import json

from batchroute.core.records import Fault
from batchroute.core.requests import TOKENS_PER_IMAGE, Request
from batchroute.routing.fits import Ability, Fitting, input_tokens, no_larger, primary

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "A" * 40_000}}


def asked(content: Any = "x", *, cap: int | None = None, params: bytes = b"") -> Request:
    """A request of one message."""
    return Request(
        messages=json.encode([{"role": "user", "content": content}]), max_output_tokens=cap, params=params
    )


SCHEMA = asked(params=b',"response_format":{"type":"json_schema","json_schema":{}}')


@pytest.mark.parametrize(
    ("abilities", "request_", "fit"),
    [
        ([{}, {}], asked([IMAGE]), ("m0", "m1")),
        ([{}, {"vision": True}], asked([IMAGE]), ("m1",)),
        ([{}, {"vision": False}], asked([IMAGE]), ("m0",)),
        ([{}, {"vision": True}], asked('"type":"image_url"'), ("m0", "m1")),
        ([{}, {"json_schema": True}], SCHEMA, ("m1",)),
        ([{"json_schema": False}, {}], SCHEMA, ("m1",)),
        ([{}, {"json_schema": True}], asked(params=b',"metadata":{"a":"json_schema"}'), ("m0", "m1")),
        ([{"context": 100}, {}], asked("x" * 800), ("m1",)),
        ([{"context": 100}, {"context": 300}], asked(cap=100), ("m1",)),
        ([{"context": 5000}], asked([IMAGE]), ("m0",)),
        ([{"context": 100}], asked(), ("m0",)),
    ],
)
def test_models_that_cannot_are_skipped(
    abilities: list[dict[str, Any]], request_: Request, fit: tuple[str, ...]
) -> None:
    fitting = Fitting([Ability(model=f"m{at}", **each) for at, each in enumerate(abilities)])

    assert fitting.of(request_, {}) == fit


def test_record_that_nobody_can_take_is_told_why_of_each() -> None:
    fitting = Fitting(
        [
            Ability(model="blind", vision=False),
            Ability(model="small", vision=True, context=500),
            Ability(model="german", vision=True, languages=frozenset({"de"})),
        ],
        language="lang",
    )

    assert fitting.of(asked([IMAGE]), {"lang": "en-US"}) == Fault(
        "no_model_fits",
        "blind takes no images; small has room for 500 tokens, and about 1,017 are needed; "
        "german does not speak en",
    )


def test_models_that_declare_nothing_narrow_nothing() -> None:
    assert not Fitting([Ability(model="a"), Ability(model="b")]).narrows
    assert Fitting([Ability(model="a"), Ability(model="b", vision=True)]).narrows


@pytest.mark.parametrize(
    ("told", "language"), [("en", "en"), ("pt-BR", "pt"), ("zh_Hans", "zh"), (" DE ", "de")]
)
def test_language_is_told_by_the_first_part_of_a_tag(told: str, language: str) -> None:
    assert primary(told) == language


def test_image_counts_by_itself_and_not_by_its_bytes() -> None:
    assert TOKENS_PER_IMAGE <= input_tokens(asked([IMAGE])) < TOKENS_PER_IMAGE + 50


def test_only_larger_models_are_left_after_an_overflow() -> None:
    contexts = {"a": 10, "same": 10, "less": 5, "more": 20, "unknown": None}

    assert no_larger(contexts, "a") == {"a", "same", "less"}
    assert no_larger(contexts, "unknown") == {"unknown"}
