"""Text that is not a job file at all, or not the plain YAML that a job file is written in."""

from pathlib import Path

import pytest

from batchroute.core.errors import JobError
from batchroute.job.loading import MAX_BYTES, load_job
from tests.job.files import refused, text

NOT_A_JOB = [
    pytest.param(b"", "1:1: is empty", "batchroute init", id="B101-empty"),
    pytest.param(b"# nothing\n", "1:1: is empty", "batchroute init", id="B101-comment"),
    pytest.param(b"---\n", "1:1: is empty", "batchroute init", id="B101-document"),
    pytest.param(b"- job\n", "1:1: must be a mapping", "Begin with job:", id="B101-list"),
    pytest.param(b"\nclassify\n", "2:1: must be a mapping", "Begin with job:", id="B101-scalar"),
    pytest.param(b"job: a\n\tinput: b\n", "2:1: is not YAML", "no tabs", id="B102-tab"),
    pytest.param(b"job: a: b\n", "1:7: is not YAML", "put text that holds ': ' in quotes", id="B102-colon"),
    pytest.param(b"job: [a\n", "1:6: is not YAML", "Close the bracket", id="B102-bracket"),
    pytest.param(b"job: 'a\n", "1:6: is not YAML", "Close the quote", id="B102-quote"),
    pytest.param(b"job: @a\n", "1:6: is not YAML", "Put the text in quotes", id="B102-sign"),
    pytest.param(b'job: "\\q"\n', "1:8: is not YAML", "single quotes", id="B102-escape"),
    pytest.param(b"a: 1\nb\nc: 2\n", "3:1: is not YAML", "colon", id="B102-key"),
    pytest.param(b"a: {{ b }} c\n", "1:12: is not YAML", "begins with {", id="B102-template"),
    pytest.param(b"job: a\x01\n", "1:7: holds the control character U+0001", '"\\u0001"', id="B102-control"),
    pytest.param(
        b"job: caf\xe9\n", "1:9: is not UTF-8 (byte 0xE9)", "Save the file as UTF-8", id="B104-latin1"
    ),
    pytest.param("job: a\n".encode("utf-16"), "1:1: is not UTF-8", "UTF-8", id="B104-utf16"),
    pytest.param(b"job: " + b"[" * 33, "1:38: is nested deeper than 32", "", id="B104-depth"),
    pytest.param(b"{" * 5000, "1:34: is nested deeper than 32", "", id="B104-depth-of-keys"),
]


@pytest.mark.parametrize(("raw", "place", "remedy"), NOT_A_JOB)
def test_text_that_is_no_job_is_refused_at_its_place(
    tmp_path: Path, raw: bytes, place: str, remedy: str
) -> None:
    lines = refused(tmp_path, raw)

    assert lines[-1].startswith(f"job.yaml:{place}")
    assert remedy in lines[-1]


