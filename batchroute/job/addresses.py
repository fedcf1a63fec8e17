"""What may stand in a URL, a header and a key, before any of them meets the network.

Messages never repeat the value: each of these may hold a secret.
"""

import re
from ipaddress import ip_address
from typing import Annotated, Final, TypeAlias
from urllib.parse import SplitResult, urlsplit

from pydantic import AfterValidator, SecretStr, StringConstraints

_ENDPOINTS: Final = ("/chat/completions", "/completions", "/responses", "/embeddings")
HEADER_NAME: Final = r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$"  # RFC 9110, section 5.6.2
_OWNED_HEADERS: Final = {
    "authorization": "Put the key in api_key",
    "host": "Put the host in base_url",
    "content-length": "Leave it out",
    "content-type": "Leave it out",
    "transfer-encoding": "Leave it out",
    "connection": "Leave it out",
    "accept-encoding": "Leave it out",
}
_SECRET_HEADER: Final = re.compile(r"key|token|auth|secret|cookie", re.IGNORECASE)
_REAL_KEY: Final = re.compile(r"(?=.*[0-9])(?=.*[A-Za-z])[!-~]{20,}")


def base_url(url: str) -> str:
    """Accept the root of an OpenAI-compatible API; returns it without a closing slash."""
    parts = _parts(url)
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not hold a user name or password. Put the key in api_key")
    if "?" in url or "#" in url:
        raise ValueError(
            "must not hold a query or a fragment. Cut it there; a key goes to api_key or headers"
        )
    for endpoint in _ENDPOINTS:
        if parts.path.rstrip("/").endswith(endpoint):
            raise ValueError(f"must be the root of the API. Cut {endpoint} off its end")
    return url.rstrip("/")


def proxy_url(secret: SecretStr) -> SecretStr:
    """Accept `http://[user:password@]host:port`."""
    _parts(secret.get_secret_value())
    return secret


def notice_url(secret: SecretStr) -> SecretStr:
    """Accept a URL that notices are sent to. Its path or query is what lets them in."""
    _parts(secret.get_secret_value())
    return secret


def header_name(name: str) -> str:
    """Refuse the headers that a request sets itself."""
    advice = _OWNED_HEADERS.get(name.lower())
    if advice:
        raise ValueError(f"{name} is set by batchroute itself. {advice}")
    return name


def header_value(secret: SecretStr) -> SecretStr:
    """Refuse what would end the header or start another."""
    text = secret.get_secret_value()
    if not (text.isascii() and text.isprintable()):
        raise ValueError("must be one line of printable ASCII. Look for a line break at the end of the value")
    return secret


def key(secret: SecretStr) -> SecretStr:
    """Refuse a key that no provider can have issued."""
    text = secret.get_secret_value()
    if not text:
        raise ValueError("must not be empty. Write EMPTY where the server wants no key, or leave it out")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ValueError("holds a blank, a line break or a letter beyond ASCII. Set it again, without them")
    return secret


def looks_real(text: str) -> bool:
    """Whether a literal is more likely a key than a stand-in such as EMPTY or changeme."""
    return _REAL_KEY.fullmatch(text) is not None


def names_a_secret(header: str) -> bool:
    """Whether the value of a header that is called so is a secret, short or not."""
    return _SECRET_HEADER.search(header) is not None


def is_loopback(url: str) -> bool:
    """Whether the host of a URL is this machine, so that plain http shows a key to nobody.

    Raises ValueError for what is no URL.
    """
    host = _parts(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _parts(url: str) -> SplitResult:
    """The parts of a URL; scheme, host and port are read here, so that a fault shows now."""
    if not url.isprintable() or " " in url:
        raise ValueError("must not hold blanks or line breaks. Remove them")
    try:
        parts = urlsplit(url)
        known = bool(parts.hostname) and parts.port != 0
    except ValueError:  # half a bracket, a port that is no number
        known = False
    if not known or parts.scheme not in {"http", "https"}:
        raise ValueError("must begin with https:// or http:// and a host. Write https://host/v1")
    return parts


BaseUrl: TypeAlias = Annotated[str, AfterValidator(base_url)]
ProxyUrl: TypeAlias = Annotated[SecretStr, AfterValidator(proxy_url)]
NoticeUrl: TypeAlias = Annotated[SecretStr, AfterValidator(notice_url)]
ApiKey: TypeAlias = Annotated[SecretStr, AfterValidator(key)]
HeaderName: TypeAlias = Annotated[str, StringConstraints(pattern=HEADER_NAME), AfterValidator(header_name)]
HeaderValue: TypeAlias = Annotated[SecretStr, AfterValidator(header_value)]
