"""Which models of a route can take a record at all: by its size, its images, the form and the language it asks for."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import Struct, json

from batchroute.core.money import usd
from batchroute.core.records import Fault
from batchroute.core.requests import TOKENS_PER_IMAGE, Request

NO_MODEL_FITS: Final = "no_model_fits"
BYTES_PER_TOKEN: Final = 4
USUAL_OUTPUT_TOKENS: Final = 256
"""What an answer is taken to be long where its request has no limit."""

_INLINE: Final = re.compile(rb'"data:[^"]*"')
_IMAGE: Final = b'"type":"image_url"'
"""A part with an image (platform.openai.com, API reference, Chat, 2026-08). Within a text the quotes were escaped."""
_SCHEMA: Final = b'"json_schema"'


class Ability(Struct, frozen=True, kw_only=True):
    """What a model can take; None: nothing is said of it. `context` in tokens, of input and output together."""

    model: str
    context: int | None = None
    vision: bool | None = None
    json_schema: bool | None = None
    languages: frozenset[str] | None = None


class Fitting:
    """The models of one route, and what each of them can take.

    Of `vision` and `json_schema`, a model that says nothing lacks what another one of the route declares.
    """

    def __init__(self, abilities: Iterable[Ability], *, language: str | None = None) -> None:
        """`language` names the column that says in which language a record is."""
        every = tuple(abilities)
        sees = any(each.vision for each in every)
        formed = any(each.json_schema for each in every)
        self.models = tuple(each.model for each in every)
        self._contexts = {each.model: each.context for each in every if each.context is not None}
        self._least = min(self._contexts.values(), default=None)
        self._blind = {each.model for each in every if _lacks(each.vision, declared=sees)}
        self._formless = {each.model for each in every if _lacks(each.json_schema, declared=formed)}
        self._languages = {each.model: each.languages for each in every if each.languages is not None}
        self._column = language if self._languages else None

    @property
    def narrows(self) -> bool:
        """Whether there is a record that not every model can take."""
        return bool(self._contexts or self._blind or self._formless or self._languages)

    def of(self, request: Request, fields: Mapping[str, Any]) -> tuple[str, ...] | Fault:
        """The models that can take this record, in order; or that none can, and why each of them cannot."""
        lacking: dict[str, str] = {}
        if self._least is not None and self._most_tokens(request) > self._least:
            lacking |= self._too_small(request)
        if self._blind and _IMAGE in request.messages:
            lacking |= dict.fromkeys(self._blind, "takes no images")
        if self._formless and _SCHEMA in request.params and asks_for_schema(request):
            lacking |= dict.fromkeys(self._formless, "gives no json_schema")
        if self._column is not None:
            lacking |= self._speechless(fields.get(self._column))
        if not lacking:
            return self.models
        left = tuple(model for model in self.models if model not in lacking)
        return left or misfit({model: lacking[model] for model in self.models})

    def _most_tokens(self, request: Request) -> int:
        """No less than the estimate, and found without looking into the messages."""
        return (
            len(request.messages) // BYTES_PER_TOKEN
            + (request.max_output_tokens or 0)
            + (TOKENS_PER_IMAGE * request.messages.count(_IMAGE))
        )

    def _too_small(self, request: Request) -> dict[str, str]:
        needed = input_tokens(request) + (request.max_output_tokens or 0)
        return {
            model: f"has room for {context:,} tokens, and about {needed:,} are needed"
            for model, context in self._contexts.items()
            if needed > context
        }

    def _speechless(self, told: Any) -> dict[str, str]:
        if not isinstance(told, str) or not told.strip():
            return {}
        language = primary(told)
        return {
            model: f"does not speak {language}"
            for model, spoken in self._languages.items()
            if language not in spoken
        }


def misfit(reasons: Mapping[str, str]) -> Fault:
    """The fault of a record that no model can take; why, by model."""
    return Fault(NO_MODEL_FITS, "; ".join(f"{model} {reason}" for model, reason in reasons.items()))


def affordable(costs: Mapping[str, int], bound: int) -> tuple[str, ...] | Fault:
    """Those of these models at which a record is expected to cost no more than the bound, picodollars both; or that
    all of them are too dear.
    """
    return tuple(model for model, cost in costs.items() if cost <= bound) or misfit(
        {
            model: f"is expected to cost {usd(cost).normalize():f} USD, and max_cost is {usd(bound).normalize():f}"
            for model, cost in costs.items()
        }
    )


def primary(language: str) -> str:
    """The language of a tag such as en-US, without region and script: en."""
    return re.split("[-_]", language.strip().lower(), maxsplit=1)[0]


def input_tokens(request: Request) -> int:
    """About how many tokens are sent: four bytes each, but an image by itself and not by the size of its file."""
    text, images = without_images(request.messages)
    return len(text) // BYTES_PER_TOKEN + TOKENS_PER_IMAGE * images


def without_images(messages: bytes) -> tuple[bytes, int]:
    """Messages without the files in them, and how many images they have."""
    images = messages.count(_IMAGE)
    return (_INLINE.sub(b"", messages), images) if images else (messages, 0)


def output_tokens(request: Request) -> int:
    """About how many tokens are answered: as many as are allowed, which for vectors is none."""
    return USUAL_OUTPUT_TOKENS if request.max_output_tokens is None else request.max_output_tokens


def asks_for_schema(request: Request) -> bool:
    """Whether the answer is to follow a JSON Schema: response_format of type json_schema (platform.openai.com, API reference, Chat, 2026-08)."""
    wanted = json.decode(b"{%b}" % request.params[1:]).get("response_format")
    return isinstance(wanted, dict) and wanted.get("type") == "json_schema"


def no_larger(contexts: Mapping[str, int | None], model: str) -> frozenset[str]:
    """The models that are known to have no more room than this one, itself among them."""
    room = contexts.get(model)
    if room is None:
        return frozenset({model})
    return frozenset(name for name, each in contexts.items() if each is not None and each <= room)


def _lacks(said: bool | None, *, declared: bool) -> bool:
    return declared and not said if said is None else not said