NOT_PLAIN = [
    pytest.param("job: a\njob: b\n", "2:1: job: is here twice, first on line 1", "Remove one", id="B105"),
    pytest.param(
        "models:\n  mini: {provider: here}\n  mini: {provider: here}\n",
        "3:3: models.mini: is here twice, first on line 2",
        "Remove one",
        id="B105-nested",
    ),
    pytest.param("job: &a b\n", "1:6: job: has an anchor, &a", "write the value out", id="B106-anchor"),
    pytest.param("job: *a\n", "1:6: job: is an alias, *a", "Write the value out", id="B106-alias"),
    pytest.param(
        "models: {<<: {}, mini: {provider: here}}\n",
        "1:10: models: has a merge key, <<",
        "out",
        id="B106-merge",
    ),
    pytest.param("job: &a [*a]\n", "1:10: job[0]: is an alias, *a", "value out", id="B106-itself"),
    pytest.param("job: !!str a\n", "1:6: job: has a tag", "Remove it", id="B107-known"),
    pytest.param("job: !!python/object:os.system a\n", "1:6: job: has a tag", "Remove it", id="B107-python"),
    pytest.param("input: !x {path: a}\n", "1:8: input: has a tag, !x", "Remove it", id="B107-mapping"),
    pytest.param("job: 2026-01-31\n", "1:6: job: is a date to some readers", "in quotes", id="B109-date"),
    pytest.param("window: 017\n", "1:9: window: has a leading zero", "plain decimal", id="B111-octal"),
    pytest.param("window: 0x1F\n", "1:9: window: is not a decimal number (got 0x1F)", "plain", id="B111-hex"),
    pytest.param("window: 1_000\n", "1:9: window: holds underscores", "plain decimal", id="B111-underscore"),
    pytest.param("window: 12:30:00\n", "1:9: window: is a number in base 60", "quotes", id="B111-base-60"),
    pytest.param("window: .nan\n", "1:9: window: must be a finite number (got .nan)", "Write", id="B112-nan"),
    pytest.param("window: -.inf\n", "1:9: window: must be a finite number", "Write", id="B112-inf"),
    pytest.param("window: 1e999\n", "1:9: window: must be a finite number", "Write", id="B112-huge"),
    pytest.param(
        f"window: {'9' * 5000}\n", "1:9: window: is too long for a number", "quotes", id="B112-long"
    ),
    pytest.param("~: 1\n", "1:1: has a key that is not text (got ~)", 'quotes: "~"', id="B113-null"),
    pytest.param("true: 1\n", "1:1: has a key that is not text (got true)", 'quotes: "true"', id="B113-bool"),
    pytest.param("1: 1\n", "1:1: has a key that is not text (got 1)", 'quotes: "1"', id="B113-number"),
    pytest.param("2026-01-31: 1\n", "1:1: has a key that is not text", "quotes", id="B113-date"),
    pytest.param("? [a, b]\n: 1\n", "1:3: has a key that is not text", "quotes", id="B113-list"),
    pytest.param(
        "prompt:\n  user: {{ text }}\n",
        "2:10: prompt.user: has a key that is not text",
        '"{{ text }}"',
        id="B113-template",
    ),
]


@pytest.mark.parametrize(("first", "place", "remedy"), NOT_PLAIN)
def test_yaml_with_hidden_meaning_is_refused_where_it_stands(
    tmp_path: Path, first: str, place: str, remedy: str
) -> None:
    lines = refused(tmp_path, text(first))

    line = next(line for line in lines if line.startswith(f"job.yaml:{place}"))
    assert remedy in line


def test_second_document_is_refused_on_its_line(tmp_path: Path) -> None:
    lines = refused(tmp_path, text() + "---\njob: other\n")

    assert lines == ["job.yaml:8:1: begins a second document. Keep one job in a file."]


def test_values_of_aliases_are_not_complained_about_twice(tmp_path: Path) -> None:
    lines = refused(tmp_path, text("models:\n  mini: &m {provider: here}\n  maxi: *m\n"))

    assert [line.split(": ")[0] for line in lines] == ["job.yaml:2:9", "job.yaml:3:9"]


def test_file_may_have_a_byte_order_mark_and_windows_line_ends(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + text().replace("\n", "\r\n").encode())

    assert load_job(path).job == "test"


def test_words_of_yaml_1_1_for_switches_are_text(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    path.write_text(text("classify:\n- patterns: {no: [a], on: [b]}\n"))

    assert load_job(path).classify[0].model_dump()["patterns"] == {"no": ("a",), "on": ("b",)}


def test_size_is_limited_to_one_mebibyte(tmp_path: Path) -> None:
    path = tmp_path / "job.yaml"
    body = text().encode()
    path.write_bytes(body + b"#" * (MAX_BYTES - len(body)))
    assert load_job(path).job == "test"

    path.write_bytes(body + b"#" * (MAX_BYTES - len(body) + 1))
    with pytest.raises(JobError, match="larger than 1 MiB"):
        load_job(path)


def test_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"absent\.yaml: there is no such file.*batchroute init"):
        load_job(tmp_path / "absent.yaml")
    with pytest.raises(JobError, match="is a directory"):
        load_job(tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(JobError, match=r"cannot be read \(Not a directory\)"):
        load_job(tmp_path / "file" / "job.yaml")
