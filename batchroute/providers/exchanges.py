"""One connection of the wire, and one request with its reply upon it.

The bytes are read by llhttp, the parser of Node, through httptools. What is ours is knowing at every moment how
far an exchange has come: an attempt that fails is paid for or not by that.
"""

import asyncio
from collections.abc import Callable
from typing import Final, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from msgspec import Struct
from msgspec.structs import replace

from batchroute.core.responses import ErrorType
from batchroute.providers.causes import BrokenError, Cause
from batchroute.providers.transports import MAX_BODY_BYTES

MAX_HEAD_BYTES: Final = 2**16
"""The largest head, and the largest trailer, of a reply."""

MAX_RAW_BYTES: Final = 2 * MAX_BODY_BYTES + MAX_HEAD_BYTES
"""The most bytes that are read of one reply, however finely its body is cut into chunks."""

MAX_INTERIM_REPLIES: Final = 32


class Message(Struct, frozen=True, gc=False):
    """A reply as it arrived; header names are lower case.

    `reusable`: the connection is good for another exchange. `extra`: bytes that nobody asked for came after it.
    """

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    reusable: bool
    extra: bool = False

    def header(self, name: str) -> str | None:
        """The value of a header by its lower-case name; several of one name are joined by commas."""
        value = self.headers.get(name.encode())
        return None if value is None else value.decode("latin-1")


