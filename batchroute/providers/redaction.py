"""Secrets kept out of whatever is written: by value, in every form an error message is known to repeat them."""

import base64
import json
import re
from collections.abc import Iterable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus, unquote, urlsplit

from batchroute.job.addresses import looks_real, names_a_secret
from batchroute.job.jobs import Job, Provider

MASK: Final = "[redacted]"
_ESCAPE: Final = "\\u"

SHORTEST_KEY: Final = 8
"""Characters of the shortest key that is taken out of everything: a shorter one is in too many words."""

_SHORTEST: Final = (
    4  # of what is taken out of errors: a shorter word is in too many sentences, and is no secret
)
_PREFIX: Final = 8
_URLSAFE: Final = str.maketrans("+/", "-_")
_KEY_LIKE: Final = r"\bsk-[\w*.-]{6,}"  # providers echo keys half hidden: sk-ab********cd


class Redactor:
    """Replaces the given secrets, and whatever looks like an OpenAI key."""

    def __init__(self, secrets: Iterable[str]) -> None:
        known = {secret for secret in secrets if len(secret) >= _SHORTEST}
        forms = sorted({form for secret in known for form in _forms(secret)}, key=len, reverse=True)
        long = {secret for secret in known if len(secret) >= 2 * _PREFIX}
        heads = sorted({form[:_PREFIX] for secret in long for form in _forms(secret)})
        patterns = [*map(re.escape, forms), *(rf"{re.escape(head)}[^\s\"',}}]*" for head in heads), _KEY_LIKE]
        self._pattern = re.compile("|".join(patterns))

    def __repr__(self) -> str:
        return "Redactor()"

    def clean(self, text: str) -> str:
        """The text with MASK in the place of every secret, of the beginning of one, and of what looks like one."""
        return self._pattern.sub(MASK, text)


class Keys:
    """Whole keys, in every form of theirs, and nothing that merely looks like one."""

    def __init__(self, keys: Iterable[str]) -> None:
        keys = tuple(keys)
        self.forms: Final = tuple(
            sorted({form for key in keys for form in _forms(key)}, key=len, reverse=True)
        )
        self._spelled = re.compile("|".join(map(_in_json, keys)) or "(?!)")

    def __repr__(self) -> str:
        return "Keys()"

    @classmethod
    def for_answers(cls, secrets: Iterable[str]) -> "Keys":
        """What no answer repeats, though it may speak of keys: what surely is one, and no word."""
        return cls(secret for secret in secrets if looks_real(secret))

    @classmethod
    def for_names(cls, keys: Iterable[str]) -> "Keys":
        """What beside that no id and no name repeats: keys that could as well be words of an answer."""
        return cls(key for key in keys if len(key) >= SHORTEST_KEY and not looks_real(key))

    def stand_in(self, text: str) -> bool:
        """Whether one of them is repeated. That takes some tenths of a microsecond."""
        return any(form in text for form in self.forms) or (
            _ESCAPE in text and self._spelled.search(text) is not None
        )

    def taken_out(self, text: str) -> str:
        """The text with MASK in their place."""
        for form in self.forms:
            text = text.replace(form, MASK)
        return self._spelled.sub(MASK, text) if _ESCAPE in text else text


def keys_of(api_key: str | None, headers: Mapping[str, str]) -> tuple[str, ...]:
    """What lets one in at a provider: its key, and the words of a header that is called as if it were one."""
    named = (value for header, value in headers.items() if names_a_secret(header))
    return (*([] if api_key is None else [api_key]), *(word for value in named for word in value.split()))


def passwords(url: str | None) -> tuple[str, ...]:
    """The secrets of a URL with credentials: the password, as written and as meant."""
    written = urlsplit(url).password if url else None
    return (written, unquote(written)) if written else ()


def secrets_of_provider(spec: Provider) -> tuple[str, ...]:
    """The key of a provider, the values of its headers, and the password of its proxy."""
    keys = () if spec.key is None else (spec.key.get_secret_value(),)
    proxy = spec.proxy.get_secret_value() if spec.proxy is not None else None
    return (*keys, *(value.get_secret_value() for value in spec.headers.values()), *passwords(proxy))


def secrets_of(job: Job) -> tuple[str, ...]:
    """All secrets of a job. Short ones but for keys are none here: they are in too many sentences."""
    keys = [key for spec in job.providers.values() for key in _keys_of(spec) if len(key) >= SHORTEST_KEY]
    given = [secret for spec in job.providers.values() for secret in secrets_of_provider(spec)]
    urls = [] if job.notify is None else [job.notify.webhook, job.notify.ping]
    given += [word for url in urls if url is not None for word in secrets_of_url(url.get_secret_value())]
    given += [*job.input.storage_options.secrets(), *job.output.storage_options.secrets()]
    return (*keys, *(secret for secret in given if len(secret) >= 2 * _PREFIX))


def _keys_of(spec: Provider) -> tuple[str, ...]:
    key = None if spec.key is None else spec.key.get_secret_value()
    return keys_of(key, {header: value.get_secret_value() for header, value in spec.headers.items()})


def secrets_of_url(url: str) -> tuple[str, ...]:
    """What must not be told of a URL that is a secret: all of it, what follows its host, each long part of that."""
    parts = urlsplit(url)
    path = parts.path.strip("/")
    words = (path, parts.query, *path.split("/"), parts.password or "")
    return (url, *(word for word in words if len(word) >= _PREFIX))


def _forms(secret: str) -> set[str]:
    octets = secret.encode(errors="surrogatepass")
    percent = quote(octets, safe="")
    return {
        secret,
        percent,
        re.sub("%..", lambda match: match[0].lower(), percent),
        quote_plus(octets),
        *_in_base64(octets),
        json.dumps(secret)[1:-1],
        json.dumps(secret)[1:-1].replace("/", "\\/"),
        repr(secret)[1:-1],
    }


def _in_json(secret: str) -> str:
    """A pattern for it in JSON, whichever of its characters are written by their number; none is beyond 16 bits."""
    return "".join(rf"(?:{re.escape(char)}|\\u(?i:{ord(char):04x}))" for char in secret)


def _in_base64(octets: bytes) -> set[str]:
    """How it reads in base64 by itself, and after other octets, as in `user:key`: what is surely its own of it."""
    forms = {base64.b64encode(octets).decode().rstrip("=")}
    for before in range(3):
        first = -(-before * 4 // 3)  # the first character that tells of the secret alone
        whole = (before + len(octets)) * 4 // 3
        forms.add(base64.b64encode(b"\0" * before + octets).decode()[first:whole])
    return forms | {form.translate(_URLSAFE) for form in forms}
