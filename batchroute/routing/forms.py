"""The form that answers must have: how it is asked for, whether an answer has it, and what is said when it has not.

It is no matter to an answer how its model was asked: all are held against the same form.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, Protocol

from msgspec import Raw, Struct, json, structs

from batchroute.core.requests import Request, members
from batchroute.core.responses import ErrorType, Failure, Outcome, Response
from batchroute.job.families import ResponseFormat
from batchroute.job.forms import read_alike, validator
from batchroute.routing.findings import NoJsonError, json_in
from batchroute.routing.labels import Labels
from batchroute.routing.strictness import strict

REPAIRED: Final = "repaired"
"""The flag of an answer that has its form only since it was sent back."""

_SYSTEM: Final = frozenset({"system", "developer"})
_MOST_ERRORS: Final = 5
_SHOWN_CHARS: Final = 200
_JSON_OBJECT: Final = {"type": "json_object"}


class WrongFormError(ValueError):
    """An answer has not the form that it must have; the text says why, for the model and for the user."""


class Form(Protocol):
    """What an answer has to be."""

    identity: str
    """Tells forms apart: answers to another one are stale."""
    reminder: str
    """What a model is told beside what is wrong with its answer."""

    def ask(self, request: Request, response_format: ResponseFormat) -> Request:
        """The request, which says now what its answer has to be."""

    def read(self, text: str) -> str:
        """The answer as JSON. Raises WrongFormError."""


class JsonForm:
    """JSON that fits a schema, and that `refusal` has nothing against: it tells why not. Raises ValueError for what is
    no schema.
    """

    reminder = "Answer again, with nothing but the corrected JSON."

    def __init__(self, schema: dict[str, Any], refusal: Callable[[str], str | None] = lambda _: None) -> None:
        self._refusal = refusal
        told = json.encode(schema).decode()  # in its own order, which models keep to when they answer
        self.identity = f"schema {json.encode(schema, order='sorted').decode()}"
        self._validator = validator(schema)
        self._instruction = (
            "Answer with one JSON value that fits this JSON Schema, and with nothing around it.\n"
            f"JSON Schema: {told}"
        )
        self._formats: dict[ResponseFormat, object] = {
            "json_schema": _by_schema(schema),
            "json_object": _JSON_OBJECT if schema.get("type") == "object" else None,
        }
        self._known: dict[tuple[bytes, ResponseFormat], bytes] = {}

    def ask(self, request: Request, response_format: ResponseFormat) -> Request:
        messages = request.messages
        if response_format != "json_schema":
            messages = with_system(messages, self._instruction)
        return structs.replace(request, messages=messages, params=self._params(request, response_format))

    def _params(self, request: Request, response_format: ResponseFormat) -> bytes:
        known = self._known.get((request.params, response_format))
        if known is not None:
            return known
        params = json.decode(b"{%b}" % request.params[1:], type=dict[str, Raw])
        asked = self._formats.get(response_format)
        sent: dict[str, object] = {name: value for name, value in params.items() if name != "response_format"}
        if asked is not None:
            sent["response_format"] = asked
        encoded = members(sent)
        if not request.own_params:
            self._known[request.params, response_format] = encoded
        return encoded

    def read(self, text: str) -> str:
        try:
            value = json_in(text)
        except NoJsonError as error:
            raise WrongFormError(str(error)) from None
        try:
            self._hold(value)
            encoded = json.encode(value).decode()
        except WrongFormError:
            raise
        except (OverflowError, ValueError, RecursionError) as error:  # nested over 255 deep, half a character
            raise WrongFormError(f"it holds what no JSON can: {error}") from None
        if (refused := self._refusal(encoded)) is not None:
            raise WrongFormError(_shortened(refused))
        return encoded

    def _hold(self, value: Any) -> None:
        """Hold the value against the schema, also without its nulls, of which it loses those that are in the way.

        Raises WrongFormError where it does not fit, ValueError where it cannot be held against any.
        """
        if self._validator.is_valid(value):
            return
        self._drop_nulls(value)
        if not self._validator.is_valid(value):
            raise WrongFormError(self._told(value))

    def _drop_nulls(self, value: Any) -> None:
        """Take out the members that are null where they may only be missing: strict mode cannot leave one out."""
        for error in list(self._validator.iter_errors(value)):
            if not error.instance_path:
                continue
            *path, last = map(str, error.instance_path)  # `0` may be a place in a list, or a name
            holder = value
            try:
                for step in path:
                    holder = holder[int(step) if isinstance(holder, list) else step]
            except (LookupError, TypeError, ValueError):
                continue  # the path of jsonschema-rs leaves empty names out
            if isinstance(holder, dict) and holder.get(last, last) is None:
                del holder[last]

    def _told(self, value: Any) -> str:
        errors = []
        for error in self._validator.iter_errors(value):
            at = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in error.instance_path)
            errors.append(f"{at.lstrip('.')}: {error.message}" if at else error.message)
            if len(errors) == _MOST_ERRORS:
                break
        return "; ".join(_shortened(each) for each in errors)


def _by_schema(schema: dict[str, Any]) -> object:
    """The response_format: platform.openai.com, API reference, Chat (2026-08). Its name has to be there."""
    copy = strict(schema)
    if copy is None:
        return {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    return {"type": "json_schema", "json_schema": {"name": "answer", "schema": copy, "strict": True}}


class LabelForm:
    """One of some labels. `told` are the texts of the job's prompt: where they name every label, no more is said."""

    def __init__(self, labels: Sequence[str], told: Iterable[str] = ()) -> None:
        self._labels = Labels(labels, _AROUND)
        listed = ", ".join(labels)
        self.identity = f"labels {listed}"
        self.reminder = f"Answer with exactly one of these labels and nothing else: {listed}"
        text = read_alike(_SHOWN_FIELDS.sub(" ", " ".join(told)))
        self._said = all(re.search(rf"(?<!\w){re.escape(read_alike(label))}(?!\w)", text) for label in labels)

    def ask(self, request: Request, response_format: ResponseFormat) -> Request:  # noqa: ARG002  the protocol's
        if self._said:
            return request
        return structs.replace(request, messages=with_system(request.messages, self.reminder))

    def read(self, text: str) -> str:
        label = self._labels.meant(text)
        if label is None:
            raise WrongFormError("it is none of the labels")
        return json.encode(label).decode()


