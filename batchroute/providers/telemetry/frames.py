"""What a run and the process that exports for it say to each other."""

from collections.abc import Iterator, Sequence

from msgspec import Struct, json, msgpack

from batchroute.core.attempts import Attempt
from batchroute.core.conventions import Subject

_LENGTH_BYTES = 4
_encode = msgpack.Encoder().encode
_attempts = msgpack.Decoder(list[Attempt])


class Word(Struct, frozen=True, omit_defaults=True):
    """A line of the exporting process: how many attempts are done with, or what is wrong.

    `passing`: it will be tried again.
    """

    done: int = 0
    trouble: str | None = None
    passing: bool = False

    def line(self) -> bytes:
        return json.encode(self) + b"\n"

    @classmethod
    def read(cls, line: bytes) -> "Word":
        return json.decode(line, type=cls)


def opening(subject: Subject) -> bytes:
    """What comes first."""
    return _framed(_encode(subject))


def frame(attempts: Sequence[Attempt]) -> bytes:
    """Attempts as they follow."""
    return _framed(_encode(attempts))


class Frames:
    """Puts together what comes in pieces."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self.subject: Subject | None = None

    def attempts(self, piece: bytes) -> Iterator[list[Attempt]]:
        """The groups of attempts that are whole by now; the subject is known before the first of them."""
        self._pending += piece
        while (content := self._whole()) is not None:
            if self.subject is None:
                self.subject = msgpack.decode(content, type=Subject)
            else:
                yield _attempts.decode(content)

    def _whole(self) -> bytes | None:
        end = _LENGTH_BYTES + int.from_bytes(self._pending[:_LENGTH_BYTES])
        if len(self._pending) < max(end, _LENGTH_BYTES + 1):
            return None
        content = bytes(self._pending[_LENGTH_BYTES:end])
        del self._pending[:end]
        return content


def _framed(content: bytes) -> bytes:
    return len(content).to_bytes(_LENGTH_BYTES) + content
