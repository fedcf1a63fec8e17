"""Small messages to URLs that are secrets: webhooks, and checks that expect a ping."""

import asyncio
from typing import Final

import httpx2

from batchroute.core.errors import BatchrouteError
from batchroute.providers.accounts import USER_AGENT, Account, trust
from batchroute.providers.causes import BrokenError
from batchroute.providers.dialing import Dialer, Origin
from batchroute.providers.redaction import Redactor, secrets_of_url

PATIENCE_S: Final = 5.0
"""Wall clock of one message, connecting included."""


async def deliver(
    url: str, content: bytes, content_type: str, *, patience_s: float = PATIENCE_S
) -> str | None:
    """Post a message once, within `patience_s` seconds; what went wrong, or None when it was taken.

    It raises nothing but CancelledError, follows no redirect, and what it says holds nothing of the URL but its
    host. Authorities beyond this machine's are named by SSL_CERT_FILE.
    """
    try:
        status = await _post(url, content, content_type, patience_s)
    except BrokenError as error:
        told = f"{error.cause.error_type.replace('_', ' ')}: {error}"
    except (BatchrouteError, OSError, ValueError) as error:
        told = f"{type(error).__name__}: {error}"
    else:
        told = "" if 200 <= status < 300 else f"HTTP {status}"
    return Redactor(secrets_of_url(url)).clean(told) or None


async def _post(url: str, content: bytes, content_type: str, patience_s: float) -> int:
    origin = Origin.of(url)
    dialer = Dialer(origin, None, trust(Account(name="notify", base_url=url, connections=1)))
    deadline = asyncio.get_running_loop().time() + patience_s
    connection = await dialer.dial(lambda _: None, deadline)
    try:
        return (await connection.exchange(_request(url, origin, content, content_type), deadline)).status
    finally:
        connection.close()


def _request(url: str, origin: Origin, content: bytes, content_type: str) -> bytes:
    lines = [
        f"POST {httpx2.URL(url).raw_path.decode()} HTTP/1.1",
        f"host: {origin.authority}",
        f"user-agent: {USER_AGENT}",
        f"content-type: {content_type}",
        f"content-length: {len(content)}",
        "connection: close",
    ]
    if origin.authorization:
        lines.append(f"authorization: {origin.authorization}")
    return "\r\n".join([*lines, "", ""]).encode() + content
