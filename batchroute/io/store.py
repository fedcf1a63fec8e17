"""state.db: what is committed and not yet in a part, and what a resume needs.

The heart is a journal with one row a group commit: every attempt that is about to start and every attempt
and result that ended since the last one. A kill -9 loses nothing that was committed; a thread flushes the
write-ahead log for the case of a power loss. Everything else in the database changes only when the journal
is projected into parts.

One connection, one thread: SQLite before 3.51.3 can corrupt a database that several connections checkpoint.
"""

import os
import sqlite3
import zlib
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from enum import IntEnum
from pathlib import Path
from typing import Any

import msgspec
import zstandard
from msgspec import Struct

from batchroute.core.attempts import Attempt, Reuse
from batchroute.core.errors import OutputError
from batchroute.core.results import NOTHING_SPENT, Result, Status, Totals
from batchroute.io.files import STORE_NAME, write_at
from batchroute.io.manifest import Part

SCHEMA_VERSION = 4
MARK_SUFFIX = "-mark"
"""Beside the database stands how far it had surely come: a log that was deleted or an old copy shows against it."""
CHECKPOINT_BYTES = 16 << 20
_PART = "part:"

_SCHEMA = """
create table meta(key text primary key, value text not null) without rowid;
create table records(seq integer primary key, record_id text not null unique, state integer not null,
                     file text not null, line integer not null,
                     request integer, stale integer not null default 0, part integer, tail integer);
create table journal(id integer primary key, results integer not null, payload blob not null);
create table dead_letters(seq integer primary key, payload blob not null);
create table carried(seq integer primary key, payload blob not null);
create table reopened(seq integer primary key, part integer not null, totals blob not null);
"""
"""`request` is the fingerprint of what an answer answers, `part` the number of the part that holds it, `tail` tells with the
fingerprint which other records it answers. Answered records that are asked again stand in `reopened` until their next result is in that part."""

_ADDED = "create table if not exists told(question integer primary key, answer blob not null);"
"""What classifying models have said. Beside the schema, as earlier versions of it lack nothing else."""

_FROM_1 = """
alter table records add column request integer;
alter table records add column stale integer not null default 0;
alter table records add column part integer;
create table reopened(seq integer primary key, part integer not null, totals blob not null);
"""
_FROM_2 = "alter table records add column tail integer;"
_OLDER = {1: _FROM_1 + _FROM_2, 2: _FROM_2, 3: ""}
"""What brings a state of an earlier version up to this one. Version 3 did not know of lines of reused answers in the journal,
and would lose them.
"""
_BY_DIGEST = "create index if not exists answered on records(request, tail) where tail notnull"
_WORTH_AN_INDEX = 4096
"""So many are looked for before it is made, since most jobs ask next to nothing twice: to keep it up costs every record."""
_SCAN = 256
"""As how many look-ups one counts that reads all records."""
_SHARED = "tail notnull and part notnull and state = 1 and seq not in (select seq from reopened)"
"""An answer that is asked for again may be replaced in its part at any moment: it is nobody else's."""
_ANSWERED = f"select record_id, part from records where request = ? and tail = ? and {_SHARED} limit 1"  # noqa: S608


class State(IntEnum):
    """How a record stands in the store."""

    PENDING = 0
    SUCCEEDED = 1
    FAILED = 2
    DEGRADED = 3


STATES = {Status.SUCCEEDED: State.SUCCEEDED, Status.FAILED: State.FAILED, Status.DEGRADED: State.DEGRADED}


_STATE = tuple(State)
_ROW = "seq, state, file, line, record_id, request, stale, part"
_Row = tuple[int, int, str, int, str, int | None, int, int | None]
"""Of a record: its number, its state, its place, its id, and what is known of its answer."""
_AT_ONCE = 10_000
"""Values bound to one statement; SQLite takes 32,766."""


_AT_A_STATEMENT = 256
"""Rows that are written at once, as every statement takes its time."""
_KEPT_STATEMENTS = 16
"""So many stay compiled: those of some hundred rows take memory, and come in many lengths."""
_ANSWER = """update records set state = now, request = asked, tail = rest, stale = 0, part = coalesce(part, ?)
from answer where seq = place"""
_OLDEST_SQLITE = (3, 33)
"""The first with UPDATE FROM (sqlite.org, release history, 2020-08); before 3.32 a statement takes 999 values."""