_SHOWN_FIELDS: Final = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_AROUND: Final = " \t\r\n\"'`*_.!:。“”„"
"""What a model may write around a label: quotes, emphasis, a full stop."""


class Formed(Struct, frozen=True):
    """The form of one route, and by which response_format each model is asked."""

    form: Form
    formats: Mapping[str, ResponseFormat]

    def asked(self, request: Request, model: str) -> Request:
        """The request as it is meant for this model."""
        return self.form.ask(request, self.formats[model])

    def checked(self, outcome: Outcome, *, repaired: bool) -> Outcome:
        """The answer with its value; schema_mismatch where it has not the form, or had no room for it."""
        if not isinstance(outcome, Response):
            return outcome
        try:
            parsed = self.form.read(outcome.content)
        except WrongFormError as error:
            return _refused(outcome, str(error))
        flag = outcome.flag or (REPAIRED if repaired else None)
        return structs.replace(outcome, parsed=parsed, flag=flag)

    def parsed(self, text: str) -> str | None:
        """The value of an answer that was given before, as JSON; None where it has not the form."""
        try:
            return self.form.read(text)
        except WrongFormError:
            return None

    def repair(self, request: Request, failure: Failure) -> Request:
        """The request that sends an answer back, with what is wrong with it."""
        answer = failure.answer or ""
        try:
            self.form.read(answer)
        except WrongFormError as error:
            why = f"This answer cannot be used: {error}\n{self.form.reminder}"
        else:
            return request
        messages = json.decode(request.messages, type=list[Raw])
        turns = [{"role": "assistant", "content": answer}, {"role": "user", "content": why}]
        return structs.replace(request, messages=json.encode([*messages, *turns]))


def _refused(response: Response, why: str) -> Failure:
    cut_off = response.finish_reason == "length"
    return Failure(
        error_type=ErrorType.OUTPUT_TRUNCATED if cut_off else ErrorType.SCHEMA_MISMATCH,
        message=f"{why}. The answer: {_shortened(response.content)}",
        sent=True,
        http_status=response.http_status,
        may_retry=response.flag != "refusal",
        usage=response.usage,
        finish_reason=response.finish_reason,
        response_model=response.response_model,
        response_id=response.response_id,
        rate_limits=response.rate_limits,
        answer=response.content,
    )


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 1]}…"


def with_system(messages: bytes, instruction: str) -> bytes:
    """Messages that begin with one more instruction: in the system message that they begin with, or before them all."""
    turns: list[dict[str, Any]] = json.decode(messages)
    first = turns[0] if turns else {}
    if first.get("role") in _SYSTEM and isinstance(first.get("content"), str):
        told = {**first, "content": f"{first['content']}\n\n{instruction}"}
        return json.encode([told, *turns[1:]])
    return json.encode([{"role": "system", "content": instruction}, *turns])
