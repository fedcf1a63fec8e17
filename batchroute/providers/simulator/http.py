"""HTTP/1.1 of a server, as far as it needs no socket: bytes in, requests out, and the other way round."""

import re
from functools import lru_cache
from http import HTTPStatus

from msgspec import Struct

MAX_HEAD_BYTES = 64 * 1024
MAX_BODY_BYTES = 8 * 1024 * 1024
_SMALL_HEAD_BYTES = 2048
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

_REQUEST_LINE = re.compile(rb"([A-Z]{1,16}) (\S{1,8192}) HTTP/1\.([01])")
_HEADER_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_DIGITS = re.compile(rb"[0-9]{1,15}")
_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}


class ProtocolError(Exception):
    """The bytes are no request that this server takes; answer with `status` and close."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class Head(Struct, frozen=True):
    """The request line and what the headers say about the body and the connection."""

    method: str
    path: str
    length: int
    keep_alive: bool
    expects_continue: bool


class HttpRequest(Struct, frozen=True):
    """One whole request."""

    method: str
    path: str
    body: bytes
    keep_alive: bool


class RequestReader:
    """Cuts the bytes of a connection into requests, however they arrive."""

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._head: Head | None = None

    def __len__(self) -> int:
        """Bytes received and not yet taken."""
        return len(self._buffer)

    def feed(self, received: bytes) -> None:
        self._buffer += received

    def take_continue(self) -> bool:
        """True, once a request, when the client waits for `100 Continue` before it sends the body."""
        if self._head is None or not self._head.expects_continue or len(self._buffer) >= self._head.length:
            return False
        self._head = Head(self._head.method, self._head.path, self._head.length, self._head.keep_alive, False)
        return True

    def next(self) -> HttpRequest | None:
        """The next whole request, None while bytes are missing. Raises ProtocolError; the reader is then dead."""
        if self._head is None:
            self._head = self._read_head()
        head = self._head
        if head is None or len(self._buffer) < head.length:
            return None
        body = bytes(memoryview(self._buffer)[: head.length])
        del self._buffer[: head.length]
        self._head = None
        return HttpRequest(head.method, head.path, body, head.keep_alive)

    def _read_head(self) -> Head | None:
        while self._buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request are ignored
            del self._buffer[:2]
        end = self._buffer.find(b"\r\n\r\n", max(0, self._searched - 3))
        if max(end, 0) > MAX_HEAD_BYTES or (end < 0 and len(self._buffer) > MAX_HEAD_BYTES):
            raise ProtocolError(431, "The request's headers are larger than 64 KiB.")
        if end < 0:
            self._searched = len(self._buffer)
            return None
        text = bytes(memoryview(self._buffer)[:end])
        head = _known_head(text) if end <= _SMALL_HEAD_BYTES else parse_head(text)
        del self._buffer[: end + 4]
        self._searched = 0
        return head


def parse_head(text: bytes) -> Head:
    """Read a request's head, without the empty line. Raises ProtocolError."""
    first, _, rest = text.partition(b"\r\n")
    line = _REQUEST_LINE.fullmatch(first)
    if line is None:
        raise ProtocolError(400, "The request line is not one of HTTP/1.1.")
    headers = _headers(rest)
    connection = headers.get(b"connection", b"").lower()
    return Head(
        method=line[1].decode(),
        path=line[2].decode("latin-1").partition("?")[0],
        length=_length(headers),
        keep_alive=b"close" not in connection if line[3] == b"1" else b"keep-alive" in connection,
        expects_continue=headers.get(b"expect", b"").lower() == b"100-continue",
    )


_known_head = lru_cache(maxsize=1024)(parse_head)  # a client's heads differ in the body's length at most


def _headers(text: bytes) -> dict[bytes, bytes]:
    headers: dict[bytes, bytes] = {}
    for line in text.split(b"\r\n") if text else ():
        name, colon, value = line.partition(b":")
        if not colon or not _HEADER_NAME.fullmatch(name) or b"\n" in value:
            raise ProtocolError(400, "A header line is malformed.")
        name, value = name.lower(), value.strip(b" \t")
        if name == b"content-length" and headers.get(name, value) != value:
            raise ProtocolError(400, "Content-Length is given twice.")
        headers[name] = value
    return headers


def _length(headers: dict[bytes, bytes]) -> int:
    if b"transfer-encoding" in headers:  # RFC 9112, 6.3: a server may insist on a length
        raise ProtocolError(411, "Send the body with a Content-Length.")
    told = headers.get(b"content-length", b"0")
    if not _DIGITS.fullmatch(told):
        raise ProtocolError(400, "Content-Length is not a number.")
    if int(told) > MAX_BODY_BYTES:
        raise ProtocolError(413, "The request's body is larger than 8 MiB.")
    return int(told)


def render(status: int, body: bytes, *, kind: bytes, headers: bytes, keep_alive: bool) -> bytes:
    """A whole response; `headers` are finished lines, each with its end."""
    return b"HTTP/1.1 %d %b\r\ncontent-type: %b\r\ncontent-length: %d\r\n%b%b\r\n%b" % (
        status,
        _REASONS[status],
        kind,
        len(body),
        headers,
        b"" if keep_alive else b"connection: close\r\n",
        body,
    )
