"""Records to requests: the forms of a prompt as a job declares them."""

import json
from typing import Any

import pytest

from batchroute.core.errors import JobError
from batchroute.core.records import Fault, Record
from batchroute.core.requests import Request
from batchroute.job.jobs import Prompt
from batchroute.routing.prompts import Prompts
from batchroute.routing.templates import MAX_TEXT


def build(**spec: Any) -> Prompts:
    return Prompts(Prompt.model_validate(spec))


def record(**fields: Any) -> Record:
    return Record(record_id="r", file="in.jsonl", line=1, fields=fields)


def sent(rendered: Request | Fault) -> Any:
    assert isinstance(rendered, Request), rendered
    return json.loads(rendered.body("m"))


def word(rendered: Request | Fault) -> str:
    assert isinstance(rendered, Fault), rendered
    return rendered.error_type


def test_a_request_holds_the_messages_and_the_parameters() -> None:
    built = build(system="Be precise.", user="Q: {{ text }}", params={"max_tokens": 256, "temperature": 0})

    rendered = built.render(record(text='say "hi"\n', id=1))

    assert sent(rendered) == {
        "model": "m",
        "messages": [
            {"role": "system", "content": "Be precise."},
            {"role": "user", "content": 'Q: say "hi"\n'},
        ],
        "max_tokens": 256,
        "temperature": 0,
    }
    assert isinstance(rendered, Request)
    assert rendered.max_output_tokens == 256
    assert built.columns == {"text"}


def test_a_list_of_messages_keeps_its_order_and_roles() -> None:
    built = build(
        messages=[
            {"role": "developer", "content": "{{ tone }}"},
            {"role": "user", "content": "example"},
            {"role": "assistant", "content": "{{ answer }}"},
            {"role": "user", "content": "{{ text }}"},
        ]
    )
    assert built.columns == {"tone", "answer", "text"}
    assert [
        (message["role"], message["content"])
        for message in sent(built.render(record(tone="kind", answer="", text="now")))["messages"]
    ] == [("developer", "kind"), ("user", "example"), ("assistant", ""), ("user", "now")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", "prompt_empty", id="B59 empty"),
        pytest.param(" \n\u00a0", "prompt_empty", id="B60 blank"),
        pytest.param("\ud800", "text_surrogate", id="half a character"),
        pytest.param(None, "field_null", id="B57 null"),
        pytest.param("x" * (MAX_TEXT + 1), "template_limits", id="B145"),
    ],
)
@pytest.mark.parametrize("template", ["{{ v }}", "{% if true %}{{ v }}{% endif %}"])
def test_what_cannot_be_asked_is_the_fault_of_its_record(
    template: str, text: str | None, expected: str
) -> None:
    assert word(build(user=template).render(record(v=text))) == expected


def test_only_the_user_must_say_something() -> None:
    rendered = build(system="{{ s }}", user="u").render(record(s=" "))
    assert sent(rendered)["messages"][0] == {"role": "system", "content": " "}


def test_a_constant_user_message_that_is_blank_is_each_records_fault() -> None:
    assert word(build(user=" \n").render(record())) == "prompt_empty"


@pytest.mark.parametrize("template", ["{{ x", "{{ x.upper() }}"])
def test_a_wrong_template_is_refused_with_its_place_in_the_job(template: str) -> None:
    with pytest.raises(JobError, match=r"^prompt\.messages\[1\]\.content: line 1, column 1: "):
        build(messages=[{"role": "system", "content": "a"}, {"role": "user", "content": template}])
    with pytest.raises(JobError, match=r"^prompt\.system: line 1, column 1: "):
        build(system=template, user="a")


def test_messages_have_a_limit_in_all() -> None:
    text = "é" * (MAX_TEXT - 1)  # two bytes a character
    spec = [{"role": "user", "content": "{{ x }}"}] * 2
    assert word(build(messages=spec).render(record(x=text))) == "request_too_large"


@pytest.mark.parametrize("value", [0, -1, True, "256", 1.5])
@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_an_output_cap_that_is_none_is_refused(name: str, value: Any) -> None:
    with pytest.raises(JobError, match=rf"prompt\.params: {name} must be a whole number above 0"):
        build(user="a", params={name: value})


MESSAGES = [{"role": "user", "content": "u"}]


@pytest.mark.parametrize(
    ("spec", "fields"),
    [
        ({"column": "c"}, {"c": MESSAGES}),
        ({"body": "c"}, {"c": {"messages": MESSAGES, "seed": 1, "max_tokens": 9}}),
    ],
)
def test_a_column_brings_messages_and_the_job_its_parameters(
    spec: dict[str, str], fields: dict[str, Any]
) -> None:
    built = build(**spec, params={"seed": 7, "max_tokens": 5})
    rendered = built.render(record(**fields))
    assert sent(rendered) == {"model": "m", "messages": MESSAGES, "seed": 7, "max_tokens": 5}
    assert isinstance(rendered, Request)
    assert rendered.max_output_tokens == 5
    assert built.columns == {"c"}


@pytest.mark.parametrize(("spec", "wrap"), [({"column": "c"}, False), ({"body": "c"}, True)])
def test_half_of_a_character_is_found_wherever_it_stands(spec: dict[str, str], wrap: bool) -> None:
    messages = [{"role": "user", "content": "\ud800"}]
    brought: Any = {"messages": messages} if wrap else messages
    for value in (brought, json.dumps(brought, ensure_ascii=False)):
        assert word(build(**spec).render(record(c=value))) == "text_surrogate"


# What classification reads


@pytest.mark.parametrize(
    ("spec", "fields", "expected"),
    [
        ({"user": "Q: {{ text }}!"}, {"text": "t"}, "t"),
        ({"user": "{{ b }}{{ a }}"}, {"a": "1", "b": "2"}, "2\n1"),
        ({"user": "{{ b }}{{ a }}"}, {"a": "1", "b": None}, "1"),
        ({"user": "{{ a }}"}, {}, None),
        ({"user": "constant"}, {"a": "1"}, None),
        ({"user": "{{ n }}{{ f | tojson }}"}, {"n": 7, "f": {"x": True}}, '7\n{"x": true}'),
        ({"user": "{{ t }}", "system": "{{ s }}"}, {"t": "t", "s": "s"}, "t"),
        (
            {"messages": [{"role": "system", "content": "{{ s }}"}, {"role": "user", "content": "{{ t }}"}]},
            {"t": "t", "s": "s"},
            "t",
        ),
        (
            {"column": "c"},
            {"c": [{"role": "user", "content": "first"}, {"role": "user", "content": "last"}]},
            "last",
        ),
        ({"column": "c"}, {"c": [{"role": "system", "content": "s"}]}, None),
        ({"column": "c"}, {"c": [{"role": "user", "content": [{"type": "image_url"}]}]}, None),
        ({"column": "c"}, {"c": "no JSON"}, None),
        ({"body": "c"}, {"c": {"messages": MESSAGES}}, "u"),
        ({"body": "c"}, {"c": []}, None),
    ],
)
def test_classification_reads_what_the_user_says(
    spec: dict[str, Any], fields: dict[str, Any], expected: str | None
) -> None:
    assert build(**spec).texts([record(**fields), record(**fields)]) == [expected, expected]
