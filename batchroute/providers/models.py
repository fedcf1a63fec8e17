"""Names of models: whether the one that answered is the one that was asked."""

import re
from functools import lru_cache
from typing import Final

# A date or a revision, as in gpt-4o-2024-08-06, claude-sonnet-4-20250514, gemini-1.5-pro-002, mistral-large-2411.
_REVISION: Final = re.compile(r"[-@:](?:\d{4}-\d{2}-\d{2}|\d{8}|\d{6}|\d{3,4}|latest)$")


@lru_cache(maxsize=4096)
def substituted(asked: str, answered: str | None) -> bool:
    """Whether another model answered. A dated name of the one asked is the same model; silence is no evidence."""
    if answered is None or answered == asked:
        return False
    wanted, got = _plain(asked), _plain(answered)
    return got != wanted and _REVISION.sub("", got) != wanted.removesuffix("-latest")


def _plain(name: str) -> str:
    """Without the path some hosts put before it, such as `openai/` or `models/`, in lower case."""
    return name.rsplit("/", 1)[-1].lower()
