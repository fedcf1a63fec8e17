"""Columns of messages and of bodies: what is sent of them, and the faults of records that have none."""

import json
from typing import Any

import pytest

from batchroute.core.records import Fault
from batchroute.core.requests import Request
from batchroute.routing.messages import Body, Conversation


def conversation(value: Any, params: bytes = b"") -> Request | Fault:
    """What a record with these messages asks."""
    return Conversation("chat", params, None).render({"chat": value})


def body(value: Any, **params: Any) -> Request | Fault:
    """What a record with this body asks, under the job's parameters."""
    return Body("b", params).render({"b": value})


def sent(rendered: Request | Fault) -> Any:
    assert isinstance(rendered, Request), rendered
    return json.loads(rendered.body("m"))


def word(rendered: Request | Fault) -> str:
    assert isinstance(rendered, Fault), rendered
    return rendered.error_type


CHAT = [
    {"role": "system", "content": "s"},
    {"role": "user", "content": "u"},
    {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]},
    {"role": "tool", "content": "t", "tool_call_id": "1"},
    {"role": "user", "content": [{"type": "text", "text": "p"}, {"type": "text", "text": "q"}]},
]


@pytest.mark.parametrize("value", [CHAT, json.dumps(CHAT), json.dumps(CHAT, indent=1)])
def test_a_column_of_messages_is_sent_as_it_stands(value: Any) -> None:
    assert sent(conversation(value, b',"temperature":0')) == {
        "model": "m",
        "messages": CHAT,
        "temperature": 0,
    }


def test_members_that_are_null_are_left_out() -> None:
    struct = [{"role": "user", "content": [{"type": "text", "text": "a", "image_url": None}], "name": None}]
    assert sent(conversation(struct))["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "a"}]}
    ]


def test_integers_beyond_64_bits_are_sent_exactly() -> None:
    chat = [{"role": "user", "content": "é", "n": 2**70}]
    assert sent(conversation(chat))["messages"] == chat


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        pytest.param([], "messages_invalid", id="B70 empty"),
        pytest.param("[", "messages_invalid", id="no JSON"),
        pytest.param("{}", "messages_invalid", id="an object"),
        pytest.param(7, "messages_invalid", id="a number"),
        pytest.param(["hi"], "messages_invalid", id="text for a message"),
        pytest.param([{"content": "a"}], "messages_invalid", id="no role"),
        pytest.param([{"role": "bot", "content": "a"}], "messages_invalid", id="B70 unknown role"),
        pytest.param([{"role": ["user"], "content": "a"}], "messages_invalid", id="a list for a role"),
        pytest.param([{"role": "user", "content": 7}], "messages_invalid", id="B70 content type"),
        pytest.param([{"role": "user", "content": None}], "messages_invalid", id="no content"),
        pytest.param(
            [{"role": "assistant", "content": None}], "messages_invalid", id="no content nor tool calls"
        ),
        pytest.param([{"role": "user", "content": []}], "messages_invalid", id="no part"),
        pytest.param(
            [{"role": "user", "content": [{"text": "a"}]}], "messages_invalid", id="part without a type"
        ),
        pytest.param([{"role": "user", "content": " "}], "prompt_empty", id="B59 blank"),
        pytest.param(None, "field_null", id="B57"),
    ],
)
def test_wrong_messages_are_the_fault_of_their_record(value: Any, expected: str) -> None:
    assert word(conversation(value)) == expected
    assert word(body({"messages": value})) == ("messages_invalid" if value is None else expected)


def test_a_missing_column_is_the_fault_of_its_record() -> None:
    for form in (Conversation("chat", b"", None), Body("b", {})):
        assert word(form.render({})) == "field_missing"
        assert form.text({}) is None


MESSAGES = [{"role": "user", "content": "u"}]


@pytest.mark.parametrize(
    ("own", "params", "expected"),
    [
        pytest.param(
            {"model": "other", "stream": False, "n": 1}, {}, {}, id="what the job decides is dropped"
        ),
        pytest.param({"stream_options": {}, "stream": None}, {}, {}, id="stream options too"),
        pytest.param(
            {"temperature": 1, "seed": 7}, {"temperature": 0}, {"seed": 7, "temperature": 0}, id="job wins"
        ),
        pytest.param({"top_p": None}, {}, {}, id="null is not there"),
        pytest.param({"max_tokens": 9}, {}, {"max_tokens": 9}, id="own cap"),
        pytest.param(
            {"max_completion_tokens": 9},
            {"max_tokens": 5},
            {"max_tokens": 5},
            id="one cap, by whichever name",
        ),
        pytest.param({"seed": 2**70}, {}, {"seed": 2**70}, id="wide integers"),
    ],
)
@pytest.mark.parametrize("as_text", [False, True])
def test_a_body_brings_its_parameters(
    own: dict[str, Any], params: dict[str, Any], expected: dict[str, Any], as_text: bool
) -> None:
    whole = {**own, "messages": MESSAGES}
    rendered = body(json.dumps(whole) if as_text else whole, **params)

    assert sent(rendered) == {"model": "m", "messages": MESSAGES, **expected}
    assert isinstance(rendered, Request)
    assert rendered.max_output_tokens == expected.get("max_tokens")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"messages": MESSAGES, "stream": True}, "override_denied"),
        ({"messages": MESSAGES, "n": 2}, "override_denied"),
        ({"messages": MESSAGES, "max_tokens": 0}, "override_range"),
        ({"messages": MESSAGES, "max_tokens": "9"}, "override_range"),
        ({}, "messages_invalid"),
        ([], "messages_invalid"),
        ("{", "messages_invalid"),
        (None, "field_null"),
    ],
)
def test_a_body_that_may_not_be_sent_is_the_fault_of_its_record(value: Any, expected: str) -> None:
    assert word(body(value)) == expected


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        pytest.param(
            [{"role": "user", "content": "1"}, {"role": "user", "content": "2"}], "2", id="the last"
        ),
        pytest.param(CHAT, "p\nq", id="parts"),
        pytest.param([{"role": "system", "content": "s"}], None, id="nobody asks"),
        pytest.param([{"role": "user", "content": [{"type": "image_url"}]}], None, id="no text"),
        pytest.param([{"role": "bot", "content": "a"}], None, id="wrong messages"),
        pytest.param("no JSON", None, id="no messages"),
    ],
)
def test_the_last_user_message_is_what_classification_reads(messages: Any, text: str | None) -> None:
    assert Conversation("chat", b"", None).text({"chat": messages}) == text
    assert Body("b", {}).text({"b": {"messages": messages}}) == text


def test_half_of_a_character_in_json_text_is_the_fault_of_its_record() -> None:
    half = '[{"role": "user", "content": "\ud800"}]'
    assert word(conversation(half)) == "text_surrogate"
    assert Conversation("chat", b"", None).text({"chat": half}) is None
