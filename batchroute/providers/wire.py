"""The data plane: HTTP/1.1 for the million small requests, with URL and headers of the account's openai client.

A request costs about 20 us of CPU on one core, half of what the fastest client library takes and a
seventieth of the SDK (2026-11). It runs on the event loop's own thread, cancelling it ends it, and a failure
tells whether the request was handed over.
"""

import asyncio
from typing import Final, Never

import httpx2
import openai
from openai import AsyncOpenAI, Omit

from batchroute.core.responses import ErrorType
from batchroute.providers.accounts import Account, trust, unconnected
from batchroute.providers.causes import BrokenError
from batchroute.providers.dialing import Dialer, Origin
from batchroute.providers.exchanges import Connection, Message
from batchroute.providers.transports import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE_S,
    MAX_BODY_BYTES,
    PATH,
    Reply,
    refusal,
)

_SLOW: Final = frozenset(
    {ErrorType.DNS_TIMEOUT, ErrorType.CONNECT_TIMEOUT, ErrorType.WRITE_TIMEOUT, ErrorType.ATTEMPT_TIMEOUT}
)


class Wire:
    """A Transport of as many connections as there are requests out at once; idle ones are used again."""

    def __init__(self, account: Account, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        trusted = trust(account)
        self._sdk = unconnected(account)
        self._connect_timeout_s = connect_timeout_s
        self._origin = Origin.of(str(self._sdk.base_url))
        self._proxy = Origin.of(account.proxy) if account.proxy else None
        self._dialer = Dialer(self._origin, self._proxy, trusted)
        self._lines = self._header_lines()
        self._post = self._head("POST", PATH)
        self._asked = httpx2.Request("POST", self._url(PATH))
        self._idle: dict[Connection, float] = {}
        self._closed = False

    async def post(
        self, body: bytes, *, timeout_s: float, path: str = PATH, most_bytes: int = MAX_BODY_BYTES
    ) -> Reply:
        """See Transport."""
        head = self._post if path == PATH else self._head("POST", path)
        return await self._ask(
            b"%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body), timeout_s, most_bytes
        )

    async def get(self, path: str, *, timeout_s: float) -> Reply:
        """See Transport."""
        return await self._ask(self._head("GET", path) + b"\r\n", timeout_s)

    async def close(self) -> None:
        """See Transport."""
        self._closed = True
        self._drop_idle()
        await self._sdk.close()

    async def _ask(self, request: bytes, timeout_s: float, most_bytes: int = MAX_BODY_BYTES) -> Reply:
        clock = asyncio.get_running_loop().time
        now = clock()
        deadline = now + timeout_s
        try:
            connection = self._kept(now) or await self._dialer.dial(
                self._forget, min(deadline, now + self._connect_timeout_s)
            )
            message = await connection.exchange(request, deadline, most_bytes=most_bytes)
        except BrokenError as error:
            if error.cause.error_type is ErrorType.STALE_CONNECTION:
                self._drop_idle()  # they may be as dead, and the next try needs a fresh one
            self._raise(error)
        if message.reusable and not self._closed:
            self._idle[connection] = clock()
        else:
            connection.close()
        reply = Reply(message.status, message.body, message.header, message.extra)
        if reply.status >= 300 or len(reply.body) > most_bytes:
            raise refusal(reply, _headers(message), self._asked)
        return reply

    def _kept(self, now: float) -> Connection | None:
        """The connection that was used last, unless the other side has surely forgotten it."""
        while self._idle:
            connection, used_at = self._idle.popitem()
            if now - used_at < KEEPALIVE_S and not connection.transport.is_closing():
                return connection
            connection.close()
        return None

    def _drop_idle(self) -> None:
        while self._idle:
            self._idle.popitem()[0].close()

    def _forget(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def _raise(self, error: BrokenError) -> Never:
        if error.cause.error_type in _SLOW:
            raise openai.APITimeoutError(self._asked) from error
        raise openai.APIConnectionError(request=self._asked) from error

    def _url(self, path: str) -> str:
        return f"{self._sdk.base_url}{path}"

    def _head(self, method: str, path: str) -> bytes:
        """Everything before the length of the body. A proxy is told the whole URL of what it shall fetch."""
        url = httpx2.URL(self._url(path))
        forwarded = self._proxy is not None and not self._origin.encrypted
        target = str(url) if forwarded else url.raw_path.decode()
        return f"{method} {target} HTTP/1.1\r\n{self._lines}".encode()

    def _header_lines(self) -> str:
        headers = {"host": self._origin.authority} | _sdk_headers(self._sdk)
        if self._proxy is not None and not self._origin.encrypted and self._proxy.authorization:
            headers["proxy-authorization"] = self._proxy.authorization
        return "".join(f"{name}: {value}\r\n" for name, value in headers.items())


def _headers(message: Message) -> httpx2.Headers:
    return httpx2.Headers(list(message.headers.items()))


def _sdk_headers(sdk: AsyncOpenAI) -> dict[str, str]:
    """What the SDK would send, without its telemetry."""
    headers: dict[str, str] = {}
    for name, value in (*sdk.auth_headers.items(), *sdk.default_headers.items()):
        if isinstance(value, Omit):
            headers.pop(name.lower(), None)
        elif not name.lower().startswith("x-stainless"):
            headers[name.lower()] = value
    return headers
