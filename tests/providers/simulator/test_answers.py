import ast
import json
from typing import Any

import pytest

from batchroute.core.requests import Request
from batchroute.job.checks import Check, Judge
from batchroute.providers.simulator import answers, labels, prompts, structured
from batchroute.providers.simulator.prompts import Prompt
from batchroute.routing.checks import Checks
from batchroute.routing.judges import asked, score
from tests.fakes import answer

SHAPES = range(1, 2_000, 97)


def prompt(text: str, system: str = "You are a precise assistant.") -> Prompt:
    return prompts.read([("system", system), ("user", text)])


@pytest.mark.parametrize(
    ("system", "text", "task"),
    [
        ("", "Write a Python function that sorts.", "code"),
        ("", "Translate to German: fix the bug in my code", "translate"),
        ("", "Summarize: the function of the heart", "summarize"),
        ("", "Extract all dates from this text", "extract"),
        ("", "Classify this review", "classify"),
        ("", "Solve 3 + 4 and explain each step", "reason"),
        ("", "Is this message toxic?", "moderate"),
        ("", "Write a poem about rain", "creative"),
        ("", "How are you today?", "chat"),
        ("", "", "chat"),
        ("", "Übersetze ins Englische: Hallo", "translate"),
        ("", "Résume ce texte", "summarize"),
        ("", "请翻译这句话", "translate"),
        ("", "次の文章を要約してください", "summarize"),
        ("Summarize what the user says.", "my code has a bug", "summarize"),
        ("You translate, extract and summarize.", "fix my code", "code"),
        ("Label the request.\nLabels: chat, code, extract", "fix my code", "classify"),
    ],
)
def test_the_task_is_what_the_prompt_asks_for(system: str, text: str, task: str) -> None:
    assert prompts.infer(prompt(text, system)) == task


def test_tokens_are_about_four_bytes_each_and_four_a_message() -> None:
    assert prompts.read([("user", "x" * 400)]).tokens == pytest.approx(105, abs=1)
    assert prompts.read([("user", "字" * 400)]).tokens == pytest.approx(305, abs=1)
    assert prompts.read([("user", "")] * 10).tokens >= 40


def test_messages_are_not_confused_by_where_one_ends() -> None:
    assert (
        prompts.read([("user", "ab"), ("user", "c")]).wire
        != prompts.read([("user", "a"), ("user", "bc")]).wire
    )


@pytest.mark.parametrize(
    ("system", "text", "expected"),
    [
        ("", "Labels: spam, ham\nText: hello", ("spam", "ham")),
        (
            "Answer with one label of: billing, shipping, returns. No more.",
            "x",
            ("billing", "shipping", "returns"),
        ),
        ("", "Classify as 'yes' or 'no'", ("yes", "no")),
        ("", "Choose one of [a | b | c]", ("a", "b", "c")),
        ("", "Categories:\n- new order\n- return\nText: hi", ("new order", "return")),
        ("", "Classify this as one of code, chat: fix it", ("code", "chat")),
        ("", "Classify this review", ()),
        ("", "Labels:", ()),
    ],
)
def test_labels_are_read_from_the_prompt(system: str, text: str, expected: tuple[str, ...]) -> None:
    assert labels.named(prompt(text, system)) == expected


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("Labels: positive, negative, neutral\nText: I love it", "positive"),
        ("Text: it broke, terrible. Labels: positive, negative, neutral", "negative"),
        ("Labels: positive, negative, neutral\nText: it is a chair", "neutral"),
        ("Labels: chat, code, translate\nText: please fix my python bug", "code"),
        ("Labels: chat, code, translate\nText: hello there", "chat"),
        ("Labels: billing, shipping\nText: my shipping is late", "shipping"),
    ],
)
def test_an_able_model_finds_the_label_that_the_text_speaks_of(text: str, label: str) -> None:
    asked = prompt(text)

    assert labels.right(labels.named(asked), asked) == label


ASKED = {
    "chat": "What can I do about a noisy neighbour?",
    "classify": "Classify this review: I love it.\nLabels: positive, negative, neutral",
    "code": "Write a Python function that removes duplicates.",
    "creative": "Write a haiku about autumn.",
    "extract": "Extract the facts: ann@example.org paid 12.50 on 2026-03-04 for 3 pieces.",
    "judge": "Judge this answer: I'm not entirely sure. Answer with one of: pass, fail.",
    "moderate": "Is this toxic? You idiot",
    "reason": "Solve this: what is 17 * 23?",
    "summarize": "Summarize: The harbour closed at nine. Ships waited. It reopened at ten.",
    "translate": "Translate to German: Good morning, where is the station?",
}


@pytest.mark.parametrize("task", ASKED)
def test_a_weak_answer_differs_from_the_right_one_whatever_the_wording(task: str) -> None:
    asked = prompt(ASKED[task])
    right = [answers.write(task, asked, able=True, shape=shape) for shape in SHAPES]
    weak = [answers.write(task, asked, able=False, shape=shape) for shape in SHAPES]

    assert prompts.infer(asked) == task
    assert set(right).isdisjoint(weak)
    assert all(answer.strip() for answer in right + weak)
    assert not any(answers.UNSURE in answer for answer in right)


