"""Job files that are bad: each is refused with its word, its place and exit code 2, and nothing is read or sent."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from batchroute.job.loading import MAX_BYTES
from tests.bad_input.corpus import told_by
from tests.job.files import text

DEEP = 40
BOMB = "a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n"


def model(entry: str) -> str:
    return f"models: {{mini: {{provider: here, {entry}}}}}\n"


def provider(entry: str) -> str:
    return f"providers: {{here: {{{entry}}}}}\n"


def routes(entry: str) -> str:
    return f"routes: {{{entry}}}\n"


# The section that is bad stands first; the others are as they should be.
REFUSED: Mapping[str, tuple[str | bytes, str, str]] = {
    "B101 empty": (b"", "1:1", "job_not_mapping"),
    "B101 comments only": (b"# nothing\n", "1:1", "job_not_mapping"),
    "B101 list": (b"- job\n", "1:1", "job_not_mapping"),
    "B101 scalar": (b"job\n", "1:1", "job_not_mapping"),
    "B102 unclosed": ("job: {a\n", "2:6", "job_syntax"),
    "B102 tab": (b"job: a\ninput:\n\tpath: b\n", "3:1", "job_syntax"),
    "B102 NUL": (b"job: a\0b\n", "1:7", "job_syntax"),
    "B103 two documents": (b"job: a\n---\njob: b\n", "2:1", "job_syntax"),
    "B104 not UTF-8": (b"job: \xff\n", "1:6", "job_limits"),
    "B104 UTF-16": ("job: a\n".encode("utf-16"), "1:1", "job_limits"),
    "B104 deep": ("input: " + "{a: " * DEEP + "b" + "}" * DEEP + "\n", "1:", "job_limits"),
    "B104 very deep": ("input: " + "[" * 3000 + "\n", "1:", "job_limits"),
    "B105 twice": ("job: a\njob: b\n", "2:1", "job_duplicate_key"),
    "B105 twice within": ("input: {path: a, path: b}\n", "1:18", "job_duplicate_key"),
    "B106 anchor": ("job: &a test\n", "1:6", "job_alias"),
    "B106 alias": ("job: *a\n", "1:6", "job_alias"),
    "B106 merge": ("input: {<<: {path: a}}\n", "1:9", "job_alias"),
    "B106 bomb": (BOMB, "1:4", "job_alias"),
    "B106 of itself": ("input: &a {path: *a}\n", "1:8", "job_alias"),
    "B107 Python object": ('job: !!python/object/apply:os.system ["true"]\n', "1:6", "job_tag"),
    "B107 Python name": ("job: !!python/name:os.system\n", "1:6", "job_tag"),
    "B107 own tag": ("job: !x test\n", "1:6", "job_tag"),
    "B107 standard tag": ("job: !!str test\n", "1:6", "job_tag"),
    "B107 binary": ("job: !!binary dGVzdA==\n", "1:6", "job_tag"),
    "B108 no": (model("hedge: no"), "1:40", "job_type"),
    "B108 on": (model("hedge: on"), "1:40", "job_type"),
    "B109 1.10": (model("model: 1.10"), "1:40", "job_type"),
    "B109 date": (model("model: 2024-05-13"), "1:40", "job_number_form"),
    "B110 text for a number": (model('limits: {rpm: "10"}'), "1:47", "job_type"),
    "B110 true for a number": (model("limits: {rpm: true}"), "1:47", "job_type"),
    "B111 octal": (model("limits: {rpm: 017}"), "1:47", "job_number_form"),
    "B111 hex": (model("limits: {rpm: 0x1F}"), "1:47", "job_number_form"),
    "B111 underscore": (model("limits: {rpm: 1_000}"), "1:47", "job_number_form"),
    "B111 base 60": (model("limits: {rpm: 12:30:00}"), "1:47", "job_number_form"),
    "B112 nan": ("input: {path: a.jsonl, max_bad: .nan}\n", "1:33", "job_range"),
    "B112 inf": ("input: {path: a.jsonl, max_bad: .inf}\n", "1:33", "job_range"),
    "B112 1e999": ("input: {path: a.jsonl, max_bad: 1e999}\n", "1:33", "job_range"),
    "B112 above": ("input: {path: a.jsonl, max_bad: 1.01}\n", "1:33", "job_range"),
    "B112 below": ("input: {path: a.jsonl, max_bad: -0.01}\n", "1:33", "job_range"),
    "B112 zero": (model("limits: {rpm: 0}"), "1:47", "job_range"),
    "B112 negative": (model("limits: {rpm: -1}"), "1:47", "job_range"),
    "B113 null key": ("input: {~: a}\n", "1:9", "job_key_type"),
    "B113 true key": ("input: {true: a}\n", "1:9", "job_key_type"),
    "B113 number key": ("input: {1: a}\n", "1:9", "job_key_type"),
    "B113 list key": ("input: {[a]: b}\n", "1:9", "job_key_type"),
    "B114 unknown": ("promt: a\n", "1:1", "job_unknown_key"),
    "B114 unknown within": ("input: {path: a, paht: b}\n", "1:18", "job_unknown_key"),
    "B117 unknown model": (routes("default: {models: [big]}"), "1:29", "job_unknown_model"),
    "B117 no model": (routes("default: {models: []}"), "1:28", "job_value"),
    "B118 names but for case": (
        "models: {a: {provider: here}, A: {provider: here}}\n" + routes("default: {models: [a]}"),
        "1:31",
        "job_duplicate_name",
    ),
    "B119 twice in a route": (routes("default: {models: [mini, mini]}"), "1:28", "job_route_repeat"),
    "B120 never": (
        routes("a: {when: {task: x}, models: [mini]}, b: {when: {task: x}, models: [mini]}, default: {models: [mini]}"),
        "1:48",
        "job_route_unreachable",
    ),
    "B120 no default": (routes("a: {when: {task: x}, models: [mini]}"), "1:1", "job_route_unreachable"),
    "B120 default first": (
        routes("default: {models: [mini]}, a: {when: {task: x}, models: [mini]}"),
        "1:10",
        "job_route_unreachable",
    ),
    "B121 invalid": ("classify: [{patterns: {a: ['(']}}]\n", "1:28", "job_regex"),
    "B122 negative": (model("price: {input: -1, output: 1}"), "1:48", "job_price"),
    "B122 per token": (model("price: {input: 0.00000028, output: 1}"), "1:48", "job_price"),
    "B122 too high": (model("price: {input: 10001, output: 1}"), "1:48", "job_price"),
    "B124 no scheme": (provider("base_url: api.example.com/v1"), "1:30", "job_base_url"),
    "B124 password": (provider("base_url: 'https://a:b@example.com/v1'"), "1:30", "job_base_url"),
    "B124 query": (provider("base_url: 'https://example.com/v1?key=a'"), "1:30", "job_base_url"),
    "B124 blank": (provider("base_url: 'https://example.com/v 1'"), "1:30", "job_base_url"),
    "B125 whole path": (provider("base_url: 'https://example.com/v1/chat/completions'"), "1:30", "job_base_url"),
    "B128 unset": (provider('base_url: "http://127.0.0.1/v1", api_key: "${BATCHROUTE_UNSET}"'), "1:62", "env_unset"),
    "B130 nested": ('input: {path: "${${A}}"}\n', "1:15", "env_not_allowed"),
    "B130 unclosed": ('input: {path: "${A"}\n', "1:15", "env_malformed"),
    "B129 newline": (provider('base_url: "http://127.0.0.1/v1", api_key: "a\\nb"'), "1:62", "env_malformed"),
    "B131 Authorization": (
        provider('base_url: "http://127.0.0.1/v1", headers: {Authorization: a}'),
        "1:63",
        "job_header",
    ),
    "B131 Host": (provider('base_url: "http://127.0.0.1/v1", headers: {Host: a}'), "1:63", "job_header"),
    "B131 line break": (provider('base_url: "http://127.0.0.1/v1", headers: {X-A: "a\\r\\nb"}'), "1:68", "job_header"),
    "B132 no unit": (model("timeout: 30"), "1:42", "job_duration"),
    "B132 negative": (model("timeout: -30s"), "1:42", "job_duration"),
    "B133 concurrency": (model("limits: {concurrency: 10001}"), "1:55", "job_range"),
    "B134 equals": ("input: {path: out}\n", ":", "output_overlaps_input"),
    "B134 within": ("input: {path: out/results/*.parquet}\n", ":", "output_overlaps_input"),
    "B134 contains": ("output: {path: in}\n", "1:16", "output_overlaps_input"),
    "B140 unclosed": ("prompt: {user: '{{ text'}\n", "1:16", "template_syntax"),
    "B140 stray end": ("prompt: {user: 'a {% endif %}'}\n", "1:16", "template_syntax"),
    "B140 half an if": ("prompt: {user: '{% if text %}a'}\n", "1:16", "template_syntax"),
    "B141 pasted JSON": ("prompt: {user: '{{\"a\": {\"b\": 1}, \"c\"'}\n", "1:16", "template_syntax"),
    "B141 comment": ("prompt: {user: '{\"a\": {#1}'}\n", "1:16", "template_syntax"),
}  # fmt: skip

# Ways out of Jinja's sandbox, or to make it work for ever, in the forms in which they are known.
UNSAFE: Mapping[str, str] = {
    "B144 class": "{{ text.__class__ }}",
    "B144 class by key": "{{ text['__class__'] }}",
    "B144 mro": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "B144 globals": "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
    "B144 joiner": "{{ joiner.__init__.__globals__ }}",
    "B144 lipsum": "{{ lipsum.__globals__['os'] }}",
    "B144 self": "{{ self._TemplateReference__context }}",
    "B144 self dict": "{{ self.__dict__ }}",
    "B144 call": "{{ text.upper() }}",
    "B144 format": "{{ '{0.__class__}'.format(text) }}",
    "B144 format_map": "{{ text.format_map({}) }}",
    "B144 format filter": "{{ '%s' | format(text) }}",
    "B144 attr": "{{ text | attr('__class__') }}",
    "B144 map": "{{ [text] | map('attr', '__class__') | list }}",
    "B144 unknown filter": "{{ text | shell }}",
    "B144 xmlattr": "{{ {'a': text} | xmlattr }}",
    "B144 unknown test": "{{ text is shell }}",
    "B144 callable": "{{ text is callable }}",
    "B144 filter test": "{{ 'attr' is filter }}",
    "B144 include": "{% include 'a' %}",
    "B144 import": "{% import 'a' as b %}",
    "B144 from": "{% from 'a' import b %}",
    "B144 extends": "{% extends 'a' %}",
    "B144 block": "{% block a %}b{% endblock %}",
    "B144 macro": "{% macro a() %}b{% endmacro %}",
    "B144 call block": "{% call a() %}b{% endcall %}",
    "B144 set": "{% set a = 1 %}",
    "B144 filter block": "{% filter upper %}a{% endfilter %}",
    "B144 range": "{% for a in range(10) %}b{% endfor %}",
    "B144 recursive": "{% for a in text recursive %}{{ loop(a) }}{% endfor %}",
    "B144 dict": "{{ dict(a=1) }}",
    "B144 namespace": "{{ namespace(a=1) }}",
}


def run(folder: Path, written: bytes) -> list[str]:
    """The lines of the refusal of a job file with this text."""
    path = folder / "job.yaml"
    path.write_bytes(written)
    (folder / "in").mkdir()
    (folder / "in/records.jsonl").write_bytes(b'{"text":"t"}\n' * 9)
    told = told_by("run", path)
    assert told.exit_code == 2, told.errors
    assert not (folder / "out/manifest.json").exists()
    return told.errors.replace(f"{folder}/", "").removeprefix("Error: ").splitlines()


@pytest.mark.parametrize(("written", "place", "word"), REFUSED.values(), ids=REFUSED)
def test_a_bad_job_file_is_refused_with_its_word_and_place(
    tmp_path: Path, written: str | bytes, place: str, word: str
) -> None:
    lines = run(tmp_path, written if isinstance(written, bytes) else text(written).encode())
    assert any(line.startswith(f"job.yaml:{place.removeprefix(':')}") for line in lines), lines
    assert all(re.match(r"job\.yaml:[0-9]+:[0-9]+: ", line) for line in lines if ": [" not in line)
    assert any(line.endswith(f" [{word}]") for line in lines), lines


@pytest.mark.parametrize("template", UNSAFE.values(), ids=UNSAFE)
def test_a_template_that_does_more_than_show_is_refused(tmp_path: Path, template: str) -> None:
    (line,) = run(tmp_path, text(f"prompt:\n  user: |\n    Answer.\n    {template}\n").encode())
    assert line.startswith("job.yaml:2:9: prompt.user: line 2, column "), line
    assert line.endswith((" [template_unsafe]", " [template_syntax]")), line


def test_a_job_file_of_more_than_a_mebibyte_is_refused(tmp_path: Path) -> None:
    fits = text("# " + "x" * (MAX_BYTES - len(text("# \n"))) + "\n")
    assert len(fits) == MAX_BYTES
    (line,) = run(tmp_path, f"{fits}\n".encode())
    assert line.endswith("[job_limits]")


@pytest.mark.parametrize("name", ["nowhere.yaml", "."])
def test_a_job_file_that_is_not_there_is_refused(tmp_path: Path, name: str) -> None:
    assert told_by("run", tmp_path / name).exit_code == 2
