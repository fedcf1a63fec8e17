"""Endpoints and images: what a job file may say of them, and what does not fit together."""

from pathlib import Path

import pytest

from tests.job.files import loaded, refused, text

VECTORS = "endpoint: embeddings\n"
SEEING = "models: {mini: {provider: here, vision: true}}\n"


def test_a_job_asks_for_chat_completions_unless_it_says_otherwise(tmp_path: Path) -> None:
    job = loaded(tmp_path)

    assert (job.endpoint, job.vectors) == ("chat", None)
    assert loaded(tmp_path, "endpoint: responses\n").vectors is None


def test_vectors_are_asked_for_64_at_a_time(tmp_path: Path) -> None:
    job = loaded(tmp_path, VECTORS)
    assert job.vectors is not None
    assert (job.vectors.batch, job.vectors.params()) == (64, {"encoding_format": "base64"})

    told = loaded(
        tmp_path, f"{VECTORS}embeddings: {{batch: 2048, dimensions: 256, encoding: float}}\n"
    ).vectors
    assert told is not None
    assert (told.batch, told.params()) == (2048, {"encoding_format": "float", "dimensions": 256})


def test_images_are_a_column_or_several(tmp_path: Path) -> None:
    def images(written: str) -> tuple[str, ...]:
        return loaded(
            tmp_path, f'{SEEING}prompt: {{user: "{{{{ text }}}}", images: {written}}}\n'
        ).prompt.images

    assert images("photo") == ("photo",)
    assert images("[front, back]") == ("front", "back")


def test_what_is_asked_for_is_part_of_the_fingerprint_and_the_size_of_a_bundle_is_not(tmp_path: Path) -> None:
    jobs = [
        loaded(tmp_path, first)
        for first in (
            "",
            "endpoint: responses\n",
            VECTORS,
            f"{VECTORS}embeddings: {{dimensions: 3}}\n",
            f"{VECTORS}embeddings: {{batch: 3}}\n",
            SEEING,
            f'{SEEING}prompt: {{user: "{{{{ text }}}}", images: photo}}\n',
            f'{SEEING}prompt: {{user: "{{{{ text }}}}", images: photo, max_image_mb: 3}}\n',
        )
    ]
    chat, responses, vectors, shorter, bundled, plain, pictured, smaller = (job.fingerprint() for job in jobs)

    assert len({chat, responses, vectors, shorter, plain, pictured}) == 6
    assert (bundled, smaller) == (vectors, pictured)


def prompt(members: str) -> str:
    return f'prompt: {{user: "{{{{ text }}}}", {members}}}\n'


REFUSED = [
    pytest.param(
        "embeddings: {batch: 8}\n",
        "1:13: embeddings: is never looked at: the endpoint is chat. Write endpoint: embeddings, or remove it.",
        id="embeddings-for-chat",
    ),
    pytest.param(
        f"{VECTORS}{prompt('system: x')}",
        "2:38: prompt.system: is no part of a request for vectors. Remove it, and write the text as prompt.user.",
        id="system-for-vectors",
    ),
    pytest.param(
        f"{VECTORS}prompt: {{column: chat}}\n",
        "2:18: prompt.column: is no part of a request for vectors. Remove it, and write the text as prompt.user.",
        id="column-for-vectors",
    ),
    pytest.param(
        f"{VECTORS}{prompt('params: {dimensions: 3}')}",
        "2:51: prompt.params.dimensions: cannot be set for vectors here. Write embeddings.dimensions.",
        id="dimensions-as-a-parameter",
    ),
    pytest.param(
        f"{VECTORS}{prompt('params: {max_tokens: 3}')}",
        "2:51: prompt.params.max_tokens: cannot be set for vectors here. Remove it.",
        id="a-limit-of-the-answer",
    ),
    pytest.param(
        f"{VECTORS}models: {{mini: {{provider: here, hedge: true}}}}\n",
        "2:40: models.mini.hedge: goes with no request that records share. Remove it, or write endpoint: chat.",
        id="hedge",
    ),
    pytest.param(
        f"{VECTORS}output: {{path: out, keep: [vector]}}\n",
        "2:28: output.keep[0]: is the column of the vectors. Rename it in the input.",
        id="a-kept-vector",
    ),
    pytest.param(
        f"{VECTORS}response: {{labels: [a, b]}}\n",
        "2:11: response: needs answers, and vectors are asked for. Remove it, or write endpoint: chat.",
        id="a-form-of-vectors",
    ),
    pytest.param(
        f"{VECTORS}routes: {{default: {{models: [mini], checks: [{{min_chars: 3}}]}}}}\n",
        "2:44: routes.default.checks: needs answers, and vectors are asked for. "
        "Remove it, or write endpoint: chat.",
        id="checks-of-vectors",
    ),
    pytest.param(
        f"{VECTORS}classify: [{{llm: {{model: mini, labels: [a, b]}}}}]\n",
        "2:18: classify[0].llm: needs answers, and vectors are asked for. Remove it, or write endpoint: chat.",
        id="labels-beside-vectors",
    ),
    pytest.param(
        "endpoint: responses\nprompt: {body: chat}\n",
        "2:16: prompt.body: names bodies of chat completions, and the endpoint is responses. "
        "Name a column of messages in prompt.column, or write endpoint: chat.",
        id="body-for-responses",
    ),
    pytest.param(
        f"{SEEING}prompt: {{column: chat, images: photo}}\n",
        "2:32: prompt.images: does not go with prompt.column. "
        "Put the images into those messages, or write the text as prompt.user.",
        id="images-beside-messages",
    ),
    pytest.param(
        f"{SEEING}prompt: {{messages: [{{role: system, content: x}}], images: photo}}\n",
        "2:58: prompt.images: has no user message to stand in. Add one with role: user.",
        id="no-user-message",
    ),
    pytest.param(
        f"{prompt('images: photo')}routes: {{default: {{models: [mini]}}}}\n",
        "2:28: routes.default.models: has no model that takes images. Declare models.mini.vision: true, if it does.",
        id="no-model-that-sees",
    ),
    pytest.param(
        prompt("max_image_mb: 3"),
        "1:44: prompt.max_image_mb: is never looked at: there are no images. "
        "Name the columns in prompt.images, or remove it.",
        id="no-images",
    ),
]


@pytest.mark.parametrize(("first", "said"), REFUSED)
def test_what_does_not_fit_is_refused_with_its_place_and_remedy(
    tmp_path: Path, first: str, said: str
) -> None:
    lines = refused(tmp_path, text(first))

    assert [line.split("job.yaml:", 1)[-1] for line in lines if "job.yaml:" in line] == [said]


def test_a_model_that_sees_may_stand_in_a_group(tmp_path: Path) -> None:
    models = "models: {east: {provider: here, vision: true}, west: {provider: here}}\n"
    routes = "routes: {default: {models: [[west, east]]}}\n"

    assert loaded(tmp_path, f"{models}{routes}{prompt('images: photo')}").prompt.images == ("photo",)
