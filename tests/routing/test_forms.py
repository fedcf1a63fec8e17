"""JSON in what models say, schemas in strict mode, and what a model is told of a wrong answer."""

from contextlib import suppress
from typing import Any

import msgspec
import pytest

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Failure
from batchroute.routing.findings import NoJsonError, json_in
from batchroute.routing.forms import Formed, JsonForm, WrongFormError
from batchroute.routing.strictness import strict
from tests.fakes import answer

FOUND = [
    ('{"a": 1}', {"a": 1}),
    ("[1, 2]", [1, 2]),
    ("3", 3),
    ("null", None),
    ('```json\n{"a": 1}\n```', {"a": 1}),
    ('```\n{"a": 1}\n```', {"a": 1}),
    ('Sure!\n\n```json\n{"a": {"b": "```"}}\n```', {"a": {"b": "```"}}),
    ('The answer is {"a": 1}. Anything else?', {"a": 1}),
    ('Given {x}, it is {"a": [1]}', {"a": [1]}),
    ('```python\nprint(1)\n```\nso {"a": 1}', {"a": 1}),
]


@pytest.mark.parametrize(("text", "value"), FOUND)
def test_the_one_value_is_found(text: str, value: Any) -> None:
    assert json_in(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no",
        '{"a": 1',
        '{"a": 1} {"a": 2}',
        "```json\n{}\n```\n```json\n[]\n```",
        "[" * 5000,
        "{" * 100_000,
        '{"a": NaN}',
        "It is 3.",
    ],
)
def test_none_and_more_than_one_are_refused(text: str) -> None:
    with pytest.raises(NoJsonError):
        json_in(text)


def properties(**named: Any) -> dict[str, Any]:
    return {"type": "object", "properties": named, "required": list(named)}


def test_the_strict_copy_closes_every_object_and_requires_what_may_be_null_instead() -> None:
    schema = {
        **properties(name={"type": "string", "minLength": 1, "title": "Name", "pattern": "^A"}),
        "$defs": {"line": {**properties(sku={"type": "string"}), "required": []}},
    }
    schema["properties"]["line"] = {"$ref": "#/$defs/line"}
    kept = msgspec.json.encode(schema)

    assert strict(schema) == {
        "type": "object",
        "properties": {
            "name": {"type": "string", "pattern": "^A"},
            "line": {"anyOf": [{"$ref": "#/$defs/line"}, {"type": "null"}]},
        },
        "required": ["name", "line"],
        "additionalProperties": False,
        "$defs": {
            "line": {
                "type": "object",
                "properties": {"sku": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
                "required": ["sku"],
                "additionalProperties": False,
            }
        },
    }
    assert msgspec.json.encode(schema) == kept  # it is a copy


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "array", "items": {"type": "string"}},
        {"type": "object"},
        {"type": "object", "properties": {"a": {}}, "additionalProperties": True},
        {"type": "object", "additionalProperties": {"type": "string"}},
        properties(a={"allOf": [{"type": "string"}]}),
        properties(a={"oneOf": [{"type": "string"}]}),
        properties(a={"type": "object", "patternProperties": {"^x": {}}}),
        {**properties(a={"type": "string"}), "required": ["b"]},
        properties(a=True),
    ],
)
def test_what_strict_mode_cannot_say_is_left_loose(schema: dict[str, Any]) -> None:
    assert strict(schema) is None
    asked = JsonForm(schema).ask(Request(messages=b"[]"), "json_schema").params
    assert b"strict" not in asked
    assert b'"json_schema"' in asked


def test_parameters_stay_and_a_response_format_of_the_record_gives_way() -> None:
    form = JsonForm(properties(a={"type": "string"}))
    request = Request(
        messages=b"[]", params=b',"top_p":0.10,"response_format":{"type":"text"}', own_params=True
    )

    sent = msgspec.json.decode(form.ask(request, "json_object").body("m"))

    assert sent["top_p"] == 0.1
    assert sent["response_format"] == {"type": "json_object"}
    assert "json" in sent["messages"][0]["content"].lower()  # or OpenAI refuses json_object


def test_json_object_is_not_asked_for_where_the_answer_is_a_list() -> None:
    request = JsonForm({"type": "array"}).ask(Request(messages=b"[]"), "json_object")
    assert b"response_format" not in request.params


def test_what_is_wrong_is_told_by_place() -> None:
    form = JsonForm(properties(lines={"type": "array", "items": properties(n={"type": "integer"})}))
    with pytest.raises(WrongFormError, match=r'^lines\[1\]\.n: "x" is not of type "integer"$'):
        form.read('{"lines": [{"n": 1}, {"n": "x"}]}')


def test_a_null_where_one_must_stand_something_is_no_missing_member() -> None:
    form = JsonForm(properties(a={"type": "string"}))
    with pytest.raises(WrongFormError, match="required"):
        form.read('{"a": null}')


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ('{"0": null, "b": 1}', '{"b":1}'),
        ('{"": null, "b": 1}', None),
        ('{"c": {"": {"d": null}}}', None),
    ],
)
def test_a_null_is_found_whatever_its_name(text: str, read: str | None) -> None:
    """Of an empty name the validator tells no place: such a null is refused."""
    number = {"type": "integer"}
    nested = {"properties": {"": {"properties": {"d": number}}}}
    form = JsonForm({"properties": {"0": number, "": number, "b": number, "c": nested}})
    assert Formed(form, {}).parsed(text) == read


def test_a_refusal_is_not_sent_back() -> None:
    formed = Formed(JsonForm({"type": "object"}), {})
    refusal = msgspec.structs.replace(answer("I will not."), flag="refusal")

    found = formed.checked(refusal, repaired=False)

    assert isinstance(found, Failure)
    assert (found.error_type, found.may_retry, found.usage) == (
        ErrorType.SCHEMA_MISMATCH,
        False,
        refusal.usage,
    )


@pytest.mark.parametrize(
    "text",
    [
        "so: [" + "9" * 400 + "]", 'so: ["\\ud800"]', '[{"\\udfff": 1}]',
        "[" * 300 + "]" * 300, "[" * 800 + "]" * 800, "so: " + "[" * 800 + "]" * 800,
    ],
)  # fmt: skip
def test_whatever_a_model_says_is_read_or_refused(text: str) -> None:
    nested = {"items": {"items": {"items": {"type": "array"}}, "properties": {"a": {"type": "string"}}}}
    for schema in ({"type": "array"}, {"type": "array", **nested}):
        with suppress(WrongFormError):  # nothing else is raised
            json_in(JsonForm(schema).read(text))