class Known(Struct, frozen=True, gc=False):
    """What the store says of a record that was just read.

    `first` names the place where its id was read before in this run; then all else is that record's. `request` is
    the fingerprint that its answer was given for, None where an earlier version kept none; `stale` says that the
    record asked for something else when it was last compared; `part` is the number of the part with its answer.
    """

    seq: int
    state: State
    first: str | None = None
    request: int | None = None
    stale: bool = False
    part: int | None = None

    @property
    def answered(self) -> bool:
        return self.state is State.SUCCEEDED or self.state is State.DEGRADED

    @property
    def comparable(self) -> bool:
        """Whether it has an answer, and it is known to what."""
        return self.answered and self.request is not None


class Group(Struct, array_like=True):
    """One group commit. A result stands with the number of its record.

    `shares` are what records bear of an attempt that is entered under one of them; they add up to nothing. `told` are
    answers of classifying models by question, which outlast the journal: what was paid for is not asked again. `reused`
    are the lines of records among the results for which nothing was sent, `lines` is what these have in common.
    """

    started: list[tuple[int, Attempt]]
    ended: list[tuple[int, Attempt]]
    results: list[tuple[int, Result]]
    shares: list[tuple[int, Totals]] = []
    told: list[tuple[int, bytes]] = []
    lines: list[Attempt] = []
    reused: list[tuple[int, Reuse]] = []

    @classmethod
    def empty(cls) -> "Group":
        return cls([], [], [])


class Position(Struct, frozen=True, order=True):
    """How far the store had come: exports finished, then the last row of the journal. It only ever grows."""

    exported: int
    row: int

    def packed(self) -> bytes:
        """As it stands in its file. Torn, it is no position."""
        text = b"%020d %020d" % (self.exported, self.row)
        return b"%b %08x" % (text, zlib.crc32(text))

    @classmethod
    def unpack(cls, packed: bytes) -> "Position | None":
        text, _, _ = packed.rpartition(b" ")
        if not text or packed != b"%b %08x" % (text, zlib.crc32(text)):
            return None
        exported, row = text.split()
        return cls(int(exported), int(row))


class Export(Struct, frozen=True):
    """A range of the journal on its way into parts: its last row, and the number that names the parts."""

    last_id: int
    number: int


class Settled(Struct, frozen=True):
    """What an export changes of the records: those that were answered, and the dead letters."""

    answered: list[tuple[int, int | None, int | None, int]]
    """(state, fingerprint, tail, number), as the update takes them."""
    failed: list[tuple[int, Result]]

    @classmethod
    def empty(cls) -> "Settled":
        return cls([], [])

    def add(self, group: Group) -> None:
        for seq, result in group.results:
            if result.status is Status.FAILED:
                self.failed.append((seq, result))
            else:
                self.answered.append((STATES[result.status], result.fingerprint, result.tail, seq))


_encode = msgspec.msgpack.Encoder().encode
_unpack_group = msgspec.msgpack.Decoder(Group).decode
_decode_result = msgspec.msgpack.Decoder(Result).decode
_decode_totals = msgspec.msgpack.Decoder(Totals).decode
_encode_json = msgspec.json.Encoder().encode

_LEVEL = -1
"""Of zstandard. What repeats in every row of a run is most of a group: it packs to a tenth, and costs less than its
pages. Groups are small: the fastest levels begin sooner (a third of the time of level 1 at eight records, and as small).
"""


