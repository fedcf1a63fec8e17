"""Templates: what they make of a record, what they may not do, and where a wrong one is wrong."""

import datetime as dt
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from batchroute.core.errors import JobError
from batchroute.core.records import Fault
from batchroute.routing.templates import (
    MAX_TEXT,
    Interpreted,
    Pieces,
    Template,
    compile_template,
    plain,
    spelled,
)


def compiled(template: str) -> Template:
    return compile_template(template, "prompt.user")


def outcome(template: str, **fields: Any) -> str:
    """The text, or the word of the fault, in angle brackets."""
    rendered = compiled(template).render(fields)
    return f"<{rendered.error_type}>" if isinstance(rendered, Fault) else rendered


# What a template makes of a record


@pytest.mark.parametrize(
    ("template", "columns"),
    [
        ("no field", []),
        ("{{ a }}{{ b }}{{ a }}", ["a", "b"]),
        ("{{ meta.text }} {{ rows[0].name }}", ["meta", "rows"]),
        ("{% for row in rows %}{{ row.x }}{{ loop.index }}{{ y }}{% endfor %}", ["rows", "y"]),
        ("{% if a is defined %}{{ b | default(c) }}{% endif %}", ["a", "b", "c"]),
        ("{% raw %}{{ a }}{% endraw %}{# {{ b }} #}", []),
    ],
)
def test_columns_are_what_the_template_may_read_in_its_order(template: str, columns: list[str]) -> None:
    assert list(compiled(template).columns) == columns


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param("text", "text", id="text"),
        pytest.param("  spaces\r\n", "  spaces\r\n", id="spaces and line ends"),
        pytest.param("{{ 7*7 }} {% raw %} ${KEY}", "{{ 7*7 }} {% raw %} ${KEY}", id="B65 a template"),
        pytest.param("\0\u2028\u202e\U0001f600", "\0\u2028\u202e\U0001f600", id="B42"),
        pytest.param(7, "7", id="B61 int"),
        pytest.param(2**70, str(2**70), id="B41 wide int"),
        pytest.param(True, "true", id="B61 bool"),
        pytest.param(1.10, "1.1", id="B61 float"),
        pytest.param(1e22, "1e+22", id="large float"),
        pytest.param(Decimal("1.10"), "1.10", id="B83 decimal"),
        pytest.param(Decimal("1E+3"), "1000", id="decimal exponent"),
        pytest.param(dt.date(2026, 1, 2), "2026-01-02", id="B96 date"),
        pytest.param(dt.datetime(2026, 1, 2, 3, tzinfo=dt.UTC), "2026-01-02T03:00:00+00:00", id="B96 time"),
        pytest.param(dt.time(3, 4), "03:04:00", id="time of day"),
        pytest.param(None, "<field_null>", id="B57 null"),
        pytest.param({"a": 1}, "<field_type>", id="B58 object"),
        pytest.param([1], "<field_type>", id="B58 list"),
        pytest.param(b"x", "<field_type>", id="bytes"),
        pytest.param(dt.timedelta(1, 90), "P1DT90S", id="duration"),
        pytest.param(float("nan"), "<value_nonfinite>", id="B97 NaN"),
        pytest.param(float("-inf"), "<value_nonfinite>", id="B97 infinity"),
        pytest.param(Decimal("NaN"), "<value_nonfinite>", id="decimal NaN"),
        pytest.param("", "", id="empty"),
        pytest.param(" \n\u00a0", " \n\u00a0", id="blank"),
        pytest.param("x" * MAX_TEXT, "x" * MAX_TEXT, id="B145 at the limit"),
        pytest.param("x" * (MAX_TEXT + 1), "<template_limits>", id="B145 over the limit"),
    ],
)
def test_a_value_is_spelled_alike_on_both_paths(value: Any, expected: str) -> None:
    assert outcome("{{ v }}", v=value) == expected
    assert outcome("{% if true %}{{ v }}{% endif %}", v=value) == expected


