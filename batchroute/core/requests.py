"""A rendered request, ready for any model of its route."""

from enum import StrEnum
from functools import lru_cache
from typing import Final

from msgspec import Struct, json, structs

CAPS: Final = ("max_completion_tokens", "max_tokens", "max_output_tokens")
"""The parameters that limit the output: platform.openai.com, API reference, Chat (2026-08) and Responses (2026-11)."""

TOKENS_PER_IMAGE: Final = 1000
"""About what an image takes, whatever the size of its file."""


class Endpoint(StrEnum):
    """What is asked of a provider, and in which form."""

    CHAT = "chat"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"


class Request(Struct, frozen=True, gc=False):
    """What is sent to a model, save the model's name.

    `messages` is a JSON array and `params` the JSON members that follow it (`,"max_tokens":256`, or
    nothing): both are encoded once a record, however many models are tried. A request for vectors has texts in
    place of messages.
    """

    messages: bytes
    params: bytes = b""
    max_output_tokens: int | None = None
    own_params: bool = False
    """Whether the parameters are this record's, not those of the job."""
    endpoint: Endpoint = Endpoint.CHAT
    images: int = 0
    """How many images the job put into the messages, and how many bytes of them those take."""
    image_bytes: int = 0

    def body(self, model: str) -> bytes:
        """The JSON body of `POST /chat/completions` for the model of this name."""
        return b"%b%b%b}" % (opening(model), self.messages, self.params)

    def service_tier(self) -> str | None:
        """The service tier that the parameters ask for."""
        return _service_tier(self.params)

    def with_room(self, tokens: int) -> "Request":
        """The same request with an output of so many tokens allowed. Without a cap it stays as it is."""
        params = json.decode(b"{%b}" % self.params[1:])
        capped = {name: tokens for name in CAPS if name in params}
        return structs.replace(self, params=members({**params, **capped}), max_output_tokens=tokens)

    def estimated_tokens(self) -> int:
        """About how many tokens it takes, input and output: four bytes a token, for pacing only."""
        room = 256 if self.max_output_tokens is None else self.max_output_tokens
        if self.images:
            return (len(self.messages) - self.image_bytes) // 4 + TOKENS_PER_IMAGE * self.images + room
        return len(self.messages) // 4 + room


@lru_cache(maxsize=256)
def _service_tier(params: bytes) -> str | None:
    tier = json.decode(b"{%b}" % params[1:]).get("service_tier")
    return tier if isinstance(tier, str) else None


def opening(model: str) -> bytes:
    """How the body for the model of this name begins, up to the messages."""
    return b'{"model":%b,"messages":' % json.encode(model)


def members(params: dict[str, object]) -> bytes:
    """Encode parameters as the JSON members that `Request.params` holds."""
    return b"," + json.encode(params)[1:-1] if params else b""
