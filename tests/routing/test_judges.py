"""What a judge is asked, and what its reply is taken for."""

import msgspec
import pytest

from batchroute.core.requests import Request
from batchroute.job.checks import Judge
from batchroute.routing.judges import OUTPUT_TOKENS, asked, below, score

OF_ONE = Judge(model="j", rubric="Be short.", threshold=0.7)
OF_TEN = Judge(model="j", rubric="Be short.", threshold=7)


@pytest.mark.parametrize(
    ("judge", "reply", "expected"),
    [
        (OF_ONE, "0.8", 0.8),
        (OF_ONE, " 1\n", 1.0),
        (OF_ONE, "0", 0.0),
        (OF_ONE, "0,75", 0.75),
        (OF_ONE, "8/10", 0.8),
        (OF_ONE, "80%", 0.8),
        (OF_ONE, "Score: 0.4", 0.4),
        (OF_ONE, '{"score": 0.9}', 0.9),
        (OF_ONE, "It has 3 steps. Score: 0.6", 0.6),
        (OF_TEN, "7", 7.0),
        (OF_TEN, "10", 10.0),
        (OF_TEN, "7.5/10", 7.5),
        pytest.param(OF_ONE, "8", None, id="beyond the scale"),
        pytest.param(OF_TEN, "0", None, id="below the scale"),
        pytest.param(OF_ONE, "-0.5", None, id="negative"),
        pytest.param(OF_ONE, "Between 0.4 and 0.6", None, id="two numbers"),
        pytest.param(OF_ONE, "Good.", None, id="no number"),
        pytest.param(OF_ONE, "gpt4 says yes", None, id="a number in a word"),
        pytest.param(OF_ONE, "3/0", None, id="of nothing"),
    ],
)
def test_score_is_read_or_is_none(judge: Judge, reply: str, expected: float | None) -> None:
    assert score(judge, reply) == expected


def test_judge_is_told_the_rubric_the_scale_the_question_and_the_answer() -> None:
    messages = [{"role": "user", "content": [{"type": "text", "text": "Why?"}, {"type": "image_url"}]}]
    request = asked(OF_TEN, Request(messages=msgspec.json.encode(messages)), "Because.")
    system, user = (message["content"] for message in msgspec.json.decode(request.messages))

    assert "Be short." in system
    assert "from 1 to 10" in system
    assert "Why?\n[image_url]" in user
    assert "Because." in user
    assert request.max_output_tokens == OUTPUT_TOKENS


def test_answer_is_good_enough_from_the_threshold_on() -> None:
    assert below(OF_ONE, 0.7) is None
    found = below(OF_ONE, 0.65)
    assert found is not None
    assert found.reason == "scores 0.65 with j, and 0.7 is needed"
