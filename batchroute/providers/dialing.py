"""How a connection of the wire comes about: the name, the address, the proxy, TLS."""

import asyncio
import errno
import re
import socket
import ssl
from base64 import b64encode
from collections.abc import Callable
from typing import Any, Final, NamedTuple
from urllib.parse import unquote, urlsplit

import aiohappyeyeballs

from batchroute.core.responses import ErrorType
from batchroute.providers.causes import BrokenError, Cause, connecting
from batchroute.providers.exchanges import Connection

NAMES_KEPT_S: Final = 30.0
"""Seconds for which the addresses of a name are used again: connections come in bursts, failover by name does not."""

SECOND_ADDRESS_S: Final = 0.25  # RFC 8305, section 8: the recommended Connection Attempt Delay

_PORTS: Final = {"http": 80, "https": 443}
_ERRNO: Final = re.compile(r"\[Errno (\d+)\]")
_UNREACHABLE: Final = frozenset({errno.ENETUNREACH, errno.EHOSTUNREACH})


class Origin(NamedTuple):
    """Where to connect to; `credentials` is `user:password` for a proxy that wants them."""

    host: str
    port: int
    encrypted: bool
    credentials: str | None = None

    @classmethod
    def of(cls, url: str) -> "Origin":
        """The origin of an http or https URL."""
        parts = urlsplit(url)
        user = (
            None if parts.username is None else f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        )
        return cls(parts.hostname or "", parts.port or _PORTS[parts.scheme], parts.scheme == "https", user)

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.encrypted else "http"] else f"{host}:{self.port}"

    @property
    def authorization(self) -> str | None:
        """The value of the header Proxy-Authorization."""
        if self.credentials is None:
            return None
        return f"Basic {b64encode(self.credentials.encode()).decode()}"


class Dialer:
    """Opens connections to one origin. It never blocks the loop, nor asks for a name twice at the same time."""

    def __init__(self, origin: Origin, proxy: Origin | None, trust: ssl.SSLContext) -> None:
        self._origin = origin
        self._proxy = proxy
        self._trust = trust
        self._addresses: asyncio.Future[list[Any]] | None = None
        self._asked_at = 0.0

    async def dial(self, gone: Callable[[Connection], None], deadline: float) -> Connection:
        """A fresh connection, by `deadline` on the loop's clock. Raises BrokenError; nothing was sent then."""
        phase = ErrorType.DNS_TIMEOUT
        try:
            async with asyncio.timeout_at(deadline):
                addresses = await self._look_up()
                phase = ErrorType.CONNECT_TIMEOUT
                connection = await self._connect(addresses, gone)
                if self._proxy is not None and self._origin.encrypted:
                    await self._tunnel(connection, deadline)
                return connection
        except TimeoutError as error:
            raise BrokenError(Cause(phase, sent=False), f"no connection to {self._next.authority}") from error
        except OSError as error:
            self._asked_at = 0.0  # the addresses may be out of date
            raise BrokenError(connecting(error), str(error) or "closed in the handshake") from error

    @property
    def _next(self) -> Origin:
        return self._proxy or self._origin

    async def _look_up(self) -> list[Any]:
        loop = asyncio.get_running_loop()
        while True:
            asked = self._addresses
            if asked is None or (asked.done() and loop.time() - self._asked_at > NAMES_KEPT_S):
                return await self._ask()
            await asyncio.wait((asked,))
            if not asked.cancelled():
                return asked.result()

    async def _ask(self) -> list[Any]:
        """Ask the resolver for all who wait; should this task be cancelled, one of them asks anew."""
        loop = asyncio.get_running_loop()
        asked: asyncio.Future[list[Any]] = loop.create_future()
        self._addresses = asked
        try:
            found = await loop.getaddrinfo(self._next.host, self._next.port, type=socket.SOCK_STREAM)
        except OSError as error:
            asked.set_exception(error)
        except UnicodeError as error:
            asked.set_exception(socket.gaierror(socket.EAI_NONAME, f"no name of a host: {error}"))
        except BaseException:
            asked.cancel()
            self._addresses = None
            raise
        else:
            asked.set_result(found)
            self._asked_at = loop.time()
            return found
        self._addresses = None
        return asked.result()

    async def _connect(self, addresses: list[Any], gone: Callable[[Connection], None]) -> Connection:
        try:
            sock = await aiohappyeyeballs.start_connection(
                addresses, happy_eyeballs_delay=SECOND_ADDRESS_S if len(addresses) > 1 else None
            )
        except OSError as error:
            number = _most_telling(error)
            if number is None:
                raise
            raise OSError(number, str(error)) from error
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: Connection(gone),
            sock=sock,
            ssl=self._trust if self._next.encrypted else None,
            server_hostname=self._next.host if self._next.encrypted else None,
        )
        return connection

    async def _tunnel(self, connection: Connection, deadline: float) -> None:
        """Have the proxy connect to the origin, and speak TLS with that."""
        assert self._proxy is not None
        target = f"{self._origin.host}:{self._origin.port}"
        lines = [f"CONNECT {target} HTTP/1.1", f"host: {target}"]
        if self._proxy.authorization:
            lines.append(f"proxy-authorization: {self._proxy.authorization}")
        try:
            reply = await connection.exchange(
                "\r\n".join([*lines, "", ""]).encode(), deadline, tunnelling=True
            )
        except BrokenError as error:
            raise BrokenError(Cause(ErrorType.PROXY_ERROR, sent=False), str(error)) from error
        if not 200 <= reply.status < 300:
            connection.close()
            kind = ErrorType.PROXY_AUTH_REQUIRED if reply.status == 407 else ErrorType.PROXY_ERROR
            raise BrokenError(Cause(kind, sent=False), f"the proxy opened no tunnel: HTTP {reply.status}")
        transport = await asyncio.get_running_loop().start_tls(
            connection.transport, connection, self._trust, server_hostname=self._origin.host
        )
        if transport is None:
            raise ConnectionResetError("closed in the handshake")
        connection.connection_made(transport)


def _most_telling(error: OSError) -> int | None:
    """The errors of several addresses come in words only: how one failed that could be reached says most."""
    if error.errno is not None:
        return None
    numbers = [int(number) for number in _ERRNO.findall(str(error))]
    return next((number for number in numbers if number not in _UNREACHABLE), next(iter(numbers), None))
