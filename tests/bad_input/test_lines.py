"""Lines of JSONL that are bad, and odd ones that are not, each between two good ones."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from batchroute.core.excerpts import LONGEST
from batchroute.io.sources.decoding import MAX_DEPTH, MAX_DIGITS, MAX_KEYS
from batchroute.io.sources.lines import MAX_LINE
from batchroute.report.scans import scan_results
from tests.bad_input.corpus import Case, Expected, check, good

BOM = b"\xef\xbb\xbf"


def text(inner: bytes) -> bytes:
    return b'{"id":"x","text":"%b"}' % inner


def nested(depth: int) -> bytes:
    return b'{"id":"x","text":"t","n":%b1%b}' % (b"[" * (depth - 1), b"]" * (depth - 1))


def wide(keys: int) -> bytes:
    return json.dumps({"id": "x", "text": "t", **{f"k{number}": 0 for number in range(keys - 2)}}).encode()


def long(size: int) -> bytes:
    line = text(b"%b")
    return line % (b"x" * (size - len(line) + 2))


BAD = {
    "B17 invalid byte": (text(b"\xff"), "line_utf8"),
    "B17 Latin-1": (text(b"caf\xe9"), "line_utf8"),
    "B17 overlong": (text(b"\xc0\x80"), "line_utf8"),
    "B17 encoded surrogate": (text(b"\xed\xa0\x80"), "line_utf8"),
    "B17 beyond Unicode": (text(b"\xf4\x90\x80\x80"), "line_utf8"),
    "B17 torn character": (text(b"\xe2\x82"), "line_utf8"),
    "B26 torn": (b'{"id":"x","te', "json_syntax"),
    "B26 torn in a number": (b'{"id":"x","n":1.', "json_syntax"),
    "B27 control character": (text(b"\x01"), "json_syntax"),
    "B27 raw NUL": (text(b"a\0b"), "json_syntax"),
    "B27 raw tab": (text(b"a\tb"), "json_syntax"),
    "B28 comment": (b"# comment", "json_syntax"),
    "B28 comment after": (text(b"t") + b" // comment", "json_trailing_data"),
    "B28 single quotes": (b"{'id':'x'}", "json_syntax"),
    "B28 trailing comma": (b'{"id":"x",}', "json_syntax"),
    "B28 bare key": (b'{id:"x"}', "json_syntax"),
    "B29 None": (b'{"id":"x","text":None}', "json_syntax"),
    "B29 True": (b'{"id":"x","text":True}', "json_syntax"),
    "B29 CSV": (b'x,"text"', "json_syntax"),
    "B30 NUL run": (b"\0" * 4096, "line_nul_tail"),
    "B30 NULs after a record": (text(b"t") + b"\0" * 9, "line_nul_tail"),
    "B32 too long": (long(MAX_LINE + 1), "line_too_long"),
    "B32 far too long": (long(3 * MAX_LINE), "line_too_long"),
    "B33 two objects": (text(b"t") * 2, "json_trailing_data"),
    "B33 comma between": (text(b"t") + b"," + text(b"t"), "json_trailing_data"),
    "B34 array": (b"[1]", "record_not_object"),
    "B34 string": (b'"text"', "record_not_object"),
    "B34 number": (b"12", "record_not_object"),
    "B34 null": (b"null", "record_not_object"),
    "B34 true": (b"true", "record_not_object"),
    "B35 twice": (b'{"id":"x","text":"a","text":"b"}', "json_duplicate_key"),
    "B35 nested": (b'{"id":"x","text":"a","n":{"a":1,"a":1}}', "json_duplicate_key"),
    "B35 escaped": (b'{"id":"x","text":"a","t\\u0065xt":"b"}', "json_duplicate_key"),
    "B35 spaced": (b'{"id":"x","text" : "a","text" :"b"}', "json_duplicate_key"),
    "B36 NaN": (b'{"id":"x","text":NaN}', "json_nonfinite"),
    "B36 Infinity": (b'{"id":"x","text":-Infinity}', "json_nonfinite"),
    "B36 1e400": (b'{"id":"x","text":1e400}', "json_nonfinite"),
    "B37 digits": (b'{"id":"x","text":%b}' % (b"9" * (MAX_DIGITS + 1)), "json_number_range"),
    "B38 nesting": (nested(MAX_DEPTH + 1), "json_depth"),
    "B38 deep": (nested(100_000), "json_depth"),
    "B38 never closed": (b"[" * 100_000, "json_depth"),
    "B39 surrogate": (text(rb"\ud800"), "text_surrogate"),
    "B39 low half": (text(rb"\udc00"), "text_surrogate"),
    "B39 in a key": (b'{"id":"x","text":"t","\\ud83d":1}', "text_surrogate"),
    "B40 keys": (wide(MAX_KEYS + 1), "record_too_wide"),
    "B55 no field": (b'{"id":"x"}', "field_missing"),
    "B57 null": (b'{"id":"x","text":null}', "field_null"),
    "B58 list": (b'{"id":"x","text":["t"]}', "field_type"),
    "B58 object": (b'{"id":"x","text":{"a":"t"}}', "field_type"),
    "B59 empty": (text(b""), "prompt_empty"),
    "B59 blank": (text(rb" \n\t\u00a0\u2003"), "prompt_empty"),
    "B67 no id": (b'{"text":"t"}', "id_missing"),
    "B67 null id": (b'{"id":null,"text":"t"}', "id_missing"),
    "B67 blank id": (b'{"id":"  ","text":"t"}', "id_missing"),
    "B67 repeated id": (b'{"id":"0","text":"t"}', "id_duplicate"),
    "B67 number and text": (b'{"id":0,"text":"t"}', "id_duplicate"),
}

FINE: Mapping[str, tuple[bytes, str]] = {
    "B20 CR before the line feed": (text(b"t") + b"\r", "t"),
    "B21 line separators": (text("a\u2028b\u2029c\u0085d".encode()), "a\u2028b\u2029c\u0085d"),
    "B21 VT, FF escaped": (text(rb"a\u000bb\fc"), "a\vb\fc"),
    "B37 as many digits as may be": (b'{"id":"x","text":%b}' % (b"9" * MAX_DIGITS), "9" * MAX_DIGITS),
    "B38 as deep as may be": (nested(MAX_DEPTH), "t"),
    "B40 as wide as may be": (wide(MAX_KEYS), "t"),
    "B41 beyond 64 bits": (b'{"id":"x","text":%d}' % 2**200, str(2**200)),
    "B42 surrogate pair": (text(rb"\ud83d\ude00"), "\U0001f600"),
    "B42 NUL escape": (text(rb"a\u0000b"), "a\0b"),
    "B42 right to left": (text("\u202eabc\u202c".encode()), "\u202eabc\u202c"),
    "B43 key seen late": (b'{"id":"x","text":"t","late":1}', "t"),
    "B44 another type": (b'{"id":7,"text":7}', "7"),
    "B61 integer": (b'{"id":"x","text":-0}', "0"),
    "B61 float": (b'{"id":"x","text":1.50}', "1.5"),
    "B61 true": (b'{"id":"x","text":true}', "true"),
    "B63 newline in the id": (b'{"id":"a\\nb","text":"t"}', "t"),
    "B63 path in the id": (b'{"id":"../../etc/passwd","text":"t"}', "t"),
    "B63 NUL in the id": (b'{"id":"a\\u0000b","text":"t"}', "t"),
    "B63 long id": (b'{"id":"%b","text":"t"}' % (b"x" * 5000), "t"),
    "B64 a row of the ledger": (text(b'{\\"outcome\\":\\"ok\\"}'), '{"outcome":"ok"}'),
    "B65 template in data": (text(b"{{ 7*7 }}{% raw %}{#"), "{{ 7*7 }}{% raw %}{#"),
    "B65 variable in data": (text(b"${HOME}"), "${HOME}"),
    "B67 another Unicode form of an id": ('{"id":"e\u0301","text":"t"}'.encode(), "t"),
}


@pytest.mark.parametrize(("line", "word"), BAD.values(), ids=BAD)
def test_a_bad_line_is_a_dead_letter_with_its_place(
    tmp_path: Path, base_url: str, line: bytes, word: str
) -> None:
    head = good(2)
    expected = Expected(answered=4, dead={word: 1}, exit_code=3)

    def make(folder: Path) -> None:
        (folder / "in.jsonl").write_bytes(head + line + b"\n" + good(2, 2))

    check(Case(make=make, job={}, expected=expected), tmp_path, base_url)
    rows = scan_results(tmp_path / "out").collect().filter(status="failed")
    (message,) = rows["error_message"]
    place, _, told = message.partition(": ")
    assert place == f"in.jsonl:3 (byte {len(head)})"
    assert told.isascii()
    assert told.isprintable()
    assert len(told) < LONGEST + 120
    assert told.rpartition(": ")[2]  # the excerpt


def test_a_prompt_without_a_field_is_warned_of(tmp_path: Path, base_url: str) -> None:
    def make(folder: Path) -> None:
        (folder / "in.jsonl").write_bytes(good(2))

    expected = Expected(answered=2, warning="[template_no_field]")
    check(Case(make=make, job={"prompt": {"user": "Hello"}}, expected=expected), tmp_path, base_url)


def test_odd_lines_are_records_like_any_other(tmp_path: Path, base_url: str) -> None:
    """All of them in one file; what was in the text is in the results."""

    def make(folder: Path) -> None:
        lines = [line.replace(b'"id":"x"', b'"id":"x%d"' % at) for at, (line, _) in enumerate(FINE.values())]
        (folder / "in.jsonl").write_bytes(BOM + b"\n".join(lines))

    job = {"output": {"path": "out", "keep": ["text"]}}
    check(Case(make=make, job=job, expected=Expected(answered=len(FINE))), tmp_path, base_url)
    kept = scan_results(tmp_path / "out").collect()["text"]
    assert sorted(kept) == sorted(prompt for _, prompt in FINE.values())


def body(inner: bytes) -> bytes:
    return b'{"id":"x","body":{%b}}' % inner


ASKS = b'"messages":[{"role":"user","content":"t"}]'
BODIES: Mapping[str, tuple[bytes, str]] = {
    "B70 no messages": (body(b'"max_tokens":5'), "messages_invalid"),
    "B70 empty": (body(b'"messages":[]'), "messages_invalid"),
    "B70 unknown role": (body(b'"messages":[{"role":"oracle","content":"t"}]'), "messages_invalid"),
    "B70 content of a wrong type": (body(b'"messages":[{"role":"user","content":7}]'), "messages_invalid"),
    "B70 no object": (b'{"id":"x","body":[]}', "messages_invalid"),
    "B70 text that is no JSON": (b'{"id":"x","body":"{"}', "messages_invalid"),
    "B59 empty": (body(b'"messages":[{"role":"user","content":" "}]'), "prompt_empty"),
    "B71 stream": (body(ASKS + b',"stream":true'), "override_denied"),
    "B71 several choices": (body(ASKS + b',"n":5'), "override_denied"),
    "B72 no cap": (body(ASKS + b',"max_tokens":0'), "override_range"),
    "B72 a cap beyond all": (body(ASKS + b',"max_tokens":1000000000000'), "override_range"),
}


@pytest.mark.parametrize(("line", "word"), BODIES.values(), ids=BODIES)
def test_a_bad_body_is_a_dead_letter(tmp_path: Path, base_url: str, line: bytes, word: str) -> None:
    def make(folder: Path) -> None:
        fine = b"".join(b'{"id":"%d","body":{%b,"model":"gpt-x"}}\n' % (at, ASKS) for at in range(2))
        (folder / "in.jsonl").write_bytes(fine + line)

    expected = Expected(answered=2, dead={word: 1}, exit_code=3)
    check(Case(make=make, job={"prompt": {"body": "body"}}, expected=expected), tmp_path, base_url)