class Store:
    """The state of one output directory. Synchronous; every method raises OutputError when the disk fails."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / STORE_NAME
        # its own, as two runs in threads of one process must not share them
        self._compress = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress
        self._decompress = zstandard.ZstdDecompressor().decompress
        self._db = _open(self._path)
        with _disk("open", self._path):
            self._wal = os.open(f"{self._path}-wal", os.O_RDONLY | os.O_CLOEXEC)
            self._mark = os.open(f"{self._path}{MARK_SUFFIX}", _OURS, 0o600)
        self._started: dict[tuple[int, int], Attempt] = {}
        self._carried: dict[int, Totals] = {}
        self._carried_to = 0
        self._seen = bytearray()
        self._counted: tuple[int, dict[State, int], int] = (
            -1,
            {},
            0,
        )  # as of how many changes; a million takes 0.2 s
        self.unexported = 0
        """Results in the journal that no part holds yet."""
        self.unexported_bytes = 0
        """About how much memory they take."""
        self._tail: deque[tuple[int, Group]] = deque()  # the journal's rows; reading them back costs more
        self._next_seq: int = self._read("select coalesce(max(seq), 0) + 1 from records")[0][0]
        self._first_seq = self._next_seq
        self._unsynced: OutputError | None = None
        self._looked_up = 0
        """Digests that were looked for."""
        self._due = 1
        """The number of the record that comes next, if the input is what it was."""
        try:
            self._position = Position(int(self.meta("exported") or 0), 0)
            self._recover()
            self._check_position()
        except OutputError:
            self._release()
            raise

    # Reading the input

    def register(self, records: Sequence[tuple[str, str, int]]) -> list[Known]:
        """Give each record, read as (record_id, file, line), its number, in order.

        A record that the store knows keeps its number. An id that was registered before since the store
        was opened is a duplicate: `first` says where it stood.
        """
        rows = self._in_order(records)
        if not rows:
            found = self._find(records) if self._first_seq > 1 else {}
            new, unknown = self._next_seq, [each for each in records if each[0] not in found]
            if self._add(unknown) and not found:
                self._due = self._next_seq
                self._seen.extend(bytes(new - len(self._seen)) + b"\1" * len(records))
                return [Known(seq, State.PENDING) for seq in range(new, self._next_seq)]
            found |= self._find(unknown)
            rows = [found[each[0]] for each in records]
        self._due = rows[-1][0] + 1 if rows else self._due
        seen = self._seen
        seen.extend(bytes(max(0, self._next_seq - len(seen))))
        known: list[Known] = []
        moved: dict[int, tuple[str, int]] = {}
        for (_, file, line), (seq, state, was_in, was_at, _, request, stale, part) in zip(
            records, rows, strict=True
        ):
            first = None
            if seen[seq]:
                first = "{}:{}".format(*moved.get(seq, (was_in, was_at)))
            if part is None and first is None:
                known.append(Known(seq, _STATE[state]))  # as most of those that are to be sent: half the time
            else:
                known.append(Known(seq, _STATE[state], first, request, stale != 0, part))
            if first is not None:
                continue
            seen[seq] = 1
            if line != was_at or file != was_in:
                moved[seq] = (file, line)
        if moved:
            with self._transaction():
                places = [(file, line, seq) for seq, (file, line) in moved.items()]
                self._db.executemany("update records set file = ?, line = ? where seq = ?", places)
        return known

    def _in_order(self, records: Sequence[tuple[str, str, int]]) -> list[_Row]:
        """The rows that follow those of the latest records, if they are of these; none if they are not.

        A resume reads the same input in the same order: by number that takes a third of the time that it takes by id.
        """
        if self._due >= self._first_seq:
            return []
        rows: list[_Row] = self._read(
            f"select {_ROW} from records where seq >= ? order by seq limit ?",  # noqa: S608
            (self._due, len(records)),
        )
        return rows if [row[4] for row in rows] == [record[0] for record in records] else []

    def _add(self, records: Sequence[tuple[str, str, int]]) -> bool:
        """Give them new numbers, as far as they have none; whether that was all of them.

        Some hundred rows a statement, which takes three quarters of the time.
        """
        if not records:
            return True
        first, self._next_seq = self._next_seq, self._next_seq + len(records)
        with self._transaction():
            before = self._db.total_changes
            for start in range(0, len(records), _AT_A_STATEMENT):
                some = records[start : start + _AT_A_STATEMENT]
                marks = ",".join([f"(?, {State.PENDING:d}, ?, ?, ?)"] * len(some))
                self._db.execute(
                    f"insert or ignore into records(seq, state, file, line, record_id) values {marks}",  # noqa: S608
                    [
                        value
                        for seq, (record_id, file, line) in enumerate(some, first + start)
                        for value in (seq, file, line, record_id)
                    ],
                )
            return self._db.total_changes - before == len(records)

    def _find(self, records: Sequence[tuple[str, str, int]]) -> dict[str, _Row]:
        ids = [record[0] for record in records]  # bound one by one: json_each would end a text at its NUL
        marks = ",".join("?" * len(ids))
        rows: list[_Row] = self._read(
            f"select {_ROW} from records where record_id in ({marks})",  # noqa: S608
            ids,
        )
        return {row[4]: row for row in rows}

    def carried(self, seq: int) -> Totals:
        """What earlier attempts of this record add up to: those of a run that was stopped, or that failed, or of
        an answer that is asked for again.
        """
        totals = self._carried.get(seq)
        if totals is not None:
            return totals
        if seq >= self._first_seq:
            return NOTHING_SPENT
        with _disk("read", self._path):
            if row := self._db.execute("select payload from dead_letters where seq = ?", (seq,)).fetchone():
                return _decode_result(row[0]).totals
            row = self._db.execute("select totals from reopened where seq = ?", (seq,)).fetchone()
            return _decode_totals(row[0]) if row else NOTHING_SPENT

    def paid(self, seq: int) -> int:
        """What a record that is asked again had cost before, picodollars; 0 where that is unknown."""
        found = self._read("select totals from reopened where seq = ?", (seq,))
        return (_decode_totals(found[0][0]).cost or 0) if found else 0

    # What classifying models have said

    def told(self, questions: Sequence[int]) -> dict[int, bytes]:
        """Their answers to these questions, as far as they were asked; also those of earlier runs."""
        found: dict[int, bytes] = {}
        for start in range(0, len(questions), _AT_ONCE):
            some = questions[start : start + _AT_ONCE]
            marks = ",".join("?" * len(some))
            found |= dict(
                self._read(f"select question, answer from told where question in ({marks})", some)  # noqa: S608
            )
        return found

    # Answers that are out of date

    def mark(self, stale: Sequence[int], fresh: Sequence[int]) -> None:
        """Keep of answered records, by number, whether they ask for something else than what was answered."""
        if stale or fresh:
            with self._transaction():
                changes = [*((1, seq) for seq in stale), *((0, seq) for seq in fresh)]
                self._db.executemany("update records set stale = ? where seq = ?", changes)

    def reopen(self, records: Sequence[tuple[int, int, Totals]]) -> None:
        """Let answered records be asked again, each given as its number, its part and what it has cost so far.

        Their answers stand until the next ones are exported into the same parts.
        """
        if records:
            self._any_reopened = True
            rows = [(seq, part, _encode(totals)) for seq, part, totals in records]
            with self._transaction():
                self._db.executemany("insert or replace into reopened values(?, ?, ?)", rows)

    def reopened(self, seqs: Sequence[int]) -> dict[int, int]:
        """The parts that hold the answers of those among these records that are asked again."""
        found: dict[int, int] = {}
        if self._any_reopened:
            for start in range(0, len(seqs), _AT_ONCE):
                some = seqs[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                found |= dict(
                    self._read(f"select seq, part from reopened where seq in ({marks})", some)  # noqa: S608
                )
        return found

    def stale(self) -> int:
        """How many answered records ask for something else by now, as far as they were compared and exported."""
        self.counts()
        return self._counted[2]

    # Answers that records share

    def digests(self) -> Iterator[list[tuple[int, int]]]:
        """The digests of all answers that are in parts, each a fingerprint and its tail, some thousand at a time.

        Nothing stays open in between: others may write, and the log may be moved into the database.
        """
        last = 0
        while rows := self._read(
            f"select seq, request, tail from records where seq > ? and {_SHARED} order by seq limit {_AT_ONCE}",  # noqa: S608
            (last,),
        ):
            last = rows[-1][0]
            yield [(request, tail) for _, request, tail in rows]

    def answered(self, digests: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[str, int]]:
        """For digests that are known, the first record that was answered so and the number of the part with its answer."""
        found: dict[tuple[int, int], tuple[str, int]] = {}
        self._looked_up += max(len(digests), _SCAN)
        if self._looked_up < _WORTH_AN_INDEX:
            for start in range(0, len(digests), _AT_ONCE // 2):
                found |= self._scanned(digests[start : start + _AT_ONCE // 2])
            return found
        with _disk("read", self._path):
            self._db.execute(_BY_DIGEST)
            for digest in digests:
                row = self._db.execute(_ANSWERED, digest).fetchone()
                if row is not None:
                    found[digest] = row
        return found

    def _scanned(self, digests: Sequence[tuple[int, int]]) -> dict[tuple[int, int], tuple[str, int]]:
        """The same without an index: a million records take a tenth of a second, however many are looked for."""
        marks = ",".join("(?, ?)" for _ in digests)
        rows = self._read(
            f"select request, tail, record_id, part from records where (request, tail) in (values {marks})"  # noqa: S608
            f" and {_SHARED} order by seq desc",
            [half for digest in digests for half in digest],
        )
        return {(request, tail): (record_id, part) for request, tail, record_id, part in rows}

    # The journal

    def commit(self, group: Group) -> None:
        """Append one group to the journal. When it returns, a kill -9 cannot undo it."""
        told, group.told = group.told, []
        payload = _encode(group)
        if told:
            with self._transaction():
                number = self._append(group, payload)
                self._db.executemany("insert or replace into told values(?, ?)", told)
        else:
            with _disk("commit", self._path):
                number = self._append(group, payload)
        self._apply(number, group, len(payload))

    def _append(self, group: Group, payload: bytes) -> int:
        inserted = self._db.execute(
            "insert into journal(results, payload) values(?, ?)",
            (len(group.results), self._compress(payload)),
        )
        return inserted.lastrowid or 0

    def _apply(self, number: int, group: Group, size: int) -> None:
        self._position = Position(self._position.exported, number)
        finished = {seq for seq, _ in group.results}
        for seq, attempt in group.started:
            self._started[seq, attempt.attempt] = attempt
        for seq, attempt in group.ended:
            self._started.pop((seq, attempt.attempt), None)
            if seq not in finished and number > self._carried_to:
                self._carried[seq] = self.carried(seq).plus(attempt)
        for seq, share in group.shares:
            if seq not in finished and number > self._carried_to:
                self._carried[seq] = self.carried(seq).sharing(share)
        for seq in finished:
            self._carried.pop(seq, None)
        tail = Group([], group.ended, group.results, lines=group.lines, reused=group.reused)
        self._tail.append((number, tail))
        self.unexported += len(group.results)
        self.unexported_bytes += size

    def unfinished(self) -> list[tuple[int, Attempt]]:
        """Attempts that were started and never ended, as they were entered when they started."""
        return [(seq, attempt) for (seq, _), attempt in self._started.items()]

    def flush(self) -> None:
        """Force the journal to the disk. Safe in another thread.

        Raises OutputError, and does so ever after: what the kernel could not write it may have dropped, and say of the
        next attempt that it succeeded.
        """
        if self._unsynced is not None:
            raise self._unsynced
        packed = self._position.packed()
        try:
            with _disk("fsync", self._path):
                os.fdatasync(self._wal)
                write_at(self._mark, packed, 0)
        except OutputError as error:
            self._unsynced = error
            raise

    def checkpoint(self) -> None:
        """Move the write-ahead log into the database once it has grown; takes some milliseconds then."""
        with _disk("checkpoint", self._path):
            if os.fstat(self._wal).st_size > CHECKPOINT_BYTES:
                self._db.execute("pragma wal_checkpoint(passive)").fetchall()

    # Projecting the journal into parts

    def begin_export(self) -> Export | None:
        """Fix the range and the name of the next parts, or give back those that a crash left half done.

        None when the journal holds nothing that a part could hold.
        """
        if (planned := self.meta("exporting")) is not None:
            with _disk("read", self._path):
                return msgspec.json.decode(planned, type=Export)
        last = self._read("select max(id) from journal")[0][0]
        if last is None:
            return None
        export = Export(last, int(self.meta("exported") or 0) + 1)
        with self._transaction():
            self._set_meta("exporting", _encode_json(export).decode())
        self.flush()
        return export

    def journal(self, export: Export) -> list[Group]:
        """The groups of the range, in order, without what was only started."""
        return [group for number, group in self._tail if number <= export.last_id]

    def finish_export(self, export: Export, settled: Settled, parts: Sequence[Part] = ()) -> None:
        """Drop the range from the journal, its results now being in parts, and keep what a resume needs of it.

        `settled` is what all groups of the range add up to, `parts` are the files that hold it.
        """
        with self._transaction():
            self._settle(settled, export.number)
            self._db.execute("delete from journal where id <= ?", (export.last_id,))
            self._keep_unfinished()
            # The totals kept just now count the whole journal, its rows after this range included.
            last = self._db.execute("select coalesce(max(id), 0) from journal").fetchone()[0]
            self._set_meta("carried_to", str(last))
            self._db.execute("delete from meta where key = 'exporting'")
            self._set_meta("exported", str(export.number))
            self._set_parts(parts)
        last = self._tail[-1][0] if self._tail else 0
        self._position = Position(export.number, last if last > export.last_id else 0)
        while self._tail and self._tail[0][0] <= export.last_id:
            self._tail.popleft()
        self.unexported -= len(settled.answered) + len(settled.failed)
        self.unexported_bytes = 0

    def parts(self) -> list[Part]:
        """The parts that hold what was dropped from the journal, by name."""
        told = self._read("select value from meta where key glob ? order by key", (f"{_PART}*",))
        with _disk("read", self._path):
            return [msgspec.json.decode(value, type=Part) for (value,) in told]

    def adopt(self, parts: Sequence[Part]) -> None:
        """Take parts for known that an earlier version has written without telling."""
        known = {part.path for part in self.parts()}
        if new := [part for part in parts if part.path not in known]:
            with self._transaction():
                self._set_parts(new)

    def _set_parts(self, parts: Sequence[Part]) -> None:
        for part in parts:
            self._set_meta(f"{_PART}{part.path}", _encode_json(part).decode())

    def exporting(self) -> int | None:
        """The number of the parts that a crash has left half done; they are written again. None: there are none."""
        planned = self.meta("exporting")
        with _disk("read", self._path):
            return None if planned is None else msgspec.json.decode(planned, type=Export).number

    def describe(self, **texts: str) -> None:
        """Keep what a manifest or a part is made from besides the records, so that both can be written anew."""
        changed = {key: text for key, text in texts.items() if self.meta(key) != text}
        if changed:
            with self._transaction():
                for key, text in changed.items():
                    self._set_meta(key, text)

    def _settle(self, settled: Settled, number: int) -> None:
        """A record that was asked again in vain stays as it was: its answer still stands in its part."""
        again = self.reopened([*(seq for *_, seq in settled.answered), *(seq for seq, _ in settled.failed)])
        dead = [(seq, result) for seq, result in settled.failed if seq not in again]
        self._answer(settled.answered, number)
        self._db.executemany(
            "update records set state = ? where seq = ?", [(State.FAILED, seq) for seq, _ in dead]
        )
        self._db.executemany("delete from reopened where seq = ?", [(seq,) for seq in again])
        self._db.execute(
            "delete from dead_letters where (select state from records r where r.seq = dead_letters.seq) in (?, ?)",
            (State.SUCCEEDED, State.DEGRADED),
        )
        letters = [(seq, _encode(result)) for seq, result in dead]
        self._db.executemany("insert or replace into dead_letters values(?, ?)", letters)

    def _answer(self, answered: Sequence[tuple[int, int | None, int | None, int]], number: int) -> None:
        """Some hundred rows a statement: it takes half the time."""
        for start in range(0, len(answered), _AT_A_STATEMENT):
            some = answered[start : start + _AT_A_STATEMENT]
            marks = ",".join(["(?,?,?,?)"] * len(some))
            self._db.execute(
                f"with answer(now, asked, rest, place) as (values {marks}) {_ANSWER}",
                [*(value for row in some for value in row), number],
            )

    def _keep_unfinished(self) -> None:
        self._db.execute("delete from carried")
        kept = [(seq, _encode(totals)) for seq, totals in self._carried.items()]
        self._db.executemany("insert into carried values(?, ?)", kept)
        if started := self.unfinished():
            self._db.execute(
                "insert into journal(results, payload) values(0, ?)",
                (self._compress(_encode(Group(started, [], []))),),
            )

    def forget_places(self) -> None:
        """Drop the dead letters of places that the whole input, now read, does not have any more.

        A bad line and a repeated id go by their place; when the input was mended, nothing else would end them.
        """
        places = self._read(
            # cross: dead letters are few, and are looked at first
            "select seq from dead_letters cross join records using (seq) where record_id = file || ':' || line"
        )
        gone = self._unseen(places)
        with self._transaction():
            self._db.executemany("delete from dead_letters where seq = ?", gone)
            self._db.executemany("delete from records where seq = ?", gone)

    def forgive_vanished(self) -> None:
        """Take for up to date what the whole input, now read, does not have any more: it asks for nothing else."""
        if vanished := self._unseen(self._read("select seq from records where stale")):
            with self._transaction():
                self._db.executemany("update records set stale = 0 where seq = ?", vanished)

    def _unseen(self, rows: Sequence[tuple[int]]) -> list[tuple[int]]:
        """Those of these numbers that were not read since the store was opened."""
        return [(seq,) for (seq,) in rows if seq >= len(self._seen) or not self._seen[seq]]

    def untried(self, run_id: str) -> int:
        """The records read since the store was opened whose dead letter is not of this run."""
        with _disk("read", self._path):
            letters = self._db.execute("select seq, payload from dead_letters")
            earlier = [(seq,) for seq, payload in letters if _decode_result(payload).run_id != run_id]
        return len(earlier) - len(self._unseen(earlier))

    def dead_letters(self) -> Iterator[Result]:
        """Every failed record's result, in the order of their numbers; those still in the journal left out.

        What a run that was stopped has tried since is counted in.
        """
        with _disk("read", self._path):
            for seq, payload in self._db.execute("select seq, payload from dead_letters order by seq"):
                result = _decode_result(payload)
                yield msgspec.structs.replace(result, totals=self._carried.get(seq, result.totals))

    def counts(self) -> dict[State, int]:
        """Records by state. One that was finished since the store was opened counts so once it is in a part;
        until then it stands as it did before.
        """
        if self._counted[0] != self._db.total_changes:
            counts, stale = dict.fromkeys(State, 0), 0
            found = self._read("select state, stale, count(*) from records group by state, stale")
            for state, is_stale, count in found:
                counts[_STATE[state]] += count
                stale += count if is_stale else 0
            self._counted = self._db.total_changes, counts, stale
        return self._counted[1].copy()

    # The rest

    def meta(self, key: str) -> str | None:
        found = self._read("select value from meta where key = ?", (key,))
        return str(found[0][0]) if found else None

    def set_meta(self, key: str, value: str) -> None:
        with self._transaction():
            self._set_meta(key, value)

    def close(self) -> None:
        """Flush and close; the journal stays for the next run."""
        with _disk("close", self._path):
            try:
                if self._unsynced is None:  # or it was told already
                    self.flush()
            finally:
                self._release()

    def _release(self) -> None:
        os.close(self._wal)
        os.close(self._mark)
        self._db.close()

    def _read(self, query: str, values: Sequence[object] = ()) -> list[Any]:
        with _disk("read", self._path):
            return self._db.execute(query, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        """All or nothing."""
        with _disk("write", self._path):
            self._db.execute("begin immediate")
            try:
                yield
                self._db.execute("commit")
            finally:
                if self._db.in_transaction:  # a full disk may have ended it already
                    self._db.execute("rollback")

    def _set_meta(self, key: str, value: str) -> None:
        self._db.execute("insert or replace into meta values(?, ?)", (key, value))

    def _check_position(self) -> None:
        with _disk("read", self._path):
            reached = Position.unpack(os.pread(self._mark, 64, 0))
        if reached is not None and self._position < reached:
            raise short(self._path, "a copy of an earlier moment, or without the log that belonged to it")

    def _recover(self) -> None:
        """Fold what the journal holds back into memory, as it stood at the last commit."""
        self._carried_to = int(self.meta("carried_to") or 0)
        self._any_reopened = bool(self._read("select 1 from reopened limit 1"))
        finished: list[tuple[int, int]] = []
        with _disk("read", self._path):
            for seq, payload in self._db.execute("select seq, payload from carried"):
                self._carried[seq] = _decode_totals(payload)
            for number, payload in self._db.execute("select id, payload from journal order by id").fetchall():
                packed = self._decompress(payload)
                group = _unpack_group(packed)
                self._apply(number, group, len(packed))
                finished += [(STATES[result.status], seq) for seq, result in group.results]
        self._carried_to = 0
        with self._transaction():
            self._db.executemany(
                # what was asked again in vain keeps its answer
                f"update records set state = ?1 where seq = ?2 and not (?1 = {State.FAILED:d} and part notnull)",  # noqa: S608
                finished,
            )


def short(path: Path, what: str) -> OutputError:
    """The error of a state that knows less than was committed: to go on would pay for answers again."""
    return OutputError(
        f"{path} is {what} (state_short). Put back the whole output directory as it was, "
        "or start over with --fresh.",
        code="state_short",
    )


class _disk:  # noqa: N801  a context manager that reads as a verb
    """Turn the disk's failures, and what damage on it makes unreadable, into OutputError with its remedy."""

    def __init__(self, doing: str, path: Path) -> None:
        self._doing, self._path = doing, path

    def __enter__(self) -> None:
        return

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if isinstance(error, _FAILURES):
            code = "state_corrupt" if _is_damage(error) else None
            raise OutputError(
                f"{self._path}: {self._doing} failed: {error}. {_remedy(error)}", code=code
            ) from error