NAMES = st.sampled_from(["a", "b_1", "class", "loop", "range", "missing", "environment", "context", "é"])
SCALARS = st.one_of(
    st.text(max_size=8), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.none(), max_size=1)
)
TEXTS = st.text(alphabet="ab \t\n\r\"'\\%}#-+.\u2028\u00e9", max_size=8)
PARTS = st.one_of(
    TEXTS, st.builds("{}".format, TEXTS), NAMES.map(lambda name: f"{{{{ {name} }}}}")
) | st.builds(
    lambda left, name, right: f"{{{{{left}{name}{right}}}}}",
    st.sampled_from(["", "- ", "+ ", "\n"]),
    NAMES,
    st.sampled_from(["", " -", " +", "\n"]),
)


@given(st.lists(PARTS, min_size=1, max_size=6).map("".join), st.dictionaries(NAMES, SCALARS))
@example("{{ a }}\n", {"a": "x\n"})
@example("\ufeff{{ a }}", {"a": "x"})
@example("a\r\n{{ a }}\r\n", {"a": "\r\n"})
@example("a\rb\r\n{{ a }}\n", {"a": "\r"})
def test_the_fast_path_gives_what_the_interpreter_gives(template: str, fields: dict[str, Any]) -> None:
    try:
        fast = compile_template(template, "prompt.user")
    except JobError:
        return
    assert isinstance(fast, Pieces)
    # A condition that always holds, put before the template, keeps it off the fast path.
    slow = compile_template("{% if true %}{% endif %}" + template.removeprefix("\ufeff"), "prompt.user")
    assert isinstance(slow, Interpreted)

    assert fast.columns == slow.columns
    one, other = fast.render(fields), slow.render(fields)
    assert getattr(one, "error_type", one) == getattr(other, "error_type", other)


@given(st.text(max_size=20))
def test_record_text_arrives_as_it_is(text: str) -> None:
    assert outcome("{{ v }}", v=text) == text
    assert outcome("{{ v | default('') }}", v=text) == text


NULL = "a field that the template uses is null. Give it a default: {{ x | default('') }}"
LIST = "a list stands where text is meant. Use a path to a text, or | tojson"


@pytest.mark.parametrize(
    ("template", "fields", "message"),
    [
        ("{{ a }} {{ b | tojson }} {{ c }}", {"a": None, "b": None, "c": "c"}, f"'a': {NULL}"),
        ("{{ a }} {{ b | tojson }} {{ c }}", {"a": 1, "b": None, "c": None}, f"'c': {NULL}"),
        ("{{ a }} {{ b | tojson }} {{ c }}", {"a": 1, "b": None}, "the record has no field 'c'"),
        ("{% if a %}{{ a }}{% endif %}{{ b | upper | trim }}", {"a": None, "b": None}, f"'b': {NULL}"),
        ("{{ a ~ b }}", {"a": "", "b": None}, f"'b': {NULL}"),
        ("{{ a.b[0]['c'] }}", {"a": {"b": [{"c": None}]}}, f"\"a.b[0]['c']\": {NULL}"),
        ("{{ a.b }}", {"a": {}}, "the record has no field 'a.b'"),
        ("{{ a.b }}", {"a": None}, "'a.b': 'None' has no attribute 'b'"),
        ("{{ a if b else c }}", {"a": 1, "b": 0, "c": None}, f"'c': {NULL}"),
        ("{% for x in a %}{{ x.y }}{% endfor %}", {"a": [{"y": []}]}, f"'x.y': {LIST}"),
        ("{% for x in a %}{{ x.y }}{% endfor %}", {"a": None}, f"'a': {NULL}"),
        ("{{ a | first }}", {"a": [None]}, f"'a | first': {NULL}"),
        ("{{ a | join }}", {"a": None}, f"'a': {NULL}"),
        ("{{ a | round }}{{ a | tojson }}", {"a": [1]}, f"'a': {LIST}"),
    ],
)
def test_what_is_missing_or_null_is_named(template: str, fields: dict[str, Any], message: str) -> None:
    """One filter, index or condition, and the names were gone."""
    rendered = compiled(template).render(fields)

    assert isinstance(rendered, Fault)
    assert rendered.message == message


