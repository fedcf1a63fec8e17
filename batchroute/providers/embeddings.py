"""Vectors for texts: many of them in one request, and one vector for each of them in the answer.

Members after platform.openai.com, API reference, Embeddings (2026-11): `data` holds `index` and `embedding`, which is a
list of numbers or, asked for as base64, its 32-bit floats, least significant byte first.
"""

import math
import sys
from array import array
from base64 import b64decode
from binascii import Error as BadBase64
from collections.abc import Mapping
from typing import Any, Final

from msgspec import json, structs

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Outcome, Response
from batchroute.providers.answers import Answer, judge_fields
from batchroute.providers.limits import rate_limits
from batchroute.providers.models import substituted
from batchroute.providers.transports import MAX_BODY_BYTES, Reply
from batchroute.providers.usage import read_usage

PATH: Final = "embeddings"

MOST_VECTOR_BYTES: Final = 2**17
"""The longest that a vector is in an answer: 4,096 numbers of 25 digits."""


def most_bytes(request: Request) -> int:
    """The most bytes that its answer may have."""
    return max(MAX_BODY_BYTES, MOST_VECTOR_BYTES * _texts(request))


def judge(reply: Reply, request: Request, model: str) -> Outcome:
    """Judge the answer of the model asked by this name: a vector for every text, all of one length, or a Failure."""
    return judge_fields(reply, request, model, _judged)


def _texts(request: Request) -> int:
    return len(json.decode(request.messages))


def _judged(answer: Answer) -> Outcome:
    told, answered = answer.fields.get("usage"), answer.text("model")
    reading = read_usage({"completion_tokens": 0, **told} if isinstance(told, Mapping) and told else told)
    vectors = _in_order(answer.fields.get("data"), _texts(answer.request))
    if isinstance(vectors, str):
        return structs.replace(answer, reading=reading).refused(ErrorType.WRONG_SHAPE, vectors)
    return Response(
        content="",
        finish_reason=None,
        usage=reading.usage,
        response_model=answered,
        response_id=answer.text("id"),
        http_status=answer.reply.status,
        flag=("model_substituted" if substituted(answer.model, answered) else None)
        or reading.flag
        or ("extra_bytes" if answer.reply.extra else None),
        rate_limits=rate_limits(answer.reply.header),
        vectors=vectors,
    )


def _in_order(found: object, texts: int) -> tuple[bytes, ...] | str:
    """The vectors in the order of their texts, or what is wrong with them."""
    if not isinstance(found, list) or len(found) != texts:
        told = len(found) if isinstance(found, list) else "no"
        return f"The answer has {told} vectors for {texts} texts."
    vectors: dict[int, bytes] = {}
    for place, each in enumerate(found):
        index = each.get("index", place) if isinstance(each, Mapping) else None
        vector = _vector(each.get("embedding")) if isinstance(each, Mapping) else None
        if not isinstance(index, int) or vector is None:
            return f"What stands at place {place} is no vector."
        vectors[index] = vector
    if set(vectors) != set(range(texts)):
        return "The vectors are not numbered as the texts are."
    if len({len(vector) for vector in vectors.values()}) != 1:
        return "The vectors are not of one length."
    return tuple(vectors[index] for index in range(texts))


def _vector(told: Any) -> bytes | None:
    """A vector as its bytes; None where it is none, is empty, or has a number that is none."""
    numbers = array("f")
    try:
        if isinstance(told, str):
            numbers.frombytes(b64decode(told, validate=True))
            if sys.byteorder == "big":
                numbers.byteswap()
        else:
            numbers.extend(told)
    except (TypeError, ValueError, OverflowError, BadBase64):
        return None
    if not numbers or not math.isfinite(sum(numbers)):
        return None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tobytes()
