"""Images of records, as URLs that go into a message: those of the network as they are, files and bytes in base64.

A record names its images, and records come from others: so a path leads nowhere but into the folder of the input, or
the one that the job declares, also by way of links. What a file is its first bytes tell, not its name.
"""

import os
import stat
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from batchroute.core.records import Fault, Record

MOST_BYTES: Final = 50_000_000
"""Of all images of a request (platform.openai.com, guide Images and vision, 2026-11)."""

_REMOTE: Final = ("http://", "https://")
_INLINE: Final = tuple(f"data:image/{kind};base64," for kind in ("png", "jpeg", "webp", "gif"))
_KINDS: Final = "PNG, JPEG, WebP or GIF"


class Images:
    """Finds the images of records in these columns.

    `folders` tells of every input file in which folder its paths begin, and out of which folder they may not lead;
    none for a file that is in no folder of this machine.
    """

    def __init__(
        self, columns: tuple[str, ...], *, most_bytes: int, folders: Mapping[str, tuple[Path, Path]]
    ) -> None:
        self._columns = columns
        self._most_bytes = most_bytes
        self._folders = folders
        self._roots: dict[Path, Path] = {}

    def of(self, record: Record) -> list[str] | Fault:
        """The images in order, as URLs; or why they cannot be sent: image_missing, image_outside, image_type or
        image_too_large. A null is no image, but a record has at least one. Reads files.
        """
        found: list[str] = []
        for column in self._columns:
            value = record.fields.get(column)
            for each in value if isinstance(value, list) else (value,):
                if each is not None:
                    url = self._url(column, each, record.file)
                    if isinstance(url, Fault):
                        return url
                    found.append(url)
        if not found:
            named = " and ".join(map(repr, self._columns))
            return Fault("image_missing", f"the record has no image in {named}")
        if sum(map(len, found)) > MOST_BYTES * 4 // 3 + len(found) * 32:
            return Fault("image_too_large", f"the images take more than {MOST_BYTES:,} bytes together")
        return found

    def _url(self, column: str, value: Any, file: str) -> str | Fault:
        if isinstance(value, str):
            if value.lower().startswith(_REMOTE):
                return value
            if value.startswith("data:"):
                return self._inline(column, value)
        content = value if isinstance(value, bytes) else self._content(column, value, file)
        if isinstance(content, Fault):
            return content
        if len(content) > self._most_bytes:
            return self._too_large(column)
        kind = kind_of(content)
        if kind is None:
            return Fault("image_type", f"what {column!r} holds is no {_KINDS}")
        return f"data:image/{kind};base64,{b64encode(content).decode()}"

    def _inline(self, column: str, value: str) -> str | Fault:
        if not value.startswith(_INLINE):
            return Fault("image_type", f"what {column!r} holds is no {_KINDS} in base64")
        return self._too_large(column) if len(value) * 3 // 4 > self._most_bytes else value

    def _too_large(self, column: str) -> Fault:
        return Fault("image_too_large", f"the image in {column!r} takes more than {self._most_bytes:,} bytes")

    def _content(self, column: str, value: Any, file: str) -> bytes | Fault:
        """What a file holds, as far as it may be read."""
        if not isinstance(value, str) or not value:
            return Fault("image_type", f"{column!r} holds neither a URL nor a path nor bytes")
        if file not in self._folders:
            return Fault(
                "image_missing", f"{column!r} is a path, and the input is in no folder. Name image_folder"
            )
        begins, root = self._folders[file]
        try:
            path = Path(os.path.realpath(begins / value))
            if not path.is_relative_to(self._real(root)):
                return Fault("image_outside", f"{column!r} leads out of the folder of the input")
            return self._read(path)
        except (OSError, ValueError) as error:  # ValueError: a NUL in the path
            said = error.strerror if isinstance(error, OSError) else str(error)
            return Fault("image_missing", f"the image in {column!r} cannot be read: {said}")

    def _real(self, root: Path) -> Path:
        real = self._roots.get(root)
        if real is None:
            real = self._roots[root] = Path(os.path.realpath(root))
        return real

    def _read(self, path: Path) -> bytes:
        """One byte more than is allowed at most. Raises OSError for what is no plain file."""
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as opened:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OSError(None, "it is no plain file")
            return opened.read(self._most_bytes + 1)


def kind_of(content: bytes) -> str | None:
    """The image type that the first bytes tell; None for any other."""
    if content.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if content.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if content.startswith((b"GIF87a", b"GIF89a")):
        return "gif"
    return "webp" if content[:4] == b"RIFF" and content[8:12] == b"WEBP" else None
