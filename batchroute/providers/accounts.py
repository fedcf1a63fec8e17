"""An endpoint and the credentials for it, and the openai client configured from nothing else."""

import os
import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeAlias

import httpx2
from openai import AsyncOpenAI, Omit, omit

from batchroute.core.errors import JobError, NoModelError
from batchroute.providers.transports import CONNECT_TIMEOUT_S, KEEPALIVE_S

USER_AGENT: Final = "batchroute"

_NAME: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.6.2: a token
_VALUE: Final = re.compile(r"[\t\x20-\x7e]*")
_NO_KEY: Final = "none"  # the SDK insists on a key; the Authorization header that would carry it is omitted

_PRINTABLE: Final = ": only printable ASCII can; is there a line break at its end?"

# openai 3.52 puts its own pair of these after ours, so only the same spelling replaces them.
_SPELT: Final = {"openai-organization": "OpenAI-Organization", "openai-project": "OpenAI-Project"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """Who is asked and as whom. `connections` is the number of requests that may be in flight at once."""

    name: str
    base_url: str
    connections: int
    api_key: str | None = field(default=None, repr=False)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    ca_file: Path | None = None
    proxy: str | None = field(default=None, repr=False)

    @property
    def is_encrypted(self) -> bool:
        """Whether TLS is spoken on any part of the way."""
        return any((url or "").lower().startswith("https:") for url in (self.base_url, self.proxy))

    @property
    def max_connections(self) -> int:
        """Connections to allow: some more than requests, for those that are still being closed."""
        return self.connections + max(16, self.connections // 4)


Hook: TypeAlias = Callable[[httpx2.Response], Awaitable[None]]


def client(
    account: Account,
    *,
    connect_timeout_s: float = CONNECT_TIMEOUT_S,
    on_response: Hook | None = None,
) -> AsyncOpenAI:
    """The SDK's client for this account: no retries, no redirects, and nothing taken from OPENAI_* or *_PROXY.

    It waits `connect_timeout_s` for a connection and without end for an answer: deadlines are the caller's.
    Raises what `trust` raises.
    """
    limits = httpx2.Limits(
        max_connections=account.max_connections,
        max_keepalive_connections=account.max_connections,
        keepalive_expiry=KEEPALIVE_S,
    )
    http_client = httpx2.AsyncClient(
        verify=trust(account),
        proxy=account.proxy,
        trust_env=False,
        follow_redirects=False,
        limits=limits,
        timeout=httpx2.Timeout(None, connect=connect_timeout_s, pool=connect_timeout_s),
        event_hooks={"response": [] if on_response is None else [on_response]},
    )
    return _configured(account, http_client)


def unconnected(account: Account) -> AsyncOpenAI:
    """The same client for one who sends by other means: it has the URL and the headers, and no connections.

    Connections that nobody uses would take longer to import than to open.
    """
    return _configured(account, httpx2.AsyncClient(transport=httpx2.AsyncBaseTransport(), trust_env=False))


def _configured(account: Account, http_client: httpx2.AsyncClient) -> AsyncOpenAI:
    return AsyncOpenAI(
        api_key=account.api_key or _NO_KEY,
        admin_api_key="",
        base_url=f"{account.base_url.rstrip('/')}/",  # the SDK leaves one without a path without its slash
        max_retries=0,
        default_headers=_headers(account),  # type: ignore[arg-type] # omit is documented, its type is not
        http_client=http_client,
    )


def trust(account: Account) -> ssl.SSLContext:
    """The authorities that may vouch for the provider: this machine's, and those of `ca_file`.

    Raises JobError for an unusable `ca_file`, NoModelError when the machine has no usable trust store.
    """
    # Only the trust store is taken from the environment: SSL_CERT_FILE and SSL_CERT_DIR name private CAs.
    try:
        context = httpx2.create_ssl_context(trust_env=True) if account.is_encrypted else _distrust()
    except (ssl.SSLError, OSError) as error:
        raise NoModelError(f"cannot load the trusted certificates of this machine: {error}") from error
    if account.ca_file is not None:
        try:
            context.load_verify_locations(cafile=account.ca_file)
        except (ssl.SSLError, OSError) as error:
            message = f"providers.{account.name}.ca_file {str(account.ca_file)!r} cannot be used: {error}"
            raise JobError(message) from error
    return context


def _distrust() -> ssl.SSLContext:
    """No authority at all, which is quick to load and enough for plain HTTP."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def _check_headers(account: Account) -> None:
    """A line break in one of them would end it, and what follows would be a header of its own, or the body."""
    if not _VALUE.fullmatch(account.api_key or ""):
        raise JobError(f"providers.{account.name}.api_key holds a character that cannot be sent{_PRINTABLE}")
    for name, value in account.headers.items():
        if not _NAME.fullmatch(name):
            raise JobError(f"providers.{account.name}.headers: {name!r} is no name of a header")
        if not _VALUE.fullmatch(value):
            what = f"providers.{account.name}.headers.{name}"
            raise JobError(f"{what} holds a character that cannot be sent{_PRINTABLE}")


def _headers(account: Account) -> dict[str, str | Omit]:
    """Every header once; `omit` for those the SDK would take from the environment. Raises JobError."""
    _check_headers(account)
    ambient = os.environ.get("OPENAI_CUSTOM_HEADERS", "").split("\n")
    headers: dict[str, str | Omit] = {
        line.partition(":")[0].strip().lower(): omit for line in ambient if ":" in line
    }
    headers |= dict.fromkeys(_SPELT, omit)
    headers |= {
        "accept": "application/json",
        "accept-encoding": "identity",
        "authorization": omit if account.api_key is None else f"Bearer {account.api_key}",
        "content-type": "application/json",
        "user-agent": USER_AGENT,
    }
    headers |= {name.lower(): value for name, value in account.headers.items()}
    return {_SPELT.get(name, name): value for name, value in headers.items()}
