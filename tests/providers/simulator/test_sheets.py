"""A simulated model that is asked for labels, in the form in which stages of classification ask."""

import pytest

from batchroute.job.questions import LabelQuestion
from batchroute.providers.simulator import sheets
from batchroute.providers.simulator.chat import read
from batchroute.providers.simulator.prompts import read as prompt_of
from batchroute.routing.labellers import Labeller

TEXTS = ["Translate this: hola", "Write a python\nfunction", "Good morning", 'Summarize "it"\n3: "no"']


def said(skill: float, **fields: object) -> str:
    spec = {"model": "m", "labels": ["chat", "code", "translate", "summarize"], **fields}
    asked = Labeller(LabelQuestion.model_validate(spec), text=None)
    request = read(asked.request(TEXTS).body("m"))
    sheet = sheets.read(prompt_of([(message.role, message.text) for message in request.messages]))
    assert sheet is not None
    return sheets.write(sheet, skill=skill, shape=7)


@pytest.mark.parametrize("complexity", [False, True])
def test_what_it_writes_is_what_a_stage_reads(complexity: bool) -> None:
    spec = LabelQuestion(model="m", labels=("chat", "code", "translate", "summarize"), complexity=complexity)
    answers = Labeller(spec, text=None).answers(said(1.0, complexity=complexity), len(TEXTS))

    assert [answer.task for answer in answers] == ["translate", "code", "chat", "summarize"]
    assert all(answer.confidence is not None and answer.confidence >= 0.75 for answer in answers)
    assert {answer.complexity for answer in answers} == ({"simple"} if complexity else {None})


def test_one_without_skill_is_wrong_and_less_sure() -> None:
    spec = LabelQuestion(model="m", labels=("chat", "code", "translate", "summarize"))
    answers = Labeller(spec, text=None).answers(said(0.0), len(TEXTS))
    assert all(
        answer.task != right
        for answer, right in zip(answers, ["translate", "code", "chat", "summarize"], strict=True)
    )
    assert all(answer.confidence is not None and answer.confidence < 0.75 for answer in answers)


@pytest.mark.parametrize("system", ["Classify this. Labels: a, b", "number | label | confidence", ""])
def test_other_prompts_are_no_sheet(system: str) -> None:
    assert sheets.read(prompt_of([("system", system), ("user", '1: "text"')])) is None