def test_where_null_is_computed_with_the_null_fields_are_named() -> None:
    rendered = compiled("{{ a + b + c }}").render({"a": 1, "b": None, "c": None})

    assert isinstance(rendered, Fault)
    assert rendered.error_type == "field_type"
    assert rendered.message.endswith("; 'b', 'c' is null")


@pytest.mark.parametrize("template", ["{{ x | text_at }}", "{{ x | sequence at }}"])
def test_no_template_can_name_the_marks(template: str) -> None:
    with pytest.raises(JobError):
        compiled(template)


@pytest.mark.parametrize(
    ("template", "fields", "expected"),
    [
        pytest.param("{{ x }}", {}, "<field_missing>", id="B55"),
        pytest.param("{{ x | tojson }}", {"x": [dt.timedelta(0)]}, '["P0D"]', id="tojson duration"),
        pytest.param("{{ x | upper }}", {}, "<field_missing>", id="B55 filtered"),
        pytest.param("{% if x %}{% endif %}a", {}, "<field_missing>", id="B55 tested"),
        pytest.param("{% for y in x %}{% endfor %}a", {}, "<field_missing>", id="B55 looped"),
        pytest.param("{{ x ~ 'a' }}", {}, "<field_missing>", id="B55 joined"),
        pytest.param("{{ x == 1 }}", {}, "<field_missing>", id="B55 compared"),
        pytest.param("{{ x | tojson }}", {}, "<field_missing>", id="B55 as JSON"),
        pytest.param("{{ x.y }}", {"x": {}}, "<field_missing>", id="B55 path"),
        pytest.param("{{ x.y.z }}", {"x": {}}, "<field_missing>", id="B55 longer path"),
        pytest.param("{{ x.y.z | default('d') }}", {"x": {}}, "d", id="path with a default"),
        pytest.param("{{ x.y }}", {"x": None}, "<field_type>", id="B56 through null"),
        pytest.param("{{ x.y }}", {"x": [1]}, "<field_type>", id="B56 through a list"),
        pytest.param("{{ x.upper }}", {"x": "s"}, "<field_type>", id="no methods"),
        pytest.param(
            "{{ x.items }}{{ x['keys'] }}", {"x": {"items": 1, "keys": 2}}, "12", id="members, not methods"
        ),
        pytest.param("{{ x[0].y }}", {"x": [{"y": "z"}]}, "z", id="path through a list"),
        pytest.param("{{ x[9] }}", {"x": ["a"]}, "<field_type>", id="no such index"),
        pytest.param("{{ x[0] }}", {"x": 7}, "<field_type>", id="index into a number"),
        pytest.param("{{ x[0]['a'] }}", {}, "<field_missing>", id="B55 index"),
        pytest.param("{{ x[0] | default('d') }}", {"x": []}, "d", id="index with a default"),
        pytest.param("{{ x[1:] | join }}", {"x": ["a", "b", "c"]}, "bc", id="slice"),
        pytest.param("{{ x ~ y }}", {"x": True, "y": 1}, "true1", id="joined values are spelled"),
        pytest.param("{{ x ~ y }}", {"x": None, "y": 1}, "<field_null>", id="B57 joined"),
        pytest.param("{{ x | upper }}", {"x": None}, "<field_null>", id="B57 filtered"),
        pytest.param("{{ x | default('d') }}", {}, "d", id="default of missing"),
        pytest.param("{{ x | default('d') }}", {"x": None}, "d", id="default of null"),
        pytest.param("{{ x | default('d', true) }}", {"x": ""}, "d", id="default of empty"),
        pytest.param("{{ x is defined }}{{ y is none }}", {"y": None}, "falsetrue", id="tests"),
        pytest.param(
            "{% for y in x %}{{ loop.index }}{{ y }}{% if not loop.last %},{% endif %}{% endfor %}",
            {"x": ["p", "q"]},
            "1p,2q",
            id="loop",
        ),
        pytest.param("{{ x | upper }}{{ x | lower }}", {"x": "Ab"}, "ABab", id="case"),
        pytest.param("{{ x | title }}|{{ x | capitalize }}", {"x": "ab cd"}, "Ab Cd|Ab cd", id="title"),
        pytest.param("{{ x | trim }}|{{ y | trim('-') }}", {"x": " a ", "y": "-b-"}, "a|b", id="trim"),
        pytest.param("{{ x | length }}", {"x": [1, 2]}, "2", id="length"),
        pytest.param("{{ x | first }}{{ x | last }}", {"x": [1, 2]}, "12", id="ends"),
        pytest.param("{{ x | first }}", {"x": []}, "<field_missing>", id="first of nothing"),
        pytest.param("{{ x | join(', ') }}", {"x": ["a", 1, True]}, "a, 1, true", id="join"),
        pytest.param("{{ x | replace('a', 'b', 1) }}", {"x": "aa"}, "ba", id="replace"),
        pytest.param("{{ x | truncate(10) }}", {"x": "hello world foo bar"}, "hello...", id="truncate"),
        pytest.param("{{ x | round(2) }}", {"x": 1.23456}, "1.23", id="round"),
        pytest.param("{{ x | int + 1 }}{{ y | float }}", {"x": "1", "y": "2"}, "22.0", id="numbers"),
        pytest.param("{{ x | int }}", {"x": float("inf")}, "<value_nonfinite>", id="no int of infinity"),
        pytest.param("{{ x | string | length }}", {"x": 100}, "3", id="string"),
        pytest.param("{{ x | e }}", {"x": '<"&'}, "&lt;&#34;&amp;", id="escape"),
        pytest.param("{{ x | e ~ '<' }}", {"x": "<"}, "&lt;<", id="an escape does not spread"),
        pytest.param(
            "{{ x | tojson }}", {"x": {"a": [1, None, "é<"]}}, '{"a": [1, null, "é<"]}', id="tojson"
        ),
        pytest.param("{{ x | tojson(2) }}", {"x": [1]}, "[\n  1\n]", id="tojson indented"),
        pytest.param(
            "{{ x | tojson }}", {"x": {"d": dt.date(2026, 1, 2)}}, '{"d": "2026-01-02"}', id="tojson date"
        ),
        pytest.param("{{ x | tojson }}", {"x": [float("nan")]}, "<value_nonfinite>", id="tojson NaN"),
        pytest.param("{{ x | tojson }}", {"x": [b"x"]}, "<field_type>", id="tojson bytes"),
        pytest.param("{{ x + 1 }}", {"x": "s"}, "<field_type>", id="text plus number"),
        pytest.param("{{ 1 / x }}", {"x": 0}, "<field_type>", id="division by zero"),
        pytest.param("{{ x * 2 }}", {"x": 21}, "42", id="numbers are multiplied"),
        pytest.param("{{ 'a' * 10 ** 9 }}", {}, "<template_limits>", id="B145 repeated text"),
        pytest.param("{{ x * 10 ** 9 }}", {"x": [1]}, "<template_limits>", id="B145 repeated list"),
        pytest.param("{{ 9 ** 99999 }}", {}, "<template_limits>", id="B145 huge power"),
        pytest.param("{{ 2.0 ** 9999 }}", {}, "<template_limits>", id="B145 huge float"),
        pytest.param("{{ '%s' % x }}", {"x": 1}, "<template_limits>", id="% formats no text"),
        pytest.param("{{ x | replace('a', x) }}", {"x": "a" * 9999}, "<template_limits>", id="B145 replace"),
        pytest.param(
            "{{ x | join(y) }}", {"x": [""] * 9999, "y": "a" * 9999}, "<template_limits>", id="B145 join"
        ),
        pytest.param("{{ x | tojson(10 ** 9) }}", {"x": 1}, "<template_limits>", id="B145 indent"),
        pytest.param("{{ x | round(10 ** 9, 'ceil') }}", {"x": 1}, "<template_limits>", id="B145 places"),
        pytest.param(
            "{% for a in x %}{% for b in x %}{{ y }}{% endfor %}{% endfor %}",
            {"x": [0] * 9999, "y": "a" * 999},
            "<template_limits>",
            id="B145 loops",
        ),
    ],
)
def test_what_a_template_makes_of_a_record(template: str, fields: dict[str, Any], expected: str) -> None:
    assert outcome(template, **fields) == expected


