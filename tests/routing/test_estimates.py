"""Estimates of one model, corrected by what it told."""

from random import Random

import pytest

from batchroute.core.requests import TOKENS_PER_IMAGE, Request
from batchroute.routing.estimates import Estimator, sent_tokens


def request(words: int) -> Request:
    return Request(messages=b'[{"role":"user","content":"%b"}]' % (b"word " * words), max_output_tokens=16)


@pytest.mark.parametrize("truth", [0.5, 0.8, 1.0, 1.6, 3.0])
def test_after_200_answers_totals_are_within_five_percent(truth: float) -> None:
    """Whatever another vocabulary makes of a text, if it does so alike: here with a fifth more or less at random."""
    random, estimator = Random(7), Estimator()

    def told(asked: Request) -> int:
        return round(truth * random.uniform(0.8, 1.2) * sent_tokens(asked))

    for _ in range(200):
        asked = request(random.randrange(1, 400))
        estimator.learn(asked, told(asked))

    later = [request(random.randrange(1, 400)) for _ in range(1_000)]
    estimated, counted = sum(map(estimator.input_tokens, later)), sum(map(told, later))
    assert estimated == pytest.approx(counted, rel=0.05)


def test_the_tokens_of_vectors_are_those_of_their_text() -> None:
    """Their limit per minute was taken up by answers that there are not."""
    asked = Request(messages=b'["some words"]', max_output_tokens=0)

    assert Estimator().all_tokens(asked) == sent_tokens(asked)


def test_a_model_that_begins_to_count_otherwise_is_followed() -> None:
    estimator, asked = Estimator(), request(100)
    for _ in range(1_000):
        estimator.learn(asked, sent_tokens(asked))
    for _ in range(1_000):
        estimator.learn(asked, 2 * sent_tokens(asked))

    assert estimator.ratio == pytest.approx(2, rel=0.02)


def test_before_the_first_answer_an_estimate_stands_as_it_is() -> None:
    assert Estimator().all_tokens(request(100)) == sent_tokens(request(100)) + 16


def test_an_image_counts_by_itself_whatever_its_file_has() -> None:
    def shown(size: int) -> Request:
        image = b'{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}' % (b"A" * size)
        return Request(messages=b'[{"role":"user","content":[%b]}]' % image)

    assert sent_tokens(shown(10)) == sent_tokens(shown(1_000_000)) > TOKENS_PER_IMAGE
