"""How a request travels: what both transports promise, and the openai errors they raise when it fails."""

import zlib
from typing import Final, Protocol

import httpx2
import openai
from msgspec import DecodeError, Struct, json

from batchroute.providers.bodies import BombError, inflated, is_encoded
from batchroute.providers.limits import Header

MAX_BODY_BYTES: Final = 4 * 2**20
"""The largest body that is read; an endless one takes no more memory than this."""

CONNECT_TIMEOUT_S: Final = 10.0
"""Seconds for DNS, TCP and TLS together, and again for a free connection of the client."""

KEEPALIVE_S: Final = 50.0
"""Seconds an idle connection is kept: less than the 60 s after which common load balancers drop theirs."""

PATH: Final = "chat/completions"
"""Where chat completions are asked for, below the base URL."""


class Reply(Struct, frozen=True, gc=False):
    """A response as it arrived, body undecoded.

    `header(name)` takes a lower-case name and is None for an absent one; `extra` says that bytes nobody asked for
    followed, where the transport can tell.
    """

    status: int
    body: bytes
    header: Header
    extra: bool = False


class Transport(Protocol):
    """One way to reach a provider. It follows no redirect and retries nothing."""

    async def post(
        self, body: bytes, *, timeout_s: float, path: str = PATH, most_bytes: int = MAX_BODY_BYTES
    ) -> Reply:
        """Send a JSON body to a path below the base URL, within `timeout_s` seconds of wall clock.

        Of the reply's body no more than `most_bytes` are read. Raises openai's APIConnectionError and APITimeoutError, and APIStatusError from status 300 on.
        """

    async def get(self, path: str, *, timeout_s: float) -> Reply:
        """Read a path below the base URL, under the rules of `post`."""

    async def close(self) -> None:
        """Close the connections; the transport is not used afterwards."""


class BodyLostError(openai.APIConnectionError):
    """The connection broke after the head of the response had arrived."""


class BodyTooLargeError(openai.APIConnectionError):
    """The body is longer than was to be read; the rest was not."""


_STATUS_ERRORS: Final[dict[int, type[openai.APIStatusError]]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    409: openai.ConflictError,
    422: openai.UnprocessableEntityError,
    429: openai.RateLimitError,
}


def refusal(reply: Reply, headers: httpx2.Headers, request: httpx2.Request) -> openai.APIError:
    """The error of a reply whose status is 300 or more, as openai's client has it, or whose body is too large."""
    if reply.status >= 300:
        return _status_error(reply, headers, request)
    message = f"The body is longer than the {len(reply.body) - 1} bytes that are read."
    return BodyTooLargeError(message=message, request=request)


def _status_error(reply: Reply, headers: httpx2.Headers, request: httpx2.Request) -> openai.APIStatusError:
    # A Response of httpx2 would decompress its content, without a limit.
    undecoded = httpx2.Headers(
        [(name, value) for name, value in headers.multi_items() if name != "content-encoding"]
    )
    content = _plain(reply)
    response = httpx2.Response(reply.status, headers=undecoded, content=content, request=request)
    kind = _STATUS_ERRORS.get(reply.status)
    if kind is None:
        kind = openai.InternalServerError if reply.status >= 500 else openai.APIStatusError
    return kind(f"HTTP {reply.status}", response=response, body=_envelope(content))


def _plain(reply: Reply) -> bytes:
    """The body of an error for reading: its code says more than its status, also when it comes compressed."""
    body = reply.body[:MAX_BODY_BYTES]
    try:
        return inflated(body, reply.header) if is_encoded(reply.header) else body
    except (BombError, zlib.error):
        return body


def _envelope(content: bytes) -> object:
    try:
        body = json.decode(content)
    except (DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return body.get("error", body) if isinstance(body, dict) else body