def test_line_ends_of_a_template_are_kept() -> None:
    assert outcome("a\r\n{{ x }}\r\n", x="1\n2\r\n") == "a\r\n1\n2\r\n\r\n"
    assert outcome("a\n{% if true %}\n{% endif %}{{ x }}\n", x="\r\n") == "a\n\n\r\n\n"
    assert outcome("\ufeffa {{ x }}", x="b") == "a b"


def test_a_fault_names_the_field() -> None:
    fault = compiled("{{ a }}{{ b }}").render({"a": "x", "b": None})
    assert isinstance(fault, Fault)
    assert fault.message.startswith("'b': ")


@pytest.mark.parametrize(
    ("value", "text"),
    [("t", "t"), (7, "7"), (None, "null"), ({"a": [1, "é"]}, '{"a": [1, "é"]}'), ([b"x"], "[\"b'x'\"]")],
)
def test_any_value_is_plain_text_for_reading(value: Any, text: str) -> None:
    assert plain(value) == text


def test_a_subclass_of_text_is_spelled_as_text() -> None:
    class Marked(str):
        __slots__ = ()

    assert type(spelled(Marked("a"))) is str


# What is refused


@pytest.mark.parametrize(
    ("template", "place"),
    [
        ("{{ x", "line 1, column 1:"),
        ("one\n two {{ x | }}", "line 2, column 6:"),
        ("one\r\ntwo\r\n{% if %}", "line 3, column 1:"),
        ('{{"a": 1} }', "line 1, column 1:"),
        ("{# open", "line 1, column 1:"),
        ("{{ " + "(" * 3000 + " }}", "line 1, column 1:"),
        ("{% for a in b %}" * 25 + "{% endfor %}" * 25, "line 1, column 1:"),
    ],
)
def test_a_wrong_template_is_refused_with_its_place(template: str, place: str) -> None:
    with pytest.raises(JobError) as caught:
        compiled(template)
    message = str(caught.value)
    assert message.startswith(f"prompt.user: {place}")
    assert message.endswith("[template_syntax]")


