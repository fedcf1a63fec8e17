"""A request in the form that one model takes."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.requests import CAPS, Endpoint, Request, members
from batchroute.job.adaptations import Adaptation
from batchroute.routing.adapters import Adapter

USER = {"role": "user", "content": "hi"}
SYSTEM = {"role": "system", "content": "be brief"}
PARTS = {"role": "user", "content": [{"type": "text", "text": "hi"}, {"type": "image_url"}]}
BOT = {"role": "assistant", "content": "yes"}


def adapter(**fields: Any) -> Adapter:
    return Adapter(Adaptation.model_validate(fields))


def request(*messages: dict[str, Any], cap: int | None = None, own: bool = False, **params: Any) -> Request:
    return Request(
        messages=msgspec.json.encode(messages or [USER]),
        params=members(params),
        max_output_tokens=cap,
        own_params=own,
    )


def sent(asked: Request) -> dict[str, Any]:
    body = msgspec.json.decode(asked.body("m"))
    return {name: value for name, value in body.items() if name not in {"model", "messages"}}


def text_part(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


NEW = {"max_tokens": "max_completion_tokens"}


@pytest.mark.parametrize(
    ("fields", "params", "expected", "cap"),
    [
        ({"rename": NEW}, {"max_tokens": 9}, {"max_completion_tokens": 9}, 9),
        ({"rename": NEW}, {"max_tokens": 9, "seed": 1}, {"max_completion_tokens": 9, "seed": 1}, 9),
        ({"rename": NEW}, {"max_tokens": 9, "max_completion_tokens": 5}, {"max_completion_tokens": 5}, 5),
        ({"rename": {"max_tokens": "limit"}}, {"max_tokens": 9}, {"limit": 9}, 9),
        ({"rename": {"a": "b", "b": "a"}}, {"a": 1, "b": 2}, {"a": 2, "b": 1}, None),
        ({"drop": ["temperature"]}, {"temperature": 0, "max_tokens": 9}, {"max_tokens": 9}, 9),
        ({"drop": ["max_tokens"]}, {"max_tokens": 9}, {}, None),
        ({"extra": {"top_k": 5}}, {}, {"top_k": 5}, None),
        ({"extra": {"top_k": 5}}, {"top_k": 6}, {"top_k": 6}, None),
        ({"extra": {"temperature": 1}, "drop": ["temperature"]}, {"temperature": 0}, {"temperature": 1}, None),
        ({"extra": {"max_tokens": 5}}, {"max_completion_tokens": 9}, {"max_completion_tokens": 9}, 9),
        ({"extra": {"max_tokens": 5}}, {}, {"max_tokens": 5}, 5),
        ({"extra": {"max_tokens": 5}, "drop": ["max_tokens"]}, {"max_tokens": 9}, {"max_tokens": 5}, 5),
        ({"extra": {"chat_template_kwargs": {"a": False}}}, {}, {"chat_template_kwargs": {"a": False}}, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("own", [False, True])
def test_parameters_as_the_model_takes_them(
    fields: dict[str, Any], params: dict[str, Any], expected: dict[str, Any], cap: int | None, own: bool
) -> None:
    before = next((params[name] for name in CAPS if name in params), None)
    adapt = adapter(**fields)
    for _ in range(2):  # the second time from what is kept
        adapted = adapt.adapt(request(cap=before, own=own, **params))
        assert sent(adapted) == expected
        assert adapted.max_output_tokens == cap
        assert adapted.own_params is own
        assert adapted.messages == request().messages


def test_more_room_is_asked_for_under_the_new_name() -> None:
    """What is cut off is asked for again with more room: kept parameters must not give the old limit."""
    adapt = adapter(rename=NEW)
    asked = request(cap=9, max_tokens=9)
    assert sent(adapt.adapt(asked)) == {"max_completion_tokens": 9}
    larger = adapt.adapt(asked.with_room(18))
    assert (sent(larger), larger.max_output_tokens) == ({"max_completion_tokens": 18}, 18)


ROLELESS = {"system_role": False}


@pytest.mark.parametrize(
    ("fields", "messages", "expected"),
    [
        ({"prefix": ">"}, [USER], [{"role": "user", "content": ">hi"}]),
        ({"suffix": " /no_think"}, [SYSTEM, USER], [SYSTEM, {"role": "user", "content": "hi /no_think"}]),
        ({"prefix": ">", "suffix": "<"}, [USER, BOT, USER], [USER, BOT, {"role": "user", "content": ">hi<"}]),
        ({"suffix": "<"}, [SYSTEM, BOT], [SYSTEM, BOT]),
        (
            {"prefix": ">", "suffix": "<"},
            [PARTS],
            [{"role": "user", "content": [text_part(">"), *PARTS["content"], text_part("<")]}],
        ),
        (ROLELESS, [SYSTEM, USER], [{"role": "user", "content": "be brief\n\nhi"}]),
        (
            ROLELESS,
            [SYSTEM, USER, BOT, {"role": "developer", "content": [text_part("now")]}, USER],
            [{"role": "user", "content": "be brief\n\nnow\n\nhi"}, BOT, USER],
        ),
        (ROLELESS, [SYSTEM, PARTS], [{"role": "user", "content": [text_part("be brief\n\n"), *PARTS["content"]]}]),
        (ROLELESS, [SYSTEM], [{"role": "user", "content": "be brief"}]),
        (ROLELESS, [{"role": "system", "content": ""}, USER], [USER]),
        (ROLELESS, [USER, BOT], [USER, BOT]),
        ({**ROLELESS, "prefix": ">"}, [SYSTEM, USER], [{"role": "user", "content": "be brief\n\n>hi"}]),
    ],
)  # fmt: skip
def test_words_where_the_model_wants_them(
    fields: dict[str, Any], messages: list[dict[str, Any]], expected: list[dict[str, Any]]
) -> None:
    adapted = adapter(**fields).adapt(request(*messages, cap=3, max_tokens=3))
    assert msgspec.json.decode(adapted.messages) == expected
    assert (sent(adapted), adapted.max_output_tokens) == ({"max_tokens": 3}, 3)


@pytest.mark.parametrize("fields", [{}, {"rename": {}, "drop": [], "extra": {}}, {"system_role": True}])
def test_a_model_without_differences_has_no_adapter(fields: dict[str, Any]) -> None:
    assert Adapter.of(Adaptation.model_validate(fields)) is None
    assert Adapter.of(None) is None


def test_a_request_that_suits_the_model_is_sent_as_it_is() -> None:
    asked = request(cap=9, max_completion_tokens=9)
    assert adapter(rename=NEW, drop=["temperature"]).adapt(asked) is asked


@given(
    st.dictionaries(st.sampled_from(["a", "b", "max_tokens", "max_completion_tokens"]), st.integers(1, 99)),
    st.lists(st.sampled_from(["a", "b", "max_tokens"]), unique=True),
    st.dictionaries(st.sampled_from(["b", "c"]), st.integers(1, 99)),
)
def test_an_adapted_request_has_what_was_left_and_what_was_added(
    params: dict[str, int], drop: list[str], extra: dict[str, int]
) -> None:
    asked = Request(messages=request().messages, params=members(dict(params)))
    after = sent(adapter(drop=drop, extra=extra).adapt(asked))
    kept = {name: value for name, value in params.items() if name not in drop}
    assert after == {**extra, **kept}


def test_texts_for_vectors_get_the_words_around_them_too() -> None:
    asked = Request(messages=b'["a","b"]', max_output_tokens=0, endpoint=Endpoint.EMBEDDINGS)
    adapter = Adapter.of(Adaptation(prefix="passage: ", suffix=" ."))
    assert adapter is not None

    sent = adapter.adapt(asked)

    assert sent.messages == b'["passage: a .","passage: b ."]'
    assert (sent.max_output_tokens, sent.endpoint) == (0, Endpoint.EMBEDDINGS)
    only_params = Adapter.of(Adaptation(extra={"user": "me"}))
    assert only_params is not None
    assert only_params.adapt(asked).messages is asked.messages
