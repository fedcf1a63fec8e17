"""A file that holds one key and nothing else, as secret stores of containers and systemd provide them."""

import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, TypeAlias

from pydantic import BeforeValidator, SecretStr, ValidationInfo, WithJsonSchema

from batchroute.job.addresses import key
from batchroute.job.paths import Origin

MAX_BYTES: Final = 16 << 10
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


@dataclass(frozen=True, slots=True)
class KeyFile:
    """A key, and the file that it was read from when the job was loaded."""

    path: Path
    key: SecretStr


def _key_file(value: Any, info: ValidationInfo) -> Any:
    if not isinstance(value, str) or not value:
        return value
    origin = info.context
    path = Path(origin.absolute(value) if isinstance(origin, Origin) else value)
    return KeyFile(path, key(SecretStr(_line(path))))


def _line(path: Path) -> str:
    """What the file holds, without the line break at its end. Raises ValueError."""
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ValueError(f"cannot be read ({error.strerror}). Write the key into {path}") from error
    if len(content) > MAX_BYTES:
        raise ValueError(f"is larger than {MAX_BYTES >> 10} KiB. Keep one key in it and nothing else")
    return content.decode(errors="replace").rstrip("\r\n")


def readable_by_others(path: Path) -> int | None:
    """The mode of a file that other users may read or change, or None.

    The group may read one that belongs to somebody else: that is how systemd and Kubernetes lend a key.
    """
    try:
        found = path.stat()
    except OSError:
        return None  # refused elsewhere
    lent = 0 if found.st_uid == os.geteuid() else stat.S_IRGRP
    mode = stat.S_IMODE(found.st_mode)
    return mode if mode & _OTHERS & ~lent else None


KeyFilePath: TypeAlias = Annotated[
    KeyFile, BeforeValidator(_key_file), WithJsonSchema({"type": "string", "minLength": 1})
]
"""A path in the job file; its key in a loaded job."""
