"""No form of a secret survives, and nothing else is touched."""

import base64
import json
import re
from urllib.parse import quote

import pytest

from batchroute.providers.redaction import MASK, Keys, Redactor, keys_of, passwords, secrets_of_url

SECRET = 'k3y/+"ü-0123456789\\'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        quote(SECRET, safe=""),
        re.sub("%..", lambda found: found[0].lower(), quote(SECRET, safe="")),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f":{SECRET}".encode()).decode()[2:-4],
        base64.b64encode(f"me:{SECRET}".encode()).decode()[4:-4],
        base64.urlsafe_b64encode(f"ab{SECRET}".encode()).decode()[3:-4],
        json.dumps(SECRET)[1:-1].replace("/", "\\/"),
        json.dumps(SECRET)[1:-1],
        repr(SECRET)[1:-1],
    ],
    ids=[
        *("raw", "percent", "lower percent", "base64", "base64 after one", "base64 after three"),
        *("URL-safe base64 after two", "json with slashes", "json", "repr"),
    ],
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


def test_the_beginning_of_a_key_in_base64_is_masked_too() -> None:
    written = base64.b64encode(b"user:abcdefgh12345678xyz4321").decode()
    told = Redactor(["abcdefgh12345678xyz4321"]).clean(f"Basic {written[:24]}... refused")
    assert told.startswith("Basic ")
    assert written[8:20] not in told


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        ("the key is abcdefgh12345678xyz4321.", f"the key is {MASK}."),
        (base64.b64encode(b"abcdefgh12345678xyz4321").decode(), f"{MASK}="),
        ('{"key": "abcdefgh1\\u0032345678xyz4\\u0033\\u00321"}', f'{{"key": "{MASK}"}}'),
        ('{"size": "\\u0032 m"}', '{"size": "\\u0032 m"}'),
        ("keys look like sk-proj-abcdefgh1234", "keys look like sk-proj-abcdefgh1234"),
        ("it begins with abcdefgh1", "it begins with abcdefgh1"),
        ("our team is called production-support", "our team is called production-support"),
    ],
)
def test_answers_lose_whole_keys_and_nothing_else(answer: str, expected: str) -> None:
    keys = Keys.for_answers(["abcdefgh12345678xyz4321", "production-support"])
    assert keys.stand_in(answer) is (answer != expected)
    assert keys.taken_out(answer) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("chatcmpl-team-pass-1", f"chatcmpl-{MASK}-1"),
        (base64.b64encode(b"team-pass").decode(), MASK),
        ("tier of seven77", "tier of seven77"),
    ],
)
def test_names_lose_keys_that_could_be_words_from_eight_characters_on(name: str, expected: str) -> None:
    keys = Keys.for_names(["team-pass", "seven77", "abcdefgh12345678xyz4321"])
    assert keys.stand_in(name) is (name != expected)
    assert keys.taken_out(name) == expected
    assert not keys.stand_in("abcdefgh12345678xyz4321")  # those are taken out of all that an answer says


def test_a_header_that_is_called_as_a_key_holds_one() -> None:
    headers = {"X-Api-Token": "Basic team-pass", "x-team": "research"}
    assert keys_of("key", headers) == ("key", "Basic", "team-pass")
    assert keys_of(None, {}) == ()


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        (
            "https://hooks.example/services/T0123456/B9876543/abcdefghijkl",
            {"T0123456", "B9876543", "abcdefghijkl"},
        ),
        ("https://ping.example/0b5c-uuid-long/fail", {"0b5c-uuid-long"}),
        ("http://me:password1@host/?token=abcdefgh", {"token=abcdefgh", "password1"}),
    ],
)
def test_what_lets_one_into_a_webhook_is_secret_and_common_words_are_not(url: str, secrets: set[str]) -> None:
    found = set(secrets_of_url(url))
    assert secrets | {url} <= found
    assert "fail" not in found
