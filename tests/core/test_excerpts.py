import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.excerpts import LONGEST, excerpt, excerpt_of


@given(st.binary(max_size=600), st.integers(0, 600))
def test_an_excerpt_is_short_and_may_be_shown_anywhere(text: bytes, at: int) -> None:
    shown = excerpt(text, at)
    assert len(shown.encode()) <= LONGEST
    assert shown.isascii()
    assert shown.isprintable()


@pytest.mark.parametrize("at", [0, 29, 30, 100, 199])
def test_it_holds_the_byte_that_it_is_about(at: int) -> None:
    text = bytearray(b"." * 200)
    text[at] = 0xFF
    assert r"\xff" in excerpt(bytes(text), at)


def test_a_record_is_shown_as_json_from_its_beginning() -> None:
    assert excerpt_of({"id": "a", "text": "é 好"}) == '\'{"id": "a", "text": "é 好"}\''
    assert excerpt_of({"text": "\ud800\u202e\n"}) == r"""'{"text": "\ud800\u202e\n"}'"""


@given(st.text(max_size=300))
def test_what_is_shown_of_a_record_is_short_and_printable(text: str) -> None:
    shown = excerpt_of({"text": text, "more": "好" * 300})
    assert len(shown.encode()) <= LONGEST
    assert shown.isprintable()
