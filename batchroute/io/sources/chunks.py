"""What a reader of one file hands on, and how it says that the file let it down."""

from msgspec import Struct

from batchroute.core.errors import InputError
from batchroute.core.records import Batch
from batchroute.io.sources.files import SourceFile


class Chunk(Struct, frozen=True, kw_only=True):
    """A batch, and how far into its file it reaches. `blank_lines` were skipped on the way.

    `marks` are lines that began with a byte order mark, save a file's first.
    """

    batch: Batch
    bytes_read: int
    blank_lines: int = 0
    marks: int = 0


def changed(file: SourceFile) -> InputError:
    return InputError(
        f"{file.name} was changed or replaced while it was read. Run again to read it as it is now",
        code="input_changed",
    )


def damaged(file: SourceFile, error: OSError) -> InputError:
    return InputError(f"{file.name} cannot be read further: {error.strerror}", code="input_io")
