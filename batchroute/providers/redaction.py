"""Secrets kept out of whatever is written: by value, in every form an error message is known to repeat them."""

import base64
import json
import re
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

MASK: Final = "[redacted]"

_SHORTEST: Final = 4  # a shorter word is in too many sentences, and is no secret
_PREFIX: Final = 8
_KEY_LIKE: Final = r"\bsk-[\w*.-]{6,}"  # providers echo keys half hidden: sk-ab********cd


class Redactor:
    """Replaces the given secrets, and whatever looks like an OpenAI key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        forms = sorted({form for secret in known for form in _forms(secret)}, key=len, reverse=True)
        heads = sorted(secret[:_PREFIX] for secret in known if len(secret) >= 2 * _PREFIX)
        patterns = [*map(re.escape, forms), *(rf"{re.escape(head)}[^\s\"',}}]*" for head in heads), _KEY_LIKE]
        self._pattern = re.compile("|".join(patterns))

    def __repr__(self) -> str:
        return "Redactor()"

    def clean(self, text: str) -> str:
        """The text with MASK in the place of every secret."""
        return self._pattern.sub(MASK, text)


def passwords(url: str | None) -> tuple[str, ...]:
    """The secrets of a URL with credentials: the password, as written and as meant."""
    written = urlsplit(url).password if url else None
    return (written, unquote(written)) if written else ()


def _forms(secret: str) -> set[str]:
    octets = secret.encode(errors="surrogatepass")
    return {
        secret,
        quote(octets, safe=""),
        quote_plus(octets),
        base64.b64encode(octets).decode().rstrip("="),
        base64.urlsafe_b64encode(octets).decode().rstrip("="),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
    }
