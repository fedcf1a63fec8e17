"""Providers and requests that are valid unless a test says otherwise."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeAlias, TypedDict, Unpack

from batchroute.core.requests import Request
from batchroute.core.responses import Failure, Outcome
from batchroute.providers.accounts import Account
from batchroute.providers.connect import HttpProvider
from batchroute.providers.transports import Transport

Kind: TypeAlias = Callable[..., Transport]

AMPLE_S = 20.0
KEY = "sk-secret-0123456789"
REQUEST = Request(messages=b'[{"role":"user","content":"hi"}]', params=b',"max_tokens":5')


class Changes(TypedDict, total=False):
    """What a test may want otherwise about an account."""

    api_key: str | None
    headers: dict[str, str]
    ca_file: Path
    proxy: str


@asynccontextmanager
async def provider_at(
    kind: Kind, url: str, *, connect_timeout_s: float = AMPLE_S, **changes: Unpack[Changes]
) -> AsyncIterator[HttpProvider]:
    """A provider with this base URL, closed at the end."""
    given: Changes = {"api_key": KEY, **changes}
    account = Account(name="p", base_url=url, connections=4, **given)
    provider = HttpProvider(account, kind(account, connect_timeout_s=connect_timeout_s))
    try:
        yield provider
    finally:
        await provider.close()


async def ask(provider: HttpProvider, timeout_s: float = AMPLE_S) -> Outcome:
    """Send the one request of these tests to the model m."""
    return await provider.send(REQUEST, "m", timeout_s=timeout_s)


def failed(outcome: Outcome) -> Failure:
    """The outcome, which must be a failure."""
    assert isinstance(outcome, Failure), outcome
    return outcome
