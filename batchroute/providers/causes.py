"""Where a connection broke: known to the wire, read from the exceptions of the SDK's HTTP client."""

import asyncio
import errno
import socket
import ssl
from collections.abc import Iterator
from typing import Final, NamedTuple

import httpx2

from batchroute.core.responses import ErrorType


class Cause(NamedTuple):
    """Why there was no reply, and whether the request may have reached the model."""

    error_type: ErrorType
    sent: bool


class BrokenError(Exception):
    """The wire's exchange ended without a whole reply; `cause` is why."""

    def __init__(self, cause: Cause, words: str) -> None:
        super().__init__(words)
        self.cause = cause


_LOCAL: Final = Cause(ErrorType.LOCAL_RESOURCE, sent=False)
_UNREACHABLE: Final = Cause(ErrorType.NETWORK_UNREACHABLE, sent=False)
_UNTRUSTED: Final = Cause(ErrorType.TLS_VERIFY_FAILED, sent=False)
_NO_HANDSHAKE: Final = Cause(ErrorType.TLS_HANDSHAKE_FAILED, sent=False)
_NO_NAME: Final = Cause(ErrorType.DNS_FAILURE, sent=False)
_NO_CREDENTIALS: Final = Cause(ErrorType.PROXY_AUTH_REQUIRED, sent=False)
_PROXY: Final = Cause(ErrorType.PROXY_ERROR, sent=False)
_POOL: Final = Cause(ErrorType.POOL_EXHAUSTED, sent=False)
_SLOW_CONNECT: Final = Cause(ErrorType.CONNECT_TIMEOUT, sent=False)
_SLOW: Final = Cause(ErrorType.ATTEMPT_TIMEOUT, sent=True)
_LOST: Final = Cause(ErrorType.CONNECTION_LOST, sent=True)
_NEVER_BEGAN: Final = Cause(ErrorType.CONNECTION_LOST, sent=False)
_CUT: Final = Cause(ErrorType.BODY_TRUNCATED, sent=True)
_GARBLED: Final = Cause(ErrorType.PROTOCOL_VIOLATION, sent=True)

_BY_ERRNO: Final = {
    errno.ECONNREFUSED: Cause(ErrorType.CONNECT_REFUSED, sent=False),
    errno.ENETUNREACH: _UNREACHABLE,
    errno.EHOSTUNREACH: _UNREACHABLE,
    errno.ENETDOWN: _UNREACHABLE,
    errno.EMFILE: _LOCAL,
    errno.ENFILE: _LOCAL,
    errno.ENOMEM: _LOCAL,
    errno.ENOBUFS: _LOCAL,
    errno.EADDRNOTAVAIL: _LOCAL,
}

# httpx2 tells these apart in words only, those of h11.
_PROTOCOL_WORDS: Final = (
    ("disconnected", _LOST),
    ("Receive buffer too long", Cause(ErrorType.HEADERS_TOO_LARGE, sent=True)),
)


def lost(error: BaseException, *, answered: bool = False) -> Cause:
    """The cause of a request that ended without a whole reply; `answered` if its head is known to have come."""
    for cause in _chain(error):
        if isinstance(cause, BrokenError):
            return cause.cause
        if isinstance(cause, httpx2.RequestError):
            return _of_reading(cause) if answered else _of_httpx(cause)
    return _by_errno(error) or _LOST


def slow(error: BaseException) -> Cause:
    """The cause of a request whose time ran out, in whichever phase."""
    for cause in _chain(error):
        if isinstance(cause, BrokenError):
            return cause.cause
        if isinstance(cause, httpx2.PoolTimeout):
            return _POOL
        if isinstance(cause, httpx2.ConnectTimeout):
            return _SLOW_CONNECT
        if isinstance(cause, httpx2.WriteTimeout):
            return Cause(ErrorType.WRITE_TIMEOUT, sent=False)
    return _SLOW


def connecting(error: Exception) -> Cause:
    """The cause of a connection that did not come about; nothing was sent."""
    for cause in _chain(error):
        match cause:
            case socket.gaierror():
                return _NO_NAME
            case ssl.SSLCertVerificationError():
                return _UNTRUSTED
            case ssl.SSLEOFError() | ssl.SSLZeroReturnError():
                return _NEVER_BEGAN
            case ssl.SSLError():
                return _NO_HANDSHAKE
            case _:
                pass
    return _by_errno(error) or _NEVER_BEGAN


def told(error: BaseException) -> str:
    """The deepest cause in its own words.

    What was being handled when an error was raised counts as its cause only where the error says nothing itself;
    and what was under way when a request was cancelled did not cause that.
    """
    deepest = ""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, asyncio.CancelledError):
        own = str(cause)
        deepest = own or deepest
        cause = cause.__cause__ or (None if own else cause.__context__)
    return deepest


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _by_errno(error: BaseException) -> Cause | None:
    for cause in _chain(error):
        known = _BY_ERRNO.get(cause.errno or 0) if isinstance(cause, OSError) else None
        if known is not None:
            return known
    return None


def _of_reading(error: httpx2.RequestError) -> Cause:
    garbled = isinstance(error, httpx2.RemoteProtocolError) and "peer closed" not in str(error)
    return _GARBLED if garbled else _CUT


def _of_httpx(error: httpx2.RequestError) -> Cause:
    if isinstance(error, httpx2.ProxyError):
        return _NO_CREDENTIALS if str(error).startswith("407") else _PROXY
    if isinstance(error, httpx2.ConnectError):
        return connecting(error)
    if isinstance(error, httpx2.RemoteProtocolError):
        return next((cause for words, cause in _PROTOCOL_WORDS if words in str(error)), _GARBLED)
    if isinstance(error, httpx2.UnsupportedProtocol | httpx2.LocalProtocolError):
        return Cause(ErrorType.UNCLASSIFIED, sent=False)
    return _by_errno(error) or _LOST
