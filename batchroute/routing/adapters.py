"""A request as one model takes it: parameters by its names, and words where it wants them."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import json, structs

from batchroute.core.requests import CAPS, Endpoint, Request, members
from batchroute.job.adaptations import Adaptation

_SYSTEM: Final = frozenset({"system", "developer"})
_GAP: Final = "\n\n"


class Adapter:
    """Makes of a record's request the one that is sent to a model. Models that differ in nothing have none."""

    def __init__(self, adaptation: Adaptation) -> None:
        self.words: tuple[object, ...] = (
            (adaptation.prefix, adaptation.suffix, adaptation.system_role) if adaptation.words else ()
        )
        """What tells changes of the messages apart; empty where they stay as they are."""
        self._adaptation = adaptation
        self._caps = (*CAPS, *(new for old, new in adaptation.rename.items() if old in CAPS))
        self._sent: dict[bytes, tuple[bytes, int | None]] = {}

    @classmethod
    def of(cls, adaptation: Adaptation | None) -> "Adapter | None":
        """The adapter of a model; None where nothing is to be changed."""
        return cls(adaptation) if adaptation is not None and adaptation.changes else None

    def adapt(self, request: Request) -> Request:
        """The request as this model takes it; the same one where that is no other."""
        params, cap = self._known(request)
        if request.endpoint is Endpoint.EMBEDDINGS:
            texts = self._enclosed(request.messages)
            if params is request.params and texts is request.messages:
                return request
            return structs.replace(request, messages=texts, params=params)
        messages = self._worded(request.messages) if self.words else request.messages
        if params is request.params and messages is request.messages:
            return request
        return structs.replace(request, messages=messages, params=params, max_output_tokens=cap)

    def params(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Parameters by the names that the model knows them by, without those it does not take, and its own beside."""
        rename, drop = self._adaptation.rename, self._adaptation.drop
        sent = {name: value for name, value in params.items() if name not in rename and name not in drop}
        for old, new in rename.items():
            if old in params:
                sent.setdefault(new, params[old])
        capped = self.cap(sent) is not None
        for name, value in self._adaptation.extra.items():
            if not (capped and name in self._caps):
                sent.setdefault(name, value)
        return sent

    def cap(self, sent: Mapping[str, Any]) -> int | None:
        """The output tokens that adapted parameters allow at most, by whatever name; None where they do not say."""
        return next((sent[name] for name in self._caps if type(sent.get(name)) is int), None)

    def _known(self, request: Request) -> tuple[bytes, int | None]:
        """Adapted parameters and their limit; kept where the parameters are the job's."""
        known = self._sent.get(request.params)
        if known is None:
            params = json.decode(b"{%b}" % request.params[1:])
            sent = self.params(params)
            encoded = request.params if sent == params else members(sent)
            known = encoded, self.cap(sent)
            if not request.own_params:
                self._sent[request.params] = known
        return known

    def _enclosed(self, texts: bytes) -> bytes:
        """Texts for vectors with prefix and suffix around each."""
        before, after = self._adaptation.prefix or "", self._adaptation.suffix or ""
        if not (before or after):
            return texts
        return json.encode([f"{before}{text}{after}" for text in json.decode(texts)])

    def _worded(self, messages: bytes) -> bytes:
        before = json.decode(messages)
        after = self._addressed(before)
        if not self._adaptation.system_role:
            after = _without_system(after)
        return messages if after == before else json.encode(after)

    def _addressed(self, messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """With prefix and suffix around the last user message."""
        asked = [index for index, message in enumerate(messages) if message["role"] == "user"]
        if not asked:
            return messages
        last, prefix, suffix = asked[-1], self._adaptation.prefix or "", self._adaptation.suffix or ""
        content = _around(prefix, messages[last]["content"], suffix)
        return [*messages[:last], {**messages[last], "content": content}, *messages[last + 1 :]]


def _without_system(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """With all system text in front of the first user message; as one of its own where there is none."""
    said = [_text(message["content"]) for message in messages if message["role"] in _SYSTEM]
    others = [message for message in messages if message["role"] not in _SYSTEM]
    system = _GAP.join(text for text in said if text)
    if not system:
        return others or messages
    first = next((index for index, message in enumerate(others) if message["role"] == "user"), None)
    if first is None:
        return [{"role": "user", "content": system}, *others]
    content = _around(system + _GAP, others[first]["content"], "")
    return [*others[:first], {**others[first], "content": content}, *others[first + 1 :]]


def _around(before: str, content: Any, after: str) -> Any:
    """Content with text around it, be it text itself or a list of parts."""
    if isinstance(content, str):
        return f"{before}{content}{after}"
    front, back = ([{"type": "text", "text": text}] if text else [] for text in (before, after))
    return [*front, *content, *back]


def _text(content: Any) -> str:
    """The text of a message, whatever its form."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content if isinstance(part.get("text"), str))