@pytest.mark.parametrize(
    "template",
    [
        "{{ x.__class__ }}",
        "{{ x['__class__'] }}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ __import__ }}",
        "{{ x.upper() }}",
        "{{ range(9) }}",
        "{{ cycler.__init__.__globals__.os.popen('id').read() }}",
        "{{ lipsum() }}",
        "{{ self }}",
        "{{ '{0.__class__}'.format(x) }}",
        "{{ x | attr('__class__') }}",
        "{{ x | map('upper') }}",
        "{{ x | format(1) }}",
        "{{ x | uper }}",
        "{{ x is callable }}",
        "{% set y = 1 %}",
        "{% set y %}a{% endset %}",
        "{% include 'a' %}",
        "{% import 'a' as a %}",
        "{% from 'a' import b %}",
        "{% extends 'a' %}",
        "{% block a %}{% endblock %}",
        "{% macro a() %}{% endmacro %}",
        "{% call a() %}{% endcall %}",
        "{% filter upper %}a{% endfilter %}",
        "{% with a = 1 %}{% endwith %}",
        "{% autoescape true %}{% endautoescape %}",
        "{% for a in x recursive %}{{ loop(a) }}{% endfor %}",
        "{% if true %}{% for a in x %}{{ a[b.c()] }}{% endfor %}{% endif %}",
    ],
)
def test_what_no_prompt_needs_is_refused(template: str) -> None:
    with pytest.raises(JobError, match=r"^prompt\.user: line 1, column 1: .*\[template_unsafe\]$"):
        compiled(template)


def test_an_unknown_filter_names_the_nearest() -> None:
    with pytest.raises(JobError, match="There is upper"):
        compiled("{{ x | uper }}")
