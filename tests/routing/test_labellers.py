"""What a classifying model is asked, and what its answer says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.job.questions import LabelQuestion
from batchroute.routing.labellers import Labeller, packed, unpacked
from batchroute.routing.opinions import UNDECIDED, Answer


def labeller(**fields: object) -> Labeller:
    spec = LabelQuestion.model_validate({"model": "m", "labels": ["code", "Small Talk"], **fields})
    return Labeller(spec, text=None, known_as="m")


@pytest.mark.parametrize(
    ("content", "answers"),
    [
        ("1 | code | 0.9\n2 | small talk | 0.25", [Answer(task="code", confidence=0.9), Answer(task="Small Talk", confidence=0.25)]),
        ("2 | code\n1 | CODE | 1", [Answer(task="code", confidence=1.0), Answer(task="code")]),
        ("Here you are:\n\n1. `code` | 90%\n2) **code** | 85", [Answer(task="code", confidence=0.9), Answer(task="code", confidence=0.85)]),
        ("- 1: code | .5\n1 | small talk | 0.9", [Answer(task="code", confidence=0.5), UNDECIDED]),
        ("1 | none | 0.9\n2 | poem | 0.9", [UNDECIDED, UNDECIDED]),
        ("1 | code | sure\n2 | code | 101", [Answer(task="code"), Answer(task="code")]),
        ("code", [UNDECIDED, UNDECIDED]),
        ("", [UNDECIDED, UNDECIDED]),
        ("3 | code | 0.9\n99999 | code", [UNDECIDED, UNDECIDED]),
    ],
)  # fmt: skip
def test_lines_are_read_as_models_write_them(content: str, answers: list[Answer]) -> None:
    assert labeller().answers(content, 2) == answers


def test_a_single_answer_needs_no_number() -> None:
    assert labeller().answers("code | 0.9", 1) == [Answer(task="code", confidence=0.9)]


def test_a_mark_of_a_label_is_no_decoration() -> None:
    graded = labeller(labels=["A", "A*", "C++", "etc."])
    said = ["1 | A* | 0.9", "1 | **A** | 0.9", '1 | "A*"', "1 | C++", "1 | etc", "1 | [etc.]"]
    tasks = [graded.answers(line, 1)[0].task for line in said]
    assert tasks == ["A*", None, "A*", "C++", "etc.", "etc."]


def test_complexity_is_read_where_it_was_asked_for() -> None:
    line = "1 | code | 0.9 | hard"
    assert labeller(complexity=True).answers(line, 1) == [
        Answer(task="code", confidence=0.9, complexity="hard")
    ]
    assert labeller().answers(line, 1) == [Answer(task="code", confidence=0.9)]
    assert labeller(complexity=True).answers("1 | none | 0.9 | simple", 1)[0].complexity == "simple"


@given(st.text(), st.integers(1, 5))
def test_whatever_is_answered_gives_as_many_answers_and_only_labels_that_were_offered(
    content: str, count: int
) -> None:
    answers = labeller(complexity=True).answers(content, count)
    assert len(answers) == count
    assert {answer.task for answer in answers} <= {None, "code", "Small Talk"}
    assert all(answer.confidence is None or 0 <= answer.confidence <= 1 for answer in answers)


@given(st.lists(st.text(st.characters(exclude_categories=[])), min_size=1, max_size=5))
def test_every_text_stays_on_a_line_of_its_own(texts: list[str]) -> None:
    request = labeller().request(texts)
    user = json.loads(request.messages)[1]["content"]
    assert [line.partition(": ")[0] for line in user.split("\n")] == [
        str(n) for n in range(1, len(texts) + 1)
    ]


def test_few_tokens_are_allowed_for_the_answer() -> None:
    request = labeller(batch=20).request(["text"] * 20)
    assert request.max_output_tokens == 16 + 20 * (14 + len("Small Talk"))
    assert json.loads(request.body("m"))["max_tokens"] == request.max_output_tokens


def test_a_question_is_the_same_only_where_the_same_is_asked_of_the_same_model() -> None:
    asked = [
        labeller(),
        labeller(max_chars=501),
        labeller(complexity=True),
        labeller(labels=["code"]),
        Labeller(LabelQuestion(model="m", labels=("code", "Small Talk")), text=None, known_as="other"),
    ]
    assert len({each.question("text") for each in asked}) == len(asked)
    assert labeller(batch=20).question("text") == labeller().question("text") != labeller().question("texts")


def test_an_answer_is_the_same_out_of_the_store() -> None:
    answers = {1: Answer(task="a", complexity="hard", confidence=0.5), 2: UNDECIDED}
    assert unpacked({number: packed(answer) for number, answer in answers.items()}) == answers


@pytest.mark.parametrize(("text", "shown"), [(None, None), (" \n", None), ("abcdef", "abc"), (" ab", "ab")])
def test_blank_texts_are_not_asked_about(text: str | None, shown: str | None) -> None:
    assert labeller(max_chars=3).shown(text) == shown
