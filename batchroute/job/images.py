"""Images beside the text of a prompt: which columns hold them, and what does not go with it."""

from collections.abc import Iterator
from typing import Annotated, Any, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from batchroute.job.documents import Node
from batchroute.job.problems import KeyPath, Problem
from batchroute.job.spec import Text, distinct

MOST_IMAGE_MB: Final = 50
"""Of all images of a request (platform.openai.com, guide Images and vision, 2026-11)."""

_CODE: Final = "job_images"


def _columns(value: Any) -> Any:
    """One column is a list of one."""
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


ImageColumns: TypeAlias = Annotated[
    tuple[Text, ...],
    BeforeValidator(_columns),
    AfterValidator(distinct),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
]
"""The columns that hold images, in the order in which they are shown to the model."""

ImageMegabytes: TypeAlias = Annotated[float, Field(gt=0, le=MOST_IMAGE_MB)]
"""Of one image, in 10^6 bytes."""


def misfits(root: Node) -> Iterator[Problem]:
    """Images that no message could carry, or that no model of a route is declared to take."""
    prompt = root.child("prompt")
    images = prompt.child("images") if prompt else None
    if prompt is None or images is None or images.value is None:
        yield from _settings_without_images(prompt)
        return
    for name in ("column", "body"):
        if (node := prompt.child(name)) and node.value is not None:
            remedy = "Put the images into those messages, or write the text as prompt.user"
            yield _problem(images, ("prompt", "images"), f"does not go with prompt.{name}", remedy)
    if (messages := prompt.child("messages")) and not any(
        (role := message.child("role")) and role.text() == "user" for message in messages.elements()
    ):
        yield _problem(
            images, ("prompt", "images"), "has no user message to stand in", "Add one with role: user"
        )
    yield from _blind_routes(root)


def _settings_without_images(prompt: Node | None) -> Iterator[Problem]:
    for name in ("max_image_mb", "image_folder"):
        if prompt and (node := prompt.child(name)) and node.value is not None:
            remedy = "Name the columns in prompt.images, or remove it"
            yield _problem(node, ("prompt", name), "is never looked at: there are no images", remedy)


def _blind_routes(root: Node) -> Iterator[Problem]:
    models = root.child("models")
    declared = models.entries() if models else {}
    seeing = {
        name for name, model in declared.items() if (vision := model.child("vision")) and vision.value is True
    }
    routes = root.child("routes")
    for name, route in (routes.entries() if routes else {}).items():
        listed = route.child("models")
        named = [
            each for each in (listed.elements() if listed else ()) for each in (each.elements() or [each])
        ]
        known = [each.text() for each in named if each.text() in declared]
        if listed is not None and known and not seeing.intersection(str(each) for each in known):
            remedy = f"Declare models.{known[0]}.vision: true, if it does"
            yield _problem(listed, ("routes", name, "models"), "has no model that takes images", remedy)


def _problem(node: Node, path: KeyPath, reason: str, remedy: str) -> Problem:
    return Problem(mark=node.mark, path=path, reason=reason, remedy=remedy, code=_CODE)
