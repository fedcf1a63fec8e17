"""Answers of models by the digest of what was asked: one SQLite file that outlives runs and is no part of a dataset.

It is a cache: whatever is wrong with it, a run goes on without it. What answers say is customers' data: the file is
0600, its folder 0700, and no key is in it.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from threading import Lock
from typing import Final
from zlib import crc32

import msgspec
import zstandard
from msgspec import Struct

from batchroute.core.responses import Usage

ANSWERS_NAME: Final = "answers.db"
SET_ASIDE: Final = ".damaged"
"""What is added to the name of a file that cannot be used."""
BUSY_S: Final = 1.0
_APPLICATION: Final = 0x62_72_63_61  # "brca", as SQLite's application_id
_VERSION: Final = 1
_SCHEMA: Final = f"""
pragma auto_vacuum = incremental;
begin;
create table answers(id integer primary key, key blob not null unique, at integer not null, payload blob not null);
pragma application_id = {_APPLICATION};
pragma user_version = {_VERSION};
commit;
"""
_NEVER_REACHED: Final = 2**63 - 1
_DROP_OLDER: Final = f"""delete from answers where id < coalesce(
    (select id from answers where at >= ? order by id limit 1), {_NEVER_REACHED})"""  # noqa: S608
"""Later answers have higher numbers, so that only those that are dropped are looked at, and one more."""
_AT_ONCE: Final = 10_000
_PRUNED_AT_ONCE: Final = 1_000
_MIN_BYTES: Final = 64 << 10
"""What the file takes with nothing in it, and a little more."""

Damage = (sqlite3.Error, OSError)
"""What may go wrong with the file."""
_NOT_ITS_FAULT: Final = {
    sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_PERM, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT,
}  # fmt: skip


class Kept(Struct, frozen=True, array_like=True):
    """A complete answer, as it was accepted."""

    content: str
    finish_reason: str | None
    usage: Usage | None
    response_model: str | None
    vectors: tuple[bytes, ...] = ()
    """Of a request for vectors, which has no content."""


_encode: Final = msgspec.msgpack.Encoder().encode
_decode: Final = msgspec.msgpack.Decoder(Kept).decode
_PLAIN, _COMPRESSED = b"\0", b"\1"
_UNREADABLE: Final = (msgspec.DecodeError, zstandard.ZstdError, UnicodeDecodeError)
_WORTH_COMPRESSING: Final = 1024
"""Bytes of an answer; a shorter one loses a fifth, which takes ten times as long as all else about it."""


def packed(kept: Kept) -> bytes:
    """An answer as the file holds it: how it is packed, a checksum, and what it is."""
    encoded = _encode(kept)
    if len(encoded) < _WORTH_COMPRESSING:
        return _PLAIN + crc32(encoded).to_bytes(4) + encoded
    compressed = zstandard.compress(encoded, 1)  # with a context of its own: it is called in threads
    return _COMPRESSED + crc32(compressed).to_bytes(4) + compressed


def unpacked(payload: object) -> Kept | None:
    """What `packed`, or an earlier version, has packed; None where it is damaged, whatever the file gives then."""
    if not isinstance(payload, bytes):
        return None
    form, told, body = payload[:1], payload[1:5], payload[5:]
    try:
        if payload.startswith(zstandard.FRAME_HEADER):
            return _decode(zstandard.decompress(payload))
        if form not in (_PLAIN, _COMPRESSED) or crc32(body).to_bytes(4) != told:
            return None
        return _decode(zstandard.decompress(body) if form == _COMPRESSED else body)
    except _UNREADABLE:
        return None


class Answers:
    """The file, open; one run at a time. Safe in threads. Every method raises one of `Damage` where it cannot be used."""

    def __init__(self, directory: Path) -> None:
        path = directory / ANSWERS_NAME
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600))
        self._db = sqlite3.connect(path, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
        self._turn = Lock()
        try:
            self._prepare()
            self._newest = self._db.execute("select coalesce(max(id), 0) from answers").fetchone()[0]
        except BaseException:
            self._db.close()
            raise

    def _prepare(self) -> None:
        db = self._db
        db.execute("pragma trusted_schema = off")
        if not db.execute("select count(*) from sqlite_master").fetchone()[0]:
            db.executescript(_SCHEMA)
        told = [db.execute(f"pragma {name}").fetchone()[0] for name in ("application_id", "user_version")]
        if told != [_APPLICATION, _VERSION]:
            raise sqlite3.DatabaseError("it is damaged, or no file of answers")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
        db.execute("pragma journal_size_limit = 0")
        db.execute("pragma cache_size = -16000")

    def find(self, keys: Sequence[bytes], since: float, *, inherited: bool = False) -> dict[bytes, bytes]:
        """The answers to these that were given at this time or later, seconds since the epoch: `unpacked` reads them.

        `inherited`: only those that were there when the file was opened.
        """
        newest = self._newest if inherited else _NEVER_REACHED
        found: dict[bytes, bytes] = {}
        for start in range(0, len(keys), _AT_ONCE):
            some = keys[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            with self._turn:
                found |= self._db.execute(  # +id: it is no reason to read all that were there
                    f"select key, payload from answers where key in ({marks}) and at >= ? and +id <= ?",  # noqa: S608
                    (*some, int(since), newest),
                ).fetchall()
        return found

    def keep(self, answers: Sequence[tuple[bytes, Kept]], at: float) -> None:
        """Take answers in, given at this time, in the place of earlier ones to the same."""
        rows = [(key, int(at), packed(kept)) for key, kept in answers]
        with self._turn, self._db:
            self._db.execute("begin immediate")
            self._db.executemany("insert or replace into answers(key, at, payload) values(?, ?, ?)", rows)

    def prune(self, since: float, most_bytes: int) -> None:
        """Drop what is older than this time, and then the oldest until the file takes no more than so many bytes."""
        with self._turn:
            self._prune(since, most_bytes)

    def _prune(self, since: float, most_bytes: int) -> None:
        self._db.execute(_DROP_OLDER, (int(since),))
        self._shrink()
        while self.bytes > max(most_bytes, _MIN_BYTES):
            dropped = self._db.execute(
                "delete from answers where id in (select id from answers order by id limit ?)",
                (_PRUNED_AT_ONCE,),
            ).rowcount
            if not dropped:
                return
            self._shrink()

    def _shrink(self) -> None:
        self._db.executescript("pragma incremental_vacuum")  # execute would free one page

    @property
    def bytes(self) -> int:
        """What its answers take, its log left out."""
        names = ("page_count", "freelist_count", "page_size")
        pages, free, size = (self._db.execute(f"pragma {name}").fetchone()[0] for name in names)
        return int((pages - free) * size)

    def close(self) -> None:
        """Wait for whoever is at it in another thread, and close."""
        with self._turn:
            self._db.close()


def opened(directory: Path) -> tuple[Answers, str | None]:
    """The answers in a directory that this run holds; what is no such file is set aside, and told. Raises one of `Damage`.

    The file is not read as a whole, which would take seconds where it is large: what is damaged in it shows in use.
    """
    try:
        return Answers(directory), None
    except sqlite3.DatabaseError as error:
        if not is_damaged(error):
            raise
        return renewed(directory, error)


def is_damaged(error: Exception) -> bool:
    """Whether the file is to blame, and not who else has it open, a full disk, or whoever has closed it."""
    if not isinstance(error, sqlite3.DatabaseError) or isinstance(error, sqlite3.ProgrammingError):
        return False
    code = getattr(error, "sqlite_errorcode", None)
    return code is None or code & 0xFF not in _NOT_ITS_FAULT


def renewed(directory: Path, error: Exception) -> tuple[Answers, str]:
    """A new file in the place of one that is damaged and closed, and what was done. Raises one of `Damage`."""
    path = directory / ANSWERS_NAME
    aside = path.with_name(f"{path.name}{SET_ASIDE}")
    path.replace(aside)
    for log in ("-wal", "-shm"):
        path.with_name(f"{path.name}{log}").unlink(missing_ok=True)
    return Answers(directory), f"{path}: {error}. It was set aside as {aside.name}, and a new one begun"
