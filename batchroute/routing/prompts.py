"""How a record becomes a request: by the job's templates, or from a column of messages or of bodies."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeAlias

import msgspec

from batchroute.core.errors import JobError
from batchroute.core.records import Fault, Record
from batchroute.core.requests import Endpoint, Request, members
from batchroute.job.endpoints import Embeddings
from batchroute.job.jobs import Prompt
from batchroute.routing.images import with_images
from batchroute.routing.messages import HALF_CHARACTER, Body, Conversation, output_cap
from batchroute.routing.prefixes import Beginnings, beginnings
from batchroute.routing.templates import Pieces, Template, compile_template, plain

MAX_MESSAGES = 8 << 20
"""Bytes of all messages of a request."""

_encode = msgspec.json.encode

Look: TypeAlias = Callable[[Record], list[str] | Fault]
"""Finds the images of a record, as URLs, or why they cannot be sent."""


class Prompts:
    """Renders the requests of one job.

    `columns` are the fields that rendering may read, `spelled` those among them that every prompt shows as they
    are, so that no object or list will do. `place` tells where a key such as prompt.user stands. Raises JobError for a template that is wrong or does
    what no prompt needs, with its line and column.
    """

    def __init__(
        self,
        spec: Prompt,
        place: Callable[[str], str] = str,
        *,
        endpoint: str = Endpoint.CHAT,
        vectors: Embeddings | None = None,
    ) -> None:
        """`vectors` says how vectors are asked for, where they are."""
        self._form = _form(spec, place) if vectors is None else _Embedded(spec, place, vectors)
        self._endpoint = Endpoint(endpoint)
        self._plain = self._endpoint is Endpoint.CHAT
        self.images = spec.images
        """The columns with images."""
        self.look: Look | None = None
        """Finds the images of a record; reading them takes its time, so that `render` belongs into a thread then."""
        self.columns = frozenset((*self._form.columns, *spec.images))
        self.spelled = frozenset(self._form.spelled)

    def render(self, record: Record) -> Request | Fault:
        """The request of a record, or why it has none: field_missing, field_null, field_type,
        value_nonfinite, prompt_empty, messages_invalid, override_denied, override_range, text_surrogate,
        template_limits or request_too_large, or what `look` says of its images.
        """
        try:
            request = (
                self._form.render(record.fields) if self.look is None else self._pictured(record, self.look)
            )
        except UnicodeEncodeError:
            return HALF_CHARACTER
        if type(request) is not Request:
            return request
        if len(request.messages) - request.image_bytes > MAX_MESSAGES:
            return Fault("request_too_large", f"the messages take more than {MAX_MESSAGES:,} bytes")
        return request if self._plain else msgspec.structs.replace(request, endpoint=self._endpoint)

    def _pictured(self, record: Record, look: Look) -> Request | Fault:
        """The request of a record with its images; they are looked for only where there is a text."""
        request = self._form.render(record.fields)
        if isinstance(request, Fault):
            return request
        images = look(record)
        return images if isinstance(images, Fault) else with_images(request, images)

    def beginnings(self, record: Record) -> Beginnings:
        """How the request of a record begins, its images left aside; nothing where it has none."""
        if self._endpoint is Endpoint.EMBEDDINGS:
            return ()  # no provider keeps anything of a text for vectors
        try:
            request = self._form.render(record.fields)
        except UnicodeEncodeError:
            return ()
        return () if isinstance(request, Fault) else beginnings(request.messages)

    def texts(self, records: Sequence[Record]) -> list[str | None]:
        """What classification reads where the job names no column: the values that the user message is made
        of, a line each, or the last user message that the record brings; None where there is none.
        """
        return [self._form.text(record.fields) for record in records]


class _Form(Protocol):
    """One of the ways in which a job declares its prompt."""

    columns: tuple[str, ...]
    spelled: tuple[str, ...]

    def render(self, fields: Mapping[str, Any]) -> Request | Fault: ...

    def text(self, fields: Mapping[str, Any]) -> str | None: ...


def _form(spec: Prompt, place: Callable[[str], str]) -> _Form:
    params: dict[str, Any] = dict(spec.params)
    cap = output_cap(params)
    if isinstance(cap, Fault):
        raise JobError(f"prompt.params: {cap.message} [job_range]")
    if spec.column is not None:
        return Conversation(spec.column, members(params), cap)
    if spec.body is not None:
        return Body(spec.body, params)
    templates = [
        _Message.of(role, source, place(where))
        for role, source, where in (
            ("system", spec.system, "prompt.system"),
            ("user", spec.user, "prompt.user"),
        )
        if source is not None
    ]
    for index, message in enumerate(spec.messages or ()):
        templates.append(
            _Message.of(message.role, message.content, place(f"prompt.messages[{index}].content"))
        )
    return _Templated(templates, members(params), cap)


class _Message:
    """One templated message. What does not change from record to record is encoded once."""

    def __init__(self, role: str, template: Template) -> None:
        self.role = role
        self.template = template
        self.encoded = self._constant()
        head = b'{"role":%b,"content":' % _encode(role)
        self.form = b"%b%b}" % (head, b"%b" if self.encoded is None else self.encoded.replace(b"%", b"%%"))
        """The message, with a place for its text where that differs from record to record."""

    @classmethod
    def of(cls, role: str, source: str, where: str) -> "_Message":
        return cls(role, compile_template(source, where))

    def render(self, fields: Mapping[str, Any]) -> bytes | Fault:
        """Its text for one record, as JSON."""
        text = self.template.render(fields)
        if isinstance(text, Fault):
            return text
        if (not text or text.isspace()) and self.role == "user":
            return Fault("prompt_empty", "the user message is empty")
        return _encode(text)

    def _constant(self) -> bytes | None:
        if not isinstance(self.template, Pieces) or self.template.columns:
            return None
        encoded = self.render({})
        return None if isinstance(encoded, Fault) else encoded


class _Templated:
    def __init__(self, messages: Sequence[_Message], params: bytes, cap: int | None) -> None:
        self._varying = [message for message in messages if message.encoded is None]
        self._array = b"[%b]" % b",".join(message.form for message in messages)
        self._params = params
        self._cap = cap
        self.columns = _unique(name for message in messages for name in message.template.columns)
        self.spelled = _unique(
            name
            for message in messages
            if isinstance(message.template, Pieces)
            for name in message.template.columns
        )
        self._read = _unique(
            name for message in messages if message.role == "user" for name in message.template.columns
        )

    def render(self, fields: Mapping[str, Any]) -> Request | Fault:
        parts: list[bytes] = []
        for message in self._varying:
            part = message.render(fields)
            if isinstance(part, Fault):
                return part
            parts.append(part)
        return Request(self._array % tuple(parts), self._params, self._cap)

    def text(self, fields: Mapping[str, Any]) -> str | None:
        found = [fields.get(name) for name in self._read]
        parts = [value if type(value) is str else plain(value) for value in found if value is not None]
        return "\n".join(parts) if parts else None


class _Embedded:
    """A text, of which a vector is asked."""

    def __init__(self, spec: Prompt, place: Callable[[str], str], vectors: Embeddings) -> None:
        assert spec.user is not None, "nothing else is allowed beside vectors"
        self._text = _Message.of("user", spec.user, place("prompt.user"))
        self._plain = _Templated([self._text], b"", None)
        self._params = members({**spec.params, **vectors.params()})
        self.columns, self.spelled = self._plain.columns, self._plain.spelled

    def render(self, fields: Mapping[str, Any]) -> Request | Fault:
        text = self._text.template.render(fields)
        if isinstance(text, Fault):
            return text
        if not text or text.isspace():
            return Fault("prompt_empty", "the text is empty")
        return Request(messages=b"[%b]" % _encode(text), params=self._params, max_output_tokens=0)

    def text(self, fields: Mapping[str, Any]) -> str | None:
        return self._plain.text(fields)


def _unique(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
