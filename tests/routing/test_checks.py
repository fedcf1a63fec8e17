# ruff: noqa: RUF001 - full-width punctuation is what Chinese and Japanese are written with
"""What each check refuses, and what it takes."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from msgspec import structs

from batchroute.core.responses import ErrorType, Response
from batchroute.job.checks import Check
from batchroute.routing.checks import Checks, refused
from batchroute.routing.verdicts import POLICIES
from tests.fakes import answer

SCHEMA = {
    "type": "object",
    "properties": {"name": {"type": "string", "pattern": "^[A-Z]"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name"],
}


def checks(*declared: dict[str, Any], **functions: Callable[[str], object]) -> Checks:
    return Checks([Check.model_validate(each) for each in declared], functions)


def reasons(check: dict[str, Any], response: Response | str) -> list[str]:
    """Why one check refuses an answer: nothing where it does not."""
    given = answer(response) if isinstance(response, str) else response
    return [each.reason for each in checks(check).refusals(given)]


TAKEN = [
    pytest.param({"min_chars": 4}, "four", id="as long as it must be"),
    pytest.param({"contains": "answer: \\d+"}, "The ANSWER: 42.", id="whatever the case"),
    pytest.param({"contains": "a|b"}, "B", id="the case is no matter in any alternative"),
    pytest.param({"lacks": "(?-i)WARN"}, "warn", id="unless the pattern says so"),
    pytest.param(
        {"placeholders": True}, "Insert the coin [1] and see <b>todo lists</b>.", id="no placeholder"
    ),
    pytest.param({"uncertain": True}, "I am sure. It is uncertain who painted it.", id="sure of itself"),
    pytest.param(
        {"refusal": True}, "He said: I'm sorry, but I can't help with that.", id="speaks of a refusal"
    ),
    pytest.param({"complete": True}, "whole", id="complete"),
    pytest.param({"json": True}, ' {"a": [1, null]}\n', id="JSON"),
    pytest.param({"schema": SCHEMA}, '{"name": "Ann", "age": 3}', id="follows the schema"),
    pytest.param(
        {"labels": ["Very Good", "bad"]}, " very\n good ", id="case and blanks are no matter to labels"
    ),
]


@pytest.mark.parametrize(("check", "content"), TAKEN)
def test_good_answer_is_taken(check: dict[str, Any], content: str) -> None:
    assert reasons(check, content) == []


REFUSED = [
    pytest.param({"min_chars": 4}, "  two  ", "has 3 characters and not 4", id="too short"),
    pytest.param({"contains": "\\d"}, "none", "does not contain \\d", id="nothing found"),
    pytest.param({"lacks": "sorry"}, "So SORRY", "contains sorry", id="something found"),
    pytest.param({"complete": True}, structs.replace(answer("cut"), finish_reason="length"), "was cut off at its limit of tokens", id="cut off"),
    pytest.param({"json": True}, "```json\n{}\n```", "is not JSON", id="fenced"),
    pytest.param({"json": True}, "[" * 100_000, "is not JSON", id="nested without end"),
    pytest.param({"schema": SCHEMA}, "name: Ann", "is not JSON", id="no JSON for the schema"),
    pytest.param({"schema": SCHEMA}, '{"name": "Ann", "age": -1}', "does not follow the schema: /age: -1 is less than the minimum of 0", id="place in the answer"),
    pytest.param({"labels": ["good", "bad"]}, "good.", "is 'good.' and none of good, bad", id="another label"),
    pytest.param({"refusal": True}, structs.replace(answer("No."), flag="refusal"), "is a refusal to answer", id="the provider says so"),
]  # fmt: skip


@pytest.mark.parametrize(("check", "content", "reason"), REFUSED)
def test_refused_answer_is_told_why(check: dict[str, Any], content: Response | str, reason: str) -> None:
    assert reasons(check, content) == [reason]


@pytest.mark.parametrize(
    "content",
    [
        "TODO: the rest", "Lorem ipsum dolor", "Dear [insert name here],", "Dear {{ customer }},", "<your name>",
        "Liebe [Name einfügen],", "Madame, [votre nom]", "[insertar nombre]", "[inserire il nome]", "[inserir nome]",
        "[voeg naam in]", "[вставьте имя]", "您好【请填写姓名】", "[ここに名前を挿入]", "[여기에 이름]",
    ],
)  # fmt: skip
def test_placeholder_is_found_in_many_languages(content: str) -> None:
    assert reasons({"placeholders": True}, content) == ["holds a placeholder"]


@pytest.mark.parametrize(
    "content",
    [
        "I'm not entirely sure, but", "I\u2019m not sure.", "As an AI language model, I", "I don't know.",
        "Ich bin mir nicht ganz sicher.", "Je ne suis pas sûr.", "No estoy seguro.", "Non sono del tutto sicura.",
        "Não tenho certeza.", "Ik weet het niet zeker.", "Я не совсем уверен.", "我不确定。", "よくわかりません。", "잘 모르겠습니다.",
    ],
)  # fmt: skip
def test_doubt_is_found_in_many_languages(content: str) -> None:
    assert reasons({"uncertain": True}, content) == ["is unsure of itself"]


@pytest.mark.parametrize(
    "content",
    [
        "I'm sorry, but I can't help with that.", "I\u2019m sorry, I cannot assist with this request.",
        "Unfortunately, I am unable to share it.", "I cannot provide that.", "Es tut mir leid, dabei kann ich nicht helfen.",
        "Désolé, je ne peux pas vous aider.", "Lo siento, no puedo ayudar con eso.", "Mi dispiace, non posso aiutarti.",
        "Desculpe, não posso ajudar com isso.", "Het spijt me, maar ik kan je daar niet mee helpen.",
        "Извините, я не могу помочь.", "很抱歉，我无法帮助您。", "申し訳ありませんが、お手伝いできません。", "죄송하지만 도와드릴 수 없습니다.",
    ],
)  # fmt: skip
def test_refusal_is_found_in_many_languages(content: str) -> None:
    assert reasons({"refusal": True}, content) == ["is a refusal to answer"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (True, []),
        (None, []),
        (False, ["is refused by the job's function"]),
        ("is too polite", ["is too polite"]),
    ],
)
def test_function_of_the_job_decides(said: object, expected: list[str]) -> None:
    of_the_job = checks({"python": "rules:polite"}, **{"rules:polite": lambda _: said})
    assert [each.reason for each in of_the_job.refusals(answer())] == expected


@pytest.mark.parametrize(
    ("error", "told"), [(KeyError("x"), "KeyError: 'x'"), (SystemExit(3), "SystemExit: 3")]
)
def test_function_that_raises_refuses(error: BaseException, told: str) -> None:
    def fails(_: str) -> bool:
        raise error

    found = checks({"python": "rules:fails"}, **{"rules:fails": fails}).refusals(answer("x"))
    assert [each.reason for each in found] == [f"made the check raise {told}"]


class Mute(Exception):  # noqa: N818
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ValueError("half \ud800"), "made the check raise ValueError: half ?"),
        (Mute(), "made the check raise Mute: and its text cannot be had"),
    ],
)
def test_what_a_function_says_can_be_written_down(error: Exception, reason: str) -> None:
    def fails(_: str) -> bool:
        raise error

    found = checks({"python": "rules:fails"}, **{"rules:fails": fails}).refusals(answer("x"))
    assert [each.reason for each in found] == [reason]
    said = checks({"python": "rules:says"}, **{"rules:says": lambda _: "half \ud800"}).refusals(answer("x"))
    assert [each.reason for each in said] == ["half ?"]


def test_an_answer_that_cannot_be_held_against_a_schema_is_refused() -> None:
    nested = "[" * 300 + "]" * 300
    (found,) = checks({"schema": {"type": "object"}}).refusals(answer(nested))
    assert "cannot be held against the schema" in found.reason


def test_pattern_that_would_backtrack_for_ever_takes_no_time() -> None:
    evil, text = checks({"contains": "(a+)+$"}, {"lacks": "(x*)*y"}), answer("a" * 200_000 + "x" * 200_000)
    started = time.process_time()
    evil.refusals(text)
    assert time.process_time() - started < 1


def test_every_refusal_is_told_and_the_first_names_the_failure() -> None:
    response = structs.replace(answer("TODO", input_tokens=7), response_id="id", finish_reason="length")
    found = checks({"min_chars": 9}, {"lacks": "x"}, {"placeholders": True}).refusals(response)
    failure = refused(response, found)

    assert failure.error_type is ErrorType.CHECK_MIN_CHARS
    assert failure.message == "the answer has 4 characters and not 9; holds a placeholder"
    assert (failure.usage, failure.response_id, failure.sent) == (response.usage, "id", True)


def test_every_kind_of_check_has_a_word_of_its_own() -> None:
    words = {kind.value for kind, policy in POLICIES.items() if policy.checked}
    assert words == {f"check_{field.alias or name}" for name, field in Check.model_fields.items()}
