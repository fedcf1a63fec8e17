import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.requests import Request, members

MESSAGES = b'[{"role":"user","content":"Guten Tag"}]'


def test_body_is_the_chat_completions_request_of_that_model() -> None:
    request = Request(messages=MESSAGES, params=members({"max_tokens": 64, "temperature": 0}))

    assert json.loads(request.body("mini")) == {
        "model": "mini",
        "messages": [{"role": "user", "content": "Guten Tag"}],
        "max_tokens": 64,
        "temperature": 0,
    }


def test_body_without_params_has_model_and_messages_only() -> None:
    assert Request(messages=MESSAGES).body("mini") == b'{"model":"mini","messages":%b}' % MESSAGES


def test_one_request_serves_every_model_of_a_route() -> None:
    request = Request(messages=MESSAGES, params=b',"seed":1')

    bodies = [json.loads(request.body(model)) for model in ("mini", "large")]

    assert [body.pop("model") for body in bodies] == ["mini", "large"]
    assert bodies[0] == bodies[1]


@pytest.mark.parametrize("model", ['quo"te', "back\\slash", "ünï", "new\nline", "}{", ""])
def test_any_model_name_is_encoded(model: str) -> None:
    assert json.loads(Request(messages=MESSAGES).body(model))["model"] == model


texts = st.text(alphabet='ab"\\\n{}é漢😀', max_size=5)
json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=10,
)


@given(st.dictionaries(texts, json_values))
def test_params_survive_as_members(params: dict[str, Any]) -> None:
    body = json.loads(Request(messages=MESSAGES, params=members(params)).body("mini"))

    assert {key: body[key] for key in params} == params
    assert len(body) == len(params) + 2


def test_no_params_are_no_members() -> None:
    assert members({}) == b""


@pytest.mark.parametrize(
    ("messages", "limit", "tokens"),
    [
        pytest.param(b"[" + b"x" * 398 + b"]", 64, 164, id="four bytes a token and the output limit"),
        pytest.param(b"[]", None, 256, id="no limit: 256 of output"),
        pytest.param(b"[" + b"x" * 3999, None, 1256, id="both"),
    ],
)
def test_estimate_counts_input_and_output(messages: bytes, limit: int | None, tokens: int) -> None:
    assert Request(messages=messages, max_output_tokens=limit).estimated_tokens() == tokens


def test_more_room_replaces_every_cap_and_nothing_else() -> None:
    params: dict[str, object] = {"temperature": 0.5, "max_tokens": 64, "max_completion_tokens": 64}
    request = Request(messages=MESSAGES, params=members(params), max_output_tokens=64)

    larger = request.with_room(128)

    assert larger.max_output_tokens == 128
    assert json.loads(larger.body("mini")) == {
        **json.loads(request.body("mini")),
        "max_tokens": 128,
        "max_completion_tokens": 128,
    }
