"""The grammar of JSON (RFC 8259), category by category: each text is a record's value, or ends in a word."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from batchroute.core.records import Fault
from batchroute.io.sources.decoding import decode_lines

SYNTAX = "json_syntax"

# Texts that the grammar accepts.
ACCEPTED: tuple[bytes, ...] = (
    *(b"[]", b"[ ]", b"[[]]", b"[[ ] ,[]]", b'[""]', b"[1]", b'[null, 1, "1", {}]', b"[1,null,null,2]"),
    *(b"{}", b'{"":0}', b'{"a":[]}', b'{"a":{"a":{}}}', b'{ "min": -1.0e+28, "max": 1.0e+28 }', b'{"a\\u0000b":1}'),
    *(b"0", b"-0", b"-1", b"123", b"1.5", b"-0.1", b"1e1", b"1E1", b"1e+2", b"1E-2", b"0e1", b"0e+1", b"20e1", b"123.456e78"),
    *(b"-0.000000000000000000000000000000000000000000000000000000000000000000000000000001", b"1e-400", b"1.7976931348623157e308"),
    *(b"true", b"false", b"null", b" true ", b"\ttrue\t", b'"a"', b'" "', b'"\\u0061"', b'"\\u0012"', b'"\\uDBFF\\uDFFF"'),
    *(b'"\\"\\\\\\/\\b\\f\\n\\r\\t"', b'"\\\\u0000"', b'"\\\\\\""', b'"a/*b*/c"', b'"\\uFFFF"', b'"\\uFEFF"', b'"\\u2028\\u2029"'),
    *('"\u20ac\U0001d11e"'.encode(), b'"\xef\xbf\xbf"', b'"\xf4\x8f\xbf\xbf"', b'"\xe2\x80\xa8\xe2\x80\xa9"', b'"\x7f"', b'"\xc2\x80"'),
)  # fmt: skip

# Texts that it refuses; the word is that of the careful parser.
REFUSED: Mapping[str, tuple[bytes, ...]] = {
    "arrays": (b"[1 true]", b"[1,,2]", b"[,1]", b"[1,]", b"[1", b"[", b"[3[4]]", b"[,]", b"[-]", b"[1:2]", b"[*]", b"[1}"),
    "objects": (
        *(b'{"a" 1}', b'{"a":1,}', b'{"a":}', b'{"a"}', b"{a:1}", b"{'a':1}", b"{1:1}", b"{null:1}", b'{"a":1 "b":2}'),
        *(b'{"a":1,,"b":2}', b'{:"b"}', b'{"a"::1}', b'{"a"', b'{"a":1', b'{"a":1/**/}', b"{[]:1}", b'{"a","b"}', b"{"),
    ),
    "numbers": (
        *(b"+1", b"01", b"-01", b"1.", b".5", b"-.5", b"1.e1", b"1e", b"1e+", b"1eE2", b"0x1", b"0b1", b"1_0", b"1 000"),
        *(b"--1", b"-", b"- 1", b"1+2", b"1.2.3", b"2.e3", b"0.3e+", b"0e", b"0E+", b"9.e+", b"-a", b"1a", b"-foo"),
        *("\uff11".encode(), "\u0661".encode()),
    ),
    "strings": (
        *(b'"', b'"a', b"'a'", b'"\\"', b'"\\x00"', b'"\\a"', b'"\\u00"', b'"\\u00G0"', b'"\\u"', b'"\\', b'"a\tb"', b'"\x1f"'),
        *(b'"\\U0001F600"', b'"\\ "', b'"\\\\\\"', "\u201ca\u201d".encode()),
    ),
    "words": (b"nul", b"tru", b"fals", b"True", b"NULL", b"None", b"undefined", b"nan", b"inf", b"tru e"),
    "structure": (b"", b"<.>", b"<null>", b"/**/", b"// a", b"\xc2\xa0", b"a\xcc\x81", b"\x0c1", b"\xe2\x81\xa0", b",", b":"),
}  # fmt: skip

# Texts on which parsers differ, and what becomes of them here.
DECIDED: Mapping[str, tuple[bytes, str | None]] = {
    "float beyond range": (b"1e400", "json_nonfinite"),
    "negative float beyond range": (b"-1e9999", "json_nonfinite"),
    "float too small": (b"123e-10000000", None),
    "integer of 100 digits": (b"1" * 100, None),
    "integer of 5,000 digits": (b"1" * 5000, "json_number_range"),
    "NaN": (b"NaN", "json_nonfinite"),
    "Infinity": (b"Infinity", "json_nonfinite"),
    "minus Infinity": (b"-Infinity", "json_nonfinite"),
    "high surrogate alone": (b'"\\uD800"', "text_surrogate"),
    "low surrogate alone": (b'"\\uDC00"', "text_surrogate"),
    "surrogates the wrong way round": (b'"\\uDC00\\uD800"', "text_surrogate"),
    "two high surrogates": (b'"\\uD800\\uD800\\n"', "text_surrogate"),
    "surrogate and a letter": (b'"\\uD800a"', "text_surrogate"),
    "high surrogate, then half an escape": (b'"\\uD800\\u1"', SYNTAX),
    "surrogate in a key": (b'{"\\uDADA":0}', "text_surrogate"),
    "encoded surrogate": (b'"\xed\xa0\x80"', "line_utf8"),
    "invalid byte": (b'"\xff"', "line_utf8"),
    "lone continuation": (b'"\x81"', "line_utf8"),
    "overlong of two": (b'"\xc0\xaf"', "line_utf8"),
    "overlong of six": (b'"\xfc\x83\xbf\xbf\xbf\xbf"', "line_utf8"),
    "truncated": (b'"\xe0\xff"', "line_utf8"),
    "beyond Unicode": (b'"\xf4\xbf\xbf\xbf"', "line_utf8"),
    "Latin-1": (b'"\xe9"', "line_utf8"),
    "500 arrays": (b"[" * 500 + b"]" * 500, "json_depth"),
    "100,000 arrays never closed": (b"[" * 100_000, "json_depth"),
    "100,000 objects never closed": (b'{"":' * 100_000, "json_depth"),
    "equal keys": (b'{"a":1,"a":2}', "json_duplicate_key"),
    "equal keys and values": (b'{"a":1,"a":1}', "json_duplicate_key"),
    "noncharacter": (b'"\xef\xb7\x90"', None),
    "raw NUL": (b'"a\0"', SYNTAX),
}

# Whole lines: what may stand around an object.
LINES: Mapping[str, tuple[bytes, str | None]] = {
    "mark": (b'\xef\xbb\xbf{"a":1}', None),
    "half a mark": (b'\xef\xbb{"a":1}', "line_utf8"),
    "UTF-16": ('{"a":1}'.encode("utf-16"), "line_utf8"),
    "UTF-16 without mark": ('{"a":1}'.encode("utf-16-le"), SYNTAX),
    "two marks": (b'\xef\xbb\xbf\xef\xbb\xbf{"a":1}', SYNTAX),
    "array": (b"[]", "record_not_object"),
    "string": (b'"a"', "record_not_object"),
    "closing bracket after": (b'{"a":1}]', "json_trailing_data"),
    "comma after": (b'{"a":1},', "json_trailing_data"),
    "hash after": (b'{"a":1}#', "json_trailing_data"),
    "form feed before": (b'\x0c{"a":1}', SYNTAX),
    "NUL after": (b'{"a":1}\0', "line_nul_tail"),
}


def verdict(line: bytes) -> Any:
    (value,) = decode_lines([line]).values
    return value.error_type if isinstance(value, Fault) else value


@pytest.mark.parametrize("value", ACCEPTED)
def test_what_the_grammar_accepts_is_read(value: bytes) -> None:
    line = b'{"v":%b}' % value
    assert repr(verdict(line)) == repr(json.loads(line))


@pytest.mark.parametrize("value", [value for values in REFUSED.values() for value in values])
def test_what_it_refuses_is_refused_as_such(value: bytes) -> None:
    assert verdict(b'{"v":%b}' % value) == SYNTAX


@pytest.mark.parametrize(("value", "word"), DECIDED.values(), ids=DECIDED)
def test_where_parsers_differ_there_is_one_answer(value: bytes, word: str | None) -> None:
    line = b'{"v":%b}' % value
    assert verdict(line) == (word or json.loads(line))


@pytest.mark.parametrize(("line", "word"), LINES.values(), ids=LINES)
def test_around_an_object_there_is_nothing(line: bytes, word: str | None) -> None:
    assert verdict(line) == (word or {"a": 1})