@pytest.mark.parametrize("task", ["chat", "code", "creative", "extract", "reason"])
def test_a_weak_long_answer_is_shorter(task: str) -> None:
    asked = prompt(ASKED[task])

    for shape in SHAPES:
        right, weak = (answers.write(task, asked, able=able, shape=shape) for able in (True, False))
        assert len(weak) < len(right)


def test_right_answers_are_right() -> None:
    def write(task: str) -> str:
        return answers.write(task, prompt(ASKED[task]), able=True, shape=0)

    assert write("classify") == "positive"
    assert write("moderate") == "flag"
    assert write("judge") == "fail"
    assert write("reason").endswith("Answer: 391")
    assert write("translate") == "[German] Good morning, where is the station?"
    assert json.loads(write("extract")) == {
        "emails": ["ann@example.org"],
        "dates": ["2026-03-04"],
        "numbers": [12.5, 3],
    }
    ast.parse(write("code").split("```")[1].removeprefix("python\n"))


@pytest.mark.parametrize(
    "text", ["", " ", "\n", "...", "\ud800", "9" * 5_000, "a:" * 5_000, "e" * 100_000, "2026-13-45"]
)
@pytest.mark.parametrize("task", ASKED)
def test_no_text_is_too_odd_to_answer(task: str, text: str) -> None:
    for able in (True, False):
        assert answers.write(task, prompt(text), able=able, shape=5)


SCHEMA = {
    "type": "object",
    "properties": {
        "label": {"enum": ["positive", "negative"]},
        "count": {"type": "integer", "minimum": 5},
        "amount": {"type": ["number", "null"]},
        "tags": {"type": "array", "items": {"type": "string"}},
        "nested": {"type": "object", "properties": {"ok": {"type": "boolean"}}},
        "kind": {"const": "review"},
        "either": {"anyOf": [{"type": "null"}, {"type": "string"}]},
    },
}


def test_an_able_model_fills_the_schema() -> None:
    filled = json.loads(structured.write(SCHEMA, prompt("I love it, 12.5 of 3"), able=True, shape=0))

    assert filled.keys() == SCHEMA["properties"].keys()  # type: ignore[attr-defined]  # a plain table above
    assert filled["label"] == "positive"
    assert filled["count"] == 5
    assert filled["amount"] == 12.5
    assert isinstance(filled["tags"][0], str)
    assert isinstance(filled["nested"]["ok"], bool)
    assert filled["kind"] == "review"
    assert filled["either"] is None


def test_a_weak_model_breaks_the_schema() -> None:
    broken = [structured.write(SCHEMA, prompt("I love it"), able=False, shape=shape) for shape in SHAPES]
    fields = [len(json.loads(text)) for text in broken if text.endswith("}")]

    assert 0 < len(fields) < len(broken)  # the others break off
    assert max(fields) < len(SCHEMA["properties"])


@pytest.mark.parametrize(
    "schema",
    [
        {},
        {"type": 3},
        {"type": []},
        {"properties": []},
        {"enum": []},
        {"enum": [1]},
        {"anyOf": 1},
        {"items": 1, "type": "array"},
    ],
)
def test_an_odd_schema_is_answered_with_some_json(schema: dict[str, object]) -> None:
    json.loads(structured.write(schema, prompt("x"), able=True, shape=0))


def test_a_schema_without_end_is_answered() -> None:
    endless: dict[str, object] = {"type": "object", "properties": {}}
    endless["properties"] = {"again": endless}

    assert structured.write(endless, prompt("x"), able=True, shape=0).startswith('{"again":')


@pytest.mark.parametrize("fault", ["unsure", "placeholder", "short"])
def test_poor_answer_is_one_that_a_check_refuses(fault: str) -> None:
    written = answers.poor(fault, prompts.read([("user", "What is a harbour for?")]), 5)
    kinds: list[dict[str, Any]] = [{"uncertain": True}, {"placeholders": True}, {"min_chars": 20}]
    checks = Checks([Check.model_validate(kind) for kind in kinds])

    assert written is not None
    assert len(checks.refusals(answer(written))) == 1


@pytest.mark.parametrize(
    ("shown", "expected"), [("A harbour shelters ships.", 0.9), (f"{answers.UNSURE}.", 0.2)]
)
def test_judge_scores_what_gives_a_weak_answer_away(shown: str, expected: float) -> None:
    judge = Judge(model="j", rubric="Be plain.")
    question = Request(messages=b'[{"role":"user","content":"What is a harbour for?"}]')
    messages = json.loads(asked(judge, question, shown).messages)
    prompt = prompts.read([(message["role"], message["content"]) for message in messages])

    assert prompts.infer(prompt) == "judge"
    assert score(judge, answers.write("judge", prompt, able=True, shape=1)) == expected
