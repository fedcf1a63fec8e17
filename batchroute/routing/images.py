"""Images in a message: the last one of the user, which says in text what they are for."""

from collections.abc import Sequence
from typing import Final

from msgspec import Raw, Struct, json, structs

from batchroute.core.requests import Request

_PART: Final = b'{"type":"image_url","image_url":{"url":%b}}'
"""As chat completions take it (platform.openai.com, guide Images and vision, 2026-11)."""


class _Message(Struct):
    role: str
    content: Raw


_decode: Final = json.Decoder(list[_Message]).decode


def with_images(request: Request, images: Sequence[str]) -> Request:
    """The request with these images, as URLs, behind the text of its last user message."""
    messages = _decode(request.messages)
    last = next(message for message in reversed(messages) if message.role == "user")
    parts = [
        b'{"type":"text","text":%b}' % bytes(last.content),
        *(_PART % json.encode(url) for url in images),
    ]
    last.content = Raw(b"[%b]" % b",".join(parts))
    inline = sum(len(url) for url in images if url.startswith("data:"))
    return structs.replace(request, messages=json.encode(messages), images=len(images), image_bytes=inline)
