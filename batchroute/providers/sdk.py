"""Everything through openai's client: for hosts that want what only the SDK does."""

import asyncio
from collections.abc import Awaitable
from contextlib import aclosing
from operator import attrgetter
from typing import Final

import httpx2
import openai
from openai import AsyncStream, Omit, omit

from batchroute.providers.accounts import Account, client
from batchroute.providers.transports import (
    CONNECT_TIMEOUT_S,
    MAX_BODY_BYTES,
    PATH,
    BodyLostError,
    Reply,
    refusal,
)

_LEFT_OVER: Final = attrgetter("stream._stream._httpcore_stream._stream._connection._h11_state.trailing_data")
"""What the parser holds after a body: httpx2 2.16 has no public name for it, and would take it for the answer
to the next request on that connection (measured): another record's."""


class Sdk:
    """A Transport that leaves the whole request to openai's client; it takes some twenty times the wire's CPU."""

    def __init__(self, account: Account, *, connect_timeout_s: float = CONNECT_TIMEOUT_S) -> None:
        # The hook reads the body of an error capped and undecoded, which the SDK would not.
        self._client = client(account, connect_timeout_s=connect_timeout_s, on_response=_refuse)
        self._asked = httpx2.Request("POST", f"{self._client.base_url}{PATH}")
        authorization = self._client.default_headers.get("authorization")
        # A default header that is omitted is not enough for the SDK's own check.
        self._headers = {"authorization": omit} if isinstance(authorization, Omit) else {}

    async def post(
        self, body: bytes, *, timeout_s: float, path: str = PATH, most_bytes: int = MAX_BODY_BYTES
    ) -> Reply:
        """See Transport."""
        return await self._within(
            timeout_s,
            self._client.post(
                path,
                cast_to=httpx2.Response,
                content=body,
                options={"headers": self._headers},
                stream=True,
                stream_cls=AsyncStream[object],
            ),
            most_bytes,
        )

    async def get(self, path: str, *, timeout_s: float) -> Reply:
        """See Transport."""
        return await self._within(
            timeout_s,
            self._client.get(
                path,
                cast_to=httpx2.Response,
                options={"headers": self._headers},
                stream=True,
                stream_cls=AsyncStream[object],
            ),
        )

    async def close(self) -> None:
        """See Transport."""
        await self._client.close()

    async def _within(
        self, timeout_s: float, asking: Awaitable[object], most_bytes: int = MAX_BODY_BYTES
    ) -> Reply:
        """Wall clock: the SDK's own timeouts begin again with every byte."""
        try:
            async with asyncio.timeout(timeout_s):
                response = await asking
                # The SDK hands out the response itself for this cast_to, streamed or not; its types say a stream.
                assert isinstance(response, httpx2.Response)
                return await _reply(response, most_bytes)
        except TimeoutError as error:
            raise openai.APITimeoutError(self._asked) from error


async def _refuse(response: httpx2.Response) -> None:
    if response.status_code >= 300:
        await _reply(response)


async def _reply(response: httpx2.Response, most_bytes: int = MAX_BODY_BYTES) -> Reply:
    try:
        body = await _body(response, most_bytes)
        surplus = await _drop_surplus(response)
    except httpx2.TransportError as error:
        raise BodyLostError(message=type(error).__name__, request=response.request) from error
    finally:
        await response.aclose()
    reply = Reply(response.status_code, body, response.headers.get, surplus)
    if reply.status >= 300 or len(body) > most_bytes:
        raise refusal(reply, response.headers, response.request)
    return reply


async def _drop_surplus(response: httpx2.Response) -> bool:
    """Whether bytes came after the body. If so, or if nobody knows, the connection is not used again."""
    try:
        octets, _ = _LEFT_OVER(response)
    except AttributeError:  # of another version
        octets = None
    if octets != b"":
        await response.extensions["network_stream"].aclose()
    return bool(octets)


async def _body(response: httpx2.Response, most_bytes: int) -> bytes:
    body = bytearray()
    async with aclosing(response.aiter_raw()) as chunks:
        async for chunk in chunks:
            body += chunk
            if len(body) > most_bytes:
                break
    return bytes(body[: most_bytes + 1])
