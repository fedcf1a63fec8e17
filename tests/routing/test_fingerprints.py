import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.requests import Request, members
from batchroute.routing.fingerprints import Fingerprints

KNOWN_AS = {
    "a": ("openai", "https://one", "m"),
    "alias": ("openai", "https://one", "m"),
    "b": ("openai", "https://one", "n"),
}
MESSAGES = b'[{"role":"user","content":"hi"}]'


def request(messages: bytes = MESSAGES, **params: object) -> Request:
    return Request(messages=messages, params=members(params))


def of(asked: Request, *models: str) -> int:
    return Fingerprints(KNOWN_AS).of(asked, models)


PLAIN = of(request(seed=1, n=1), "a", "b")


@pytest.mark.parametrize(
    ("asked", "models", "same"),
    [
        pytest.param(request(seed=1, n=1), ("a", "b"), True, id="the same"),
        pytest.param(request(n=1, seed=1), ("a", "b"), True, id="parameters in another order"),
        pytest.param(request(seed=1, n=1), ("alias", "b"), True, id="another name for the same model"),
        pytest.param(request(seed=2, n=1), ("a", "b"), False, id="another parameter"),
        pytest.param(request(seed=1), ("a", "b"), False, id="one parameter less"),
        pytest.param(request(), ("a", "b"), False, id="no parameter"),
        pytest.param(request(MESSAGES.replace(b"hi", b"ho"), seed=1, n=1), ("a", "b"), False, id="another text"),
        pytest.param(request(seed=1, n=1), ("b", "a"), False, id="another order of models"),
        pytest.param(request(seed=1, n=1), ("a",), False, id="one model less"),
    ],
)  # fmt: skip
def test_what_tells_two_requests_apart(asked: Request, models: tuple[str, ...], same: bool) -> None:
    assert (of(asked, *models) == PLAIN) is same


def test_a_fingerprint_is_the_same_tomorrow() -> None:
    """It is compared with those that other processes, and other versions, have stored."""
    assert of(request(seed=1, n=1), "a", "b") == TODAY


@given(st.binary())
def test_a_fingerprint_fits_into_an_integer_of_sqlite(messages: bytes) -> None:
    assert -(2**63) <= of(request(messages), "a") < 2**63


TODAY = -4552852200387522472
