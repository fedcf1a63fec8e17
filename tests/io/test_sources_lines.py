"""Bytes to lines and lines to fields: what is a record, and what is a reject and why."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.records import Fault
from batchroute.io.sources import decoding
from batchroute.io.sources.decoding import MAX_DEPTH, MAX_KEYS, decode_lines
from batchroute.io.sources.lines import MAX_LINE, Dropped, Line, Splitter

JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
RECORDS = st.dictionaries(st.text(max_size=6), JSON_VALUES, max_size=6)


def split(pieces: list[bytes], limit: int = MAX_LINE) -> list[Line]:
    splitter = Splitter(limit)
    return [line for piece in pieces for line in splitter.feed(piece)] + list(splitter.end())


def decoded(line: bytes) -> Any:
    (only,) = decode_lines([line]).values
    return only


def error_type(line: bytes) -> str:
    fault = decoded(line)
    assert isinstance(fault, Fault)
    return fault.error_type


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return b'{"a":' + opening * (depth - 1) + closing * (depth - 1) + b"}"


@given(st.binary(max_size=60), st.lists(st.integers(0, 60), max_size=6))
def test_lines_do_not_depend_on_where_the_blocks_end(text: bytes, cuts: list[int]) -> None:
    edges = sorted({0, *cuts, len(text)})
    pieces = [text[start:end] for start, end in pairwise(edges)]

    expected = text.split(b"\n")
    assert split(pieces) == (expected[:-1] if expected[-1] == b"" else expected)


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_line_over_the_limit_is_one_fault_and_its_neighbours_stay(size: int) -> None:
    text = b"before\n" + b"x" * 11 + b"\n" + b"y" * 10 + b"\nafter"

    lines = split([text[at : at + size] for at in range(0, len(text), size)], limit=10)

    assert [line if isinstance(line, bytes) else line.fault.error_type for line in lines] == [
        b"before",
        "line_too_long",
        b"y" * 10,
        b"after",
    ]


@pytest.mark.parametrize("text", [b"x" * 30, b"x" * 30 + b"\n"])
def test_a_long_last_line_is_one_fault(text: bytes) -> None:
    (fault,) = split([text[at : at + 4] for at in range(0, len(text), 4)], limit=10)
    assert isinstance(fault, Dropped)
    assert fault.fault.error_type == "line_too_long"


def test_a_long_run_of_zero_bytes_is_named_as_such() -> None:
    (fault,) = split([b"\0" * 8] * 9, limit=10)
    assert isinstance(fault, Dropped)
    assert fault.fault.error_type == "line_nul_tail"


@given(st.binary(max_size=80), st.integers(1, 9))
def test_lines_that_are_kept_or_dropped_account_for_every_byte(text: bytes, size: int) -> None:
    lines = split([text[at : at + size] for at in range(0, len(text), size)], limit=8)
    ended = text if text.endswith(b"\n") or not text else text + b"\n"
    assert sum(len(line) + 1 for line in lines) == len(ended)


def test_zero_bytes_that_were_passed_over_count() -> None:
    splitter = Splitter(limit=100)
    assert splitter.feed(b"a\nbc", zeros=5000) == [b"a"]
    (dropped,) = splitter.feed(b"d\n")
    assert isinstance(dropped, Dropped)
    assert (len(dropped), dropped.fault.error_type) == (5003, "line_too_long")
    assert splitter.feed(b"e\n") == [b"e"]


def test_a_dropped_line_is_not_kept_in_memory() -> None:
    splitter = Splitter(limit=100)
    for _ in range(50):
        assert not splitter.feed(b"x" * 90)
    assert len(splitter.feed(b"\n")) == 1


@given(
    st.lists(RECORDS, min_size=1, max_size=5),
    st.booleans(),
    st.sampled_from([None, (" , ", " : "), (",", ":")]),
)
def test_every_value_comes_out_as_python_reads_it(
    records: list[dict[str, Any]], ascii_only: bool, separators: tuple[str, str] | None
) -> None:
    lines = [
        json.dumps(record, ensure_ascii=ascii_only, separators=separators).encode() for record in records
    ]
    assert [repr(found) for found in decode_lines(lines).values] == [repr(json.loads(line)) for line in lines]


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("1180591620717411303424", 2**70),
        ("-9223372036854775809", -(2**63) - 1),
        ("9" * 4300, 10**4300 - 1),
        ("1.10", 1.1),
        ("0.1234567890123456789012345678901234567890", 0.12345678901234568),
        ("1e-400", 0.0),
        ("2.2250738585072011e-308", 2.225073858507201e-308),
    ],
)
def test_numbers_keep_their_value(number: str, value: float) -> None:
    found = decoded(b'{"a":%b}' % number.encode())["a"]
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(b'{"a":"\xff"}', "line_utf8", id="B17 invalid byte"),
        pytest.param(b'{"a":"caf\xe9"}', "line_utf8", id="B17 Latin-1"),
        pytest.param(b'{"a":"\xc0\x80"}', "line_utf8", id="B17 overlong"),
        pytest.param(b'{"a":"\xed\xa0\x80"}', "line_utf8", id="B17 encoded surrogate"),
        pytest.param(b'{"a":', "json_syntax", id="B26 torn"),
        pytest.param(b'{"a":"\x01"}', "json_syntax", id="B27 control character"),
        pytest.param(b'{"a":"\x00"}', "json_syntax", id="B27 raw NUL"),
        pytest.param(b"{'a':1}", "json_syntax", id="B28 single quotes"),
        pytest.param(b"# comment", "json_syntax", id="B28 comment"),
        pytest.param(b'{"a":1,}', "json_syntax", id="B28 trailing comma"),
        pytest.param(b'{"a":None}', "json_syntax", id="B29 Python None"),
        pytest.param(b'{"a":01}', "json_syntax", id="leading zero"),
        pytest.param(b'{"a":"\\x41"}', "json_syntax", id="unknown escape"),
        pytest.param(b'\x0b{"a":1}', "json_syntax", id="vertical tab is no blank"),
        pytest.param(b"\0" * 20, "line_nul_tail", id="B30 zeros"),
        pytest.param(b'{"a":1}' + b"\0" * 20, "line_nul_tail", id="B30 zeros after a record"),
        pytest.param(b'{"a":1}{"b":2}', "json_trailing_data", id="B33"),
        pytest.param(b'{"a":1}}', "json_trailing_data", id="B33 bracket"),
        pytest.param(b'[{"a":1}]', "record_not_object", id="B34 array"),
        pytest.param(b'"a"', "record_not_object", id="B34 string"),
        pytest.param(b"12", "record_not_object", id="B34 number"),
        pytest.param(b"null", "record_not_object", id="B34 null"),
        pytest.param(b'{"a":1,"a":2}', "json_duplicate_key", id="B35"),
        pytest.param(b'{"a":1 , "a" :2}', "json_duplicate_key", id="B35 spaced"),
        pytest.param(b'{"a":1,"b":1,"a"\t:2}', "json_duplicate_key", id="B35 tab"),
        pytest.param(b'{"b":{"a":1,"a":1}}', "json_duplicate_key", id="B35 nested"),
        pytest.param(b'{"b":[[{"a":1,"a":1}]]}', "json_duplicate_key", id="B35 in an array"),
        pytest.param(b'{"a":1,"\\u0061":1}', "json_duplicate_key", id="B35 escaped"),
        pytest.param(
            b'{"x\\\\":1,"a":1,"a":2}', "json_duplicate_key", id="B35 beside a key ending in a backslash"
        ),
        pytest.param(b'{"t":"he said \\":\\" x","a":1,"a":2}', "json_duplicate_key", id="B35 beside a quote"),
        pytest.param(
            b'{"t":"\\\\","a":"b\\\\","a":"\\\\\\":"}', "json_duplicate_key", id="B35 beside backslashes"
        ),
        pytest.param(b'{"a":NaN}', "json_nonfinite", id="B36 NaN"),
        pytest.param(b'{"a":-Infinity}', "json_nonfinite", id="B36 infinity"),
        pytest.param(b'{"a":1e400}', "json_nonfinite", id="B36 1e400"),
        pytest.param(b'{"a":%b}' % (b"9" * 4301), "json_number_range", id="B37"),
        pytest.param(nested(MAX_DEPTH + 1), "json_depth", id="B38"),
        pytest.param(
            nested(MAX_DEPTH + 1, b'{"a":', b"}").replace(b":}", b":1}"), "json_depth", id="B38 objects"
        ),
        pytest.param(nested(100_000), "json_depth", id="B38 far deeper"),
        pytest.param(b'{"a":"\\ud800"}', "text_surrogate", id="B39"),
        pytest.param(b'{"a":[{"\\udc00":1}]}', "text_surrogate", id="B39 in a key"),
        pytest.param(
            json.dumps({str(key): 0 for key in range(MAX_KEYS + 1)}).encode(), "record_too_wide", id="B40"
        ),
    ],
)
def test_a_bad_line_has_its_word(line: bytes, expected: str) -> None:
    good = b'{"a":1}'

    assert error_type(line) == expected
    before, fault, after = decode_lines([good, line, good]).values
    assert (before, after) == ({"a": 1}, {"a": 1})
    assert fault == decoded(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        pytest.param(b'\xef\xbb\xbf{"a":1}', {"a": 1}, id="B18 BOM"),
        pytest.param(b'{"a":1}\r', {"a": 1}, id="B19 CRLF"),
        pytest.param('{"a":"x\u2028y\u2029z\u0085"}'.encode(), {"a": "x\u2028y\u2029z\u0085"}, id="B21"),
        pytest.param(b'{"a":"\\u000b\\f"}', {"a": "\v\f"}, id="B21 escaped"),
        pytest.param(b"", None, id="B24 blank"),
        pytest.param(b" \t\r", None, id="B24 spaces"),
        pytest.param(b'{"a":"\\ud83d\\ude00\\u0000"}', {"a": "\U0001f600\0"}, id="B42 pair and NUL escape"),
        pytest.param(nested(MAX_DEPTH), json.loads(nested(MAX_DEPTH)), id="at the depth limit"),
        pytest.param(b'{"t":"' + b"[{" * 100 + b'"}', {"t": "[{" * 100}, id="brackets in text nest nothing"),
        pytest.param(b'{"t":"a : \\"k\\": \\"k\\":"}', {"t": 'a : "k": "k":'}, id="JSON in text is no key"),
        pytest.param(b'{"t\\\\":"\\\\","u":"\\\\\\":"}', {"t\\": "\\", "u": '\\":'}, id="backslashes"),
        pytest.param(
            b'{"a":{"a":1},"b":[{"a":1},{"a":1}]}', {"a": {"a": 1}, "b": [{"a": 1}, {"a": 1}]}, id="same key"
        ),
        pytest.param(
            json.dumps({str(key): 0 for key in range(MAX_KEYS)}).encode(),
            {str(key): 0 for key in range(MAX_KEYS)},
            id="at the width limit",
        ),
    ],
)
def test_a_good_line_is_read(line: bytes, expected: dict[str, Any] | None) -> None:
    assert decoded(line) == expected
    assert decode_lines([line, b'{"z":0}', line]).values == [expected, {"z": 0}, expected]


@given(
    st.lists(
        st.text(alphabet='{}[]",: \\a1.eu0dt-\tn', max_size=14).map(str.encode)
        | st.builds(
            lambda a, b, c: b'{"%b":%b,"%b":1}' % (a, b, c),
            st.sampled_from([b"a", b"\\\\", b'\\":', b"\\u0061"]),
            st.sampled_from([b"1", b'"\\\\"', b'{"a":1}', b'"\\":"', b"[[]]"]),
            st.sampled_from([b"a", b"b", b"\\\\", b'\\":']),
        ),
        max_size=4,
    )
)
def test_the_fast_decoder_gives_the_verdicts_of_the_careful_one(lines: list[bytes]) -> None:
    careful = [None if not line.strip() else decoding._read_carefully(line) for line in lines]
    assert decode_lines(lines).values == careful


def test_a_fault_names_the_byte_and_shows_no_raw_character() -> None:
    fault = decoded(b'{"a":"\x1b[31m\xff"}')
    assert fault.message == 'byte 11 of the line (0xff) is not UTF-8: \'{"a":"\\x1b[31m\\xff"}\''
