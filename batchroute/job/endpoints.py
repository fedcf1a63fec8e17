"""What a job asks of its providers: an answer by one of two APIs, or vectors; and what does not go with it."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, Literal, TypeAlias

from pydantic import Field

from batchroute.job.documents import Node
from batchroute.job.problems import KeyPath, Problem
from batchroute.job.spec import Positive, Spec

EndpointName: TypeAlias = Literal["chat", "responses", "embeddings"]

VECTOR: Final = "vector"
"""The column of results that holds the vectors."""

MOST_TEXTS: Final = 2048
"""Texts in one request for vectors (platform.openai.com, API reference, Embeddings, 2026-11)."""

_CODE: Final = "job_endpoint"
_OTHER_PROMPTS: Final = ("system", "messages", "column", "body", "images")
_OURS: Final = ("input", "dimensions", "encoding_format")
_OF_ANSWERS: Final = ("response", "checks", "keep_best", "last_resort")
_CAPS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")


class Embeddings(Spec):
    """How vectors are asked for; only with endpoint: embeddings."""

    batch: Annotated[Positive, Field(le=MOST_TEXTS)] = Field(
        default=64, description="The most records that share one request, 1 to 2048."
    )
    dimensions: Positive | None = Field(
        default=None, description="How long the vectors shall be. Default: as long as the model makes them."
    )
    encoding: Literal["base64", "float"] = Field(
        default="base64",
        description="How vectors travel: base64, a quarter of the bytes, or float for servers that want it asked.",
    )

    def params(self) -> dict[str, Any]:
        """The members of a request that say so."""
        asked: dict[str, Any] = {"encoding_format": self.encoding}
        return asked if self.dimensions is None else {**asked, "dimensions": self.dimensions}


def misfits(root: Node) -> Iterator[Problem]:
    """What cannot be asked of the endpoint that the job names."""
    node = root.child("endpoint")
    endpoint = (node.text() if node else None) or "chat"
    settings = root.child("embeddings")
    if settings is not None and settings.value is not None and endpoint != "embeddings":
        yield _problem(
            settings,
            ("embeddings",),
            f"is never looked at: the endpoint is {endpoint}",
            "Write endpoint: embeddings, or remove it",
        )
    if endpoint == "responses" and (body := root.find("prompt", "body")) and body.value is not None:
        yield _problem(
            body,
            ("prompt", "body"),
            "names bodies of chat completions, and the endpoint is responses",
            "Name a column of messages in prompt.column, or write endpoint: chat",
        )
    if endpoint == "embeddings":
        yield from _beside_texts(root)


def _beside_texts(root: Node) -> Iterator[Problem]:
    """A request for vectors is one text: there is nobody to talk to, and no answer to be limited."""
    for name in _OTHER_PROMPTS:
        if (node := root.find("prompt", name)) and node.value is not None:
            yield _problem(
                node,
                ("prompt", name),
                "is no part of a request for vectors",
                "Remove it, and write the text as prompt.user",
            )
    for name in (*_OURS, *_CAPS):
        if node := root.find("prompt", "params", name):
            remedy = f"Write embeddings.{name}" if name == "dimensions" else "Remove it"
            yield _problem(node, ("prompt", "params", name), "cannot be set for vectors here", remedy)
    models = root.child("models")
    for name, model in (models.entries() if models else {}).items():
        hedge = model.child("hedge")
        if hedge is not None and hedge.value is True:
            yield _problem(
                hedge,
                ("models", name, "hedge"),
                "goes with no request that records share",
                "Remove it, or write endpoint: chat",
            )
    yield from _beside_answers(root)
    kept = root.find("output", "keep")
    for index, column in enumerate(kept.elements() if kept else ()):
        if column.text() == VECTOR:
            yield _problem(
                column, ("output", "keep", index), "is the column of the vectors", "Rename it in the input"
            )


def _beside_answers(root: Node) -> Iterator[Problem]:
    """What looks at an answer, and models that are asked for one."""
    routes, stages = root.child("routes"), root.child("classify")
    places: list[tuple[KeyPath, Node | None]] = [(("response",), root.child("response"))]
    for name, route in (routes.entries() if routes else {}).items():
        places += [(("routes", name, key), route.child(key)) for key in _OF_ANSWERS]
    for index, stage in enumerate(stages.elements() if stages else ()):
        places.append((("classify", index, "llm"), stage.child("llm")))
    for path, node in places:
        if node is not None and node.value is not None:
            yield _problem(
                node, path, "needs answers, and vectors are asked for", "Remove it, or write endpoint: chat"
            )


def _problem(node: Node, path: KeyPath, reason: str, remedy: str) -> Problem:
    return Problem(mark=node.mark, path=path, reason=reason, remedy=remedy, code=_CODE)
