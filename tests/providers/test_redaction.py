"""No form of a secret survives, and nothing else is touched."""

import base64
import json
from urllib.parse import quote

import pytest

from batchroute.providers.redaction import MASK, Redactor, passwords

SECRET = 'k3y/+"ü-0123456789\\'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        base64.b64encode(SECRET.encode()).decode(),
        json.dumps(SECRET)[1:-1],
        repr(SECRET)[1:-1],
    ],
    ids=["raw", "percent", "base64", "json", "repr"],
)
def test_every_form_of_a_secret_is_masked(form: str) -> None:
    told = Redactor([SECRET]).clean(f"key {form} refused")

    assert form not in told
    assert SECRET[:8] not in told
    assert told.startswith(f"key {MASK}")
    assert told.endswith(" refused")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Incorrect API key provided: abcdefgh********4321.", f"Incorrect API key provided: {MASK}"),
        ("Incorrect key sk-proj-ab***cd here", f"Incorrect key {MASK} here"),
        ("task-force and risk-taking", "task-force and risk-taking"),
        ("abcdefg is no key", "abcdefg is no key"),
    ],
)
def test_half_hidden_keys_are_masked(text: str, expected: str) -> None:
    assert Redactor(["abcdefgh12345678xyz4321"]).clean(text) == expected


def test_word_too_short_to_be_a_secret_stays() -> None:
    assert Redactor(["x", ""]).clean("x is unknown") == "x is unknown"


def test_redactor_shows_no_secret() -> None:
    assert SECRET not in repr(Redactor([SECRET]))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, ()),
        ("http://proxy:3128", ()),
        ("http://user:pass%40word@proxy:3128", ("pass%40word", "pass@word")),
    ],
)
def test_password_of_a_proxy_is_found(url: str | None, expected: tuple[str, ...]) -> None:
    assert passwords(url) == expected
