"""Vectors for texts: the same text has the same one, and texts that share words have vectors that are near.

Shapes after platform.openai.com, API reference, Embeddings (2026-11).
"""

import math
import re
from array import array
from base64 import b64encode
from hashlib import blake2b
from typing import Literal

from msgspec import Struct, ValidationError, json

DIMENSIONS = 256
MOST_DIMENSIONS = 4096
MOST_TEXTS = 2048
MOST_TOKENS = 8192
"""Of one text."""

_WORD = re.compile(r"\w+")


class EmbeddingsRequest(Struct, frozen=True):
    """What is read of a request; every other member is ignored."""

    model: str
    input: str | list[str]
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] = "float"

    @property
    def texts(self) -> list[str]:
        return [self.input] if isinstance(self.input, str) else self.input


_DECODER = json.Decoder(EmbeddingsRequest)


def read(body: bytes) -> EmbeddingsRequest:
    """Read and check a request's body. Raises ValueError with a sentence for the client."""
    try:
        asked = _DECODER.decode(body)
    except ValidationError as error:
        raise ValueError(f"Invalid request: {error}.") from None
    except (ValueError, RecursionError):
        raise ValueError("We could not parse the JSON body of your request.") from None
    if not 1 <= len(asked.texts) <= MOST_TEXTS:
        raise ValueError(f"Invalid 'input': 1 to {MOST_TEXTS} texts are supported.")
    if not all(asked.texts):
        raise ValueError("Invalid 'input': a text is empty.")
    if asked.dimensions is not None and not 1 <= asked.dimensions <= MOST_DIMENSIONS:
        raise ValueError(f"Invalid 'dimensions': 1 to {MOST_DIMENSIONS} are supported.")
    return asked


def tokens(text: str) -> int:
    """About four bytes a token, at least one."""
    return max(1, len(text.encode("utf-8", "replace")) // 4)


def vector(text: str, dimensions: int) -> "array[float]":
    """A vector of length 1: the sum of one for each word."""
    sums = [0.0] * dimensions
    for word in _WORD.findall(text.lower())[:512] or [text]:
        digest = int.from_bytes(blake2b(word.encode("utf-8", "replace"), digest_size=32).digest(), "little")
        for _ in range(8):
            digest, place = divmod(digest, dimensions)
            digest, sign = divmod(digest, 2)
            sums[place] += 1.0 if sign else -1.0
    norm = math.sqrt(sum(number * number for number in sums))
    return array("f", [number / norm for number in sums] if norm else [1.0, *sums[1:]])


def written(asked: EmbeddingsRequest, used: int) -> bytes:
    """The body of a 200, `used` tokens having been read."""
    vectors = [vector(text, asked.dimensions or DIMENSIONS) for text in asked.texts]
    encoded: list[object] = [
        b64encode(each.tobytes()).decode() if asked.encoding_format == "base64" else each.tolist()
        for each in vectors
    ]
    listed = [
        {"object": "embedding", "index": index, "embedding": each} for index, each in enumerate(encoded)
    ]
    usage = {"prompt_tokens": used, "total_tokens": used}
    return json.encode({"object": "list", "data": listed, "model": asked.model, "usage": usage})
