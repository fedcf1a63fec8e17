"""A store to look at: a copy of the one in an output directory, so that looking changes nothing and disturbs no run."""

import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from batchroute.core.errors import OutputError
from batchroute.io.files import STORE_NAME
from batchroute.io.locks import is_locked
from batchroute.io.store import MARK_SUFFIX, Store


@contextmanager
def snapshot(directory: Path) -> Iterator[Store]:
    """The store as it stands, to be thrown away afterwards; an empty one where no run has begun. Raises OutputError."""
    with TemporaryDirectory(prefix="batchroute-") as copy:
        try:
            if (directory / STORE_NAME).exists():
                _copy(directory / STORE_NAME, Path(copy) / STORE_NAME)
        except (OSError, sqlite3.Error) as error:
            raise OutputError(
                f"{directory / STORE_NAME} cannot be copied: {error}. Free space where temporary files go (TMPDIR), "
                "or allow the output to be read."
            ) from error
        store = Store(Path(copy))
        try:
            yield store
        finally:
            store.close()


def _copy(store: Path, copy: Path) -> None:
    """By its files where no run holds it; else through SQLite, which reads beside the one that writes."""
    if not is_locked(store.parent):
        for suffix in ("", "-wal", MARK_SUFFIX):
            file = store.with_name(store.name + suffix)
            if file.exists():
                shutil.copyfile(file, copy.with_name(copy.name + suffix))
        if not is_locked(store.parent):  # or a run has begun meanwhile, and what was copied may be torn
            return
        for suffix in ("", "-wal", MARK_SUFFIX):
            copy.with_name(copy.name + suffix).unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(f"{store.absolute().as_uri()}?mode=ro", uri=True)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