class Connection(asyncio.Protocol):
    """An open connection: one exchange at a time, and `gone` is told when it is closed between two of them."""

    __slots__ = (
        "_body", "_body_bytes", "_deadline", "_done", "_extra", "_gone", "_head_bytes", "_head_ended", "_interim", "_lines",
        "_measured", "_most_bytes", "_parser", "_received", "_reply", "_served", "_timer", "_tunnelling", "_unsent",
        "transport",
    )  # fmt: skip

    transport: asyncio.Transport

    def __init__(self, gone: Callable[["Connection"], None]) -> None:
        self._gone = gone
        self._done: asyncio.Future[None] | None = None
        self._unsent = False
        self._tunnelling = False
        self._served = False
        self._timer: asyncio.TimerHandle | None = None
        """May be older than the exchange: setting one for each costs more than looking again when it goes off."""

    async def exchange(
        self,
        request: bytes,
        deadline: float,
        *,
        tunnelling: bool = False,
        most_bytes: int = MAX_BODY_BYTES,
    ) -> Message:
        """Send a request and read its reply until `deadline`, a time on the loop's clock.

        A body of more than `most_bytes` is cut at one byte more than is allowed; the connection is lost then. A reply
        to CONNECT (`tunnelling`) ends with its head. Raises BrokenError; whatever it raises, the connection is gone.
        """
        if self.transport.is_closing():
            raise BrokenError(Cause(self._lost(), sent=False), "closed by the server before the request")
        loop = asyncio.get_running_loop()
        self._done = loop.create_future()
        self._reply: Message | None = None
        self._tunnelling = tunnelling
        self._most_bytes = most_bytes
        self._received = self._interim = 0
        self._extra = False
        self.transport.write(request)
        self._deadline = deadline
        if self._timer is None or self._timer.when() > deadline:
            self._set_timer(loop)
        try:
            await self._done
        except BaseException:
            self.transport.abort()
            raise
        finally:
            self._done = None
        reply = self._reply
        assert reply is not None
        self._served = not tunnelling
        return replace(reply, reusable=False, extra=True) if self._extra else reply

    def close(self) -> None:
        """Close in good order, unless the server has not taken the whole request: that could take for ever."""
        if self._unsent:
            self.transport.abort()
        else:
            self.transport.close()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is none by its bases
        self._parser = HttpResponseParser(self)
        self._begin()
        # Told of every byte of a large request that the system has not taken, and of none of a small one.
        self.transport.set_write_buffer_limits(high=MAX_HEAD_BYTES, low=0)

    def pause_writing(self) -> None:
        self._unsent = True

    def resume_writing(self) -> None:
        self._unsent = False

    def data_received(self, data: bytes) -> None:
        if self._done is None or self._reply is not None:
            self.transport.abort()  # nobody asked: a farewell, or junk after the answer
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except HttpParserUpgrade:
            self._break(ErrorType.PROTOCOL_VIOLATION, "the server switched to another protocol")
        except HttpParserError as error:
            self._extra = self._reply is not None
            self._break(ErrorType.PROTOCOL_VIOLATION, f"this is no HTTP: {error}")
        else:
            if self._reply is None:
                self._cap()

    def eof_received(self) -> None:
        """Let the connection close."""

    def connection_lost(self, exc: Exception | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._done is None:
            self._gone(self)
        elif not self._head_ended:
            words = f"the connection broke before the answer: {exc or 'closed by the server'}"
            # A broken pipe is a write that failed: the end of the request has not left this machine.
            unsent = self._unsent or isinstance(exc, BrokenPipeError)
            self._break(ErrorType.CONNECTION_LOST if self._received else self._lost(), words, sent=not unsent)
        elif exc is None and not self._is_delimited():
            self._complete(reusable=False)
        else:
            self._break(ErrorType.BODY_TRUNCATED, f"the connection broke in the answer: {exc or 'closed'}")

    # What the parser tells

    def on_message_begin(self) -> None:
        self._extra = self._reply is not None

    def on_header(self, name: bytes, value: bytes) -> None:
        self._lines.append((name, value))

    def on_headers_complete(self) -> None:
        self._head_ended = True
        if self._tunnelling and self._parser.get_status_code() >= 200:
            self._complete(reusable=True)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)
        self._body_bytes += len(body)

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status >= 200:
            self._complete(reusable=self._parser.should_keep_alive() and not self._unsent)
        elif status < 100 or self._interim == MAX_INTERIM_REPLIES:
            self._break(ErrorType.PROTOCOL_VIOLATION, f"status {status:03}, {self._interim} before it")
        else:
            self._interim += 1
            self._begin()

    # What follows from it

    def _begin(self) -> None:
        self._lines: list[tuple[bytes, bytes]] = []
        """Of the head, and of a trailer."""
        self._body: list[bytes] = []
        self._head_bytes = self._measured = self._body_bytes = 0
        self._head_ended = False

    def _cap(self) -> None:
        for name, value in self._lines[self._measured :]:
            self._head_bytes += len(name) + len(value)
        self._measured = len(self._lines)
        if self._head_bytes > MAX_HEAD_BYTES or (
            not self._head_ended and self._received > MAX_HEAD_BYTES * (1 + self._interim)
        ):
            self._break(ErrorType.HEADERS_TOO_LARGE, f"the head is longer than {MAX_HEAD_BYTES} bytes")
        elif self._body_bytes > self._most_bytes:
            self._complete(reusable=False)
        elif self._received > MAX_RAW_BYTES and self._received > 2 * self._most_bytes + MAX_HEAD_BYTES:
            self._break(ErrorType.BODY_TOO_LARGE, f"more than {self._received - 1} bytes for one answer")

    def _lost(self) -> ErrorType:
        """A connection that was kept may have been dead already, which is not the fault of this request."""
        return ErrorType.STALE_CONNECTION if self._served else ErrorType.CONNECTION_LOST

    def _is_delimited(self) -> bool:
        headers = _headers(self._lines)
        return b"content-length" in headers or b"transfer-encoding" in headers

    def _complete(self, *, reusable: bool) -> None:
        if self._reply is not None or self._done is None:
            return
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        status = self._parser.get_status_code()
        self._reply = Message(status, _headers(self._lines), body[: self._most_bytes + 1], reusable)
        self._begin()  # what may follow is no part of it
        if not self._done.done():
            self._done.set_result(None)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = loop.call_at(self._deadline, self._look_at_the_time)

    def _look_at_the_time(self) -> None:
        self._timer = None
        if self._done is None:
            return
        loop = asyncio.get_running_loop()
        if loop.time() < self._deadline:
            self._set_timer(loop)
        else:
            self._expire()

    def _expire(self) -> None:
        if self._unsent:
            self._break(ErrorType.WRITE_TIMEOUT, "the server stopped taking the request", sent=False)
        else:
            where = "in the middle of the answer" if self._head_ended else "before an answer"
            self._break(ErrorType.ATTEMPT_TIMEOUT, f"timed out {where}")

    def _break(self, error_type: ErrorType, words: str, *, sent: bool = True) -> None:
        if self._reply is None and self._done is not None and not self._done.done():
            self._done.set_exception(BrokenError(Cause(error_type, sent=sent), words))


def _headers(lines: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    headers = {name.lower(): value for name, value in lines}
    if len(headers) == len(lines):
        return headers
    several: dict[bytes, list[bytes]] = {}
    for name, value in lines:
        several.setdefault(name.lower(), []).append(value)
    return {name: b", ".join(values) for name, values in several.items()}