_DAMAGED = (
    "It is damaged (state_corrupt): put back a copy of the output directory, or start over with --fresh."
)
_UNREADABLE = (msgspec.DecodeError, zstandard.ZstdError, UnicodeDecodeError)
_FAILURES = (OSError, sqlite3.Error, *_UNREADABLE)
_DAMAGE = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR}
_HELD = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def _primary_code(error: BaseException) -> int | None:
    code = getattr(error, "sqlite_errorcode", None)
    return None if code is None else code & 0xFF


def _is_damage(error: BaseException) -> bool:
    return isinstance(error, _UNREADABLE) or _primary_code(error) in _DAMAGE


def _remedy(error: BaseException) -> str:
    if _is_damage(error):
        return _DAMAGED
    if _primary_code(error) in _HELD:
        return "Another program has it open: close that, then run again."
    return "Free space or mend the disk, then run again."


_OURS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW


def _open(path: Path) -> sqlite3.Connection:
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise OutputError(
            f"this Python was built with SQLite {sqlite3.sqlite_version}, and the state of a run needs 3.33 or later. "
            "Use a Python of python.org, of uv or of a newer system."
        )
    with _disk("open", path):
        fresh = not path.exists()
        os.close(os.open(path, _OURS, 0o600))
        db = sqlite3.connect(
            path, isolation_level=None, check_same_thread=False, cached_statements=_KEPT_STATEMENTS
        )
        db.execute("pragma trusted_schema = off")
        db.execute("pragma journal_mode = wal")
        db.execute("pragma synchronous = normal")
        db.execute("pragma wal_autocheckpoint = 0")
        db.execute(
            "pragma journal_size_limit = 0"
        )  # or the log keeps its size, and seems to need a checkpoint
        db.execute("pragma cache_size = -16000")
        if fresh or not db.execute("select count(*) from sqlite_master").fetchone()[0]:
            db.executescript(f"begin; {_SCHEMA} pragma user_version = {SCHEMA_VERSION}; commit;")
        version = db.execute("pragma user_version").fetchone()[0]
        if version == SCHEMA_VERSION:
            db.execute(_ADDED)
        found = db.execute("pragma quick_check(1)").fetchone()[0]  # 0.3 s at a million records
        if found == "ok" and version in _OLDER:
            db.executescript(f"begin; {_OLDER[version]} pragma user_version = {SCHEMA_VERSION}; commit;")
            db.execute(_ADDED)
            version = SCHEMA_VERSION
    if found != "ok":
        db.close()
        raise OutputError(f"{path}: {found}. {_DAMAGED}", code="state_corrupt")
    if version != SCHEMA_VERSION:
        db.close()
        raise OutputError(
            f"{path} was written by another version of batchroute ({version}). Use that version."
        )
    return db
