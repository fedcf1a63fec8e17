"""The data plane: pyreqwest, with URL and headers taken from the account's openai client."""

from datetime import timedelta
from functools import lru_cache
from typing import Final

import httpx2
import openai
from openai import AsyncOpenAI, Omit
from pyreqwest.client import Client, ClientBuilder
from pyreqwest.exceptions import PyreqwestError, RequestTimeoutError
from pyreqwest.http import HeaderMap, Url
from pyreqwest.proxy import ProxyBuilder
from pyreqwest.request import StreamRequest

from batchroute.providers.accounts import Account, client
from batchroute.providers.transports import (
    CONNECT_TIMEOUT_S,
    KEEPALIVE_S,
    MAX_BODY_BYTES,
    PATH,
    Reply,
    refusal,
)

_READ: Final = MAX_BODY_BYTES + 1


class Wire:
    """A Transport for the million small requests.

    Cancelling does not end a request: pyreqwest holds its connection until the deadline (measured, 0.15).
    """

    def __init__(self, account: Account, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        self._sdk = client(account)
        self._client = _build(account, _headers(self._sdk), _duration(connect_timeout_s))
        self._url = Url(f"{self._sdk.base_url}{PATH}")
        self._asked = httpx2.Request("POST", str(self._url))

    async def post(self, body: bytes, *, timeout_s: float) -> Reply:
        """See Transport."""
        request = self._client.post(self._url).timeout(_duration(timeout_s)).body_bytes(body)
        return await self._reply(request.build_streamed())

    async def get(self, path: str, *, timeout_s: float) -> Reply:
        """See Transport."""
        request = self._client.get(f"{self._sdk.base_url}{path}").timeout(_duration(timeout_s))
        return await self._reply(request.build_streamed())

    async def close(self) -> None:
        """See Transport."""
        await self._client.close()
        await self._sdk.close()

    async def _reply(self, request: StreamRequest) -> Reply:
        try:
            async with request as response:
                body = await response.body_reader.read(_READ)
        except RequestTimeoutError as error:
            raise openai.APITimeoutError(self._asked) from error
        except PyreqwestError as error:
            raise openai.APIConnectionError(request=self._asked) from error
        reply = Reply(response.status, b"" if body is None else body, response.get_header)
        if reply.status >= 300 or len(reply.body) > MAX_BODY_BYTES:
            raise refusal(reply, httpx2.Headers(list(response.headers.items())), self._asked)
        return reply


@lru_cache(maxsize=256)
def _duration(seconds: float) -> timedelta:
    return timedelta(seconds=seconds)


def _headers(sdk: AsyncOpenAI) -> HeaderMap:
    """What the SDK would send, without its telemetry."""
    headers: dict[str, str] = {}
    for name, value in (*sdk.auth_headers.items(), *sdk.default_headers.items()):
        if isinstance(value, Omit):
            headers.pop(name.lower(), None)
        elif not name.lower().startswith("x-stainless"):
            headers[name.lower()] = value
    masked = HeaderMap()
    for name, value in headers.items():
        masked.append(name, value, is_sensitive=True)
    return masked


def _build(account: Account, headers: HeaderMap, connect_timeout: timedelta) -> Client:
    builder = (
        ClientBuilder()
        .default_headers(headers)
        .max_connections(account.max_connections)
        .connect_timeout(connect_timeout)
        .pool_timeout(connect_timeout)
        .pool_idle_timeout(_duration(KEEPALIVE_S))
        .follow_redirects(False)
        .referer(False)
        .no_proxy()
        .gzip(False)
        .brotli(False)
        .zstd(False)
        .deflate(False)
    )
    if account.ca_file is not None:
        builder = builder.add_root_certificate_pem(account.ca_file.read_bytes())
    if account.proxy is not None:
        builder = builder.proxy(ProxyBuilder.all(account.proxy))
    return builder.build()
