import os
import resource
import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path

import msgspec
import pytest
import zstandard
from hypothesis import example, given
from hypothesis import strategies as st

from batchroute.core.errors import OutputError
from batchroute.core.results import Status, Totals
from batchroute.io.store import SCHEMA_VERSION, Export, Group, Settled, State, Store
from tests.builders import attempt, result


def places(*record_ids: str) -> list[tuple[str, str, int]]:
    return [(record_id, "in.jsonl", line) for line, record_id in enumerate(record_ids, 1)]


def settle(store: Store, export: Export) -> None:
    settled = Settled.empty()
    for group in store.journal(export):
        settled.add(group)
    store.finish_export(export, settled)


def exported(store: Store) -> None:
    """Move the journal on, as if its parts had been written."""
    export = store.begin_export()
    assert export is not None
    settle(store, export)


def test_records_are_numbered_in_order(tmp_path: Path) -> None:
    store = Store(tmp_path)
    known = store.register(places("x", "y"))
    assert [place.seq for place in known] == [1, 2]
    assert {place.state for place in known} == {State.PENDING}
    store.close()


def test_an_id_read_twice_names_its_first_place(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x", "y"))

    again = store.register([("y", "in.jsonl", 9), ("z", "in.jsonl", 10)])
    within = store.register([("n", "in.jsonl", 11), ("n", "in.jsonl", 12)])
    assert again[0].first == "in.jsonl:2"
    assert again[1].first is None
    assert [place.first for place in within] == [None, "in.jsonl:11"]
    store.close()


def test_what_was_read_in_an_earlier_run_is_no_duplicate(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x"))
    store.close()

    reopened = Store(tmp_path)
    [known] = reopened.register(places("x"))
    assert (known.seq, known.first) == (1, None)
    [again] = reopened.register(places("x"))
    assert again.first == "in.jsonl:1"
    reopened.close()


def test_an_attempt_that_never_ended_is_found_after_a_crash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x", "y"))
    store.commit(Group([(1, attempt("x")), (2, attempt("y"))], [], []))
    store.commit(Group([], [(1, attempt("x"))], [(1, result("x"))]))
    del store  # no close: as after a kill

    reopened = Store(tmp_path)
    assert [(seq, left.record_id) for seq, left in reopened.unfinished()] == [(2, "y")]
    assert reopened.counts()[State.SUCCEEDED] == 1
    reopened.close()


def test_attempts_of_an_unfinished_record_are_carried_through_export_and_restart(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x"))
    store.commit(Group([], [(1, attempt("x", verdict="failover", cost=70))], []))
    exported(store)
    store.close()

    reopened = Store(tmp_path)
    assert reopened.carried(1) == Totals(attempts=1, failovers=1, input_tokens=10, output_tokens=5, cost=70)
    reopened.close()


def test_a_dead_letter_keeps_its_cost_for_the_next_try(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x"))
    dead = result("x", status=Status.FAILED, totals=Totals(attempts=3, cost=210))
    store.commit(Group([], [], [(1, dead)]))
    exported(store)
    store.close()

    reopened = Store(tmp_path)
    assert [letter.record_id for letter in reopened.dead_letters()] == ["x"]
    assert reopened.carried(1).attempts == 3
    assert reopened.register(places("x"))[0].state is State.FAILED

    reopened.commit(Group([], [], [(1, result("x"))]))
    exported(reopened)
    assert list(reopened.dead_letters()) == []
    assert reopened.counts() == {State.PENDING: 0, State.SUCCEEDED: 1, State.FAILED: 0, State.DEGRADED: 0}
    reopened.close()


def test_a_record_counts_as_finished_once_it_is_in_a_part_or_the_store_was_opened_anew(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path)
    store.register(places("x", "y"))
    store.commit(Group([], [], [(1, result("x"))]))
    assert store.counts()[State.SUCCEEDED] == 0
    exported(store)
    assert store.counts()[State.SUCCEEDED] == 1

    store.commit(Group([], [], [(2, result("y"))]))
    assert store.counts()[State.SUCCEEDED] == 1
    store.close()
    reopened = Store(tmp_path)
    assert reopened.counts()[State.SUCCEEDED] == 2
    reopened.close()


def test_an_export_that_was_begun_is_the_same_after_a_crash(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x", "y"))
    store.commit(Group([], [(1, attempt("x"))], [(1, result("x"))]))
    begun = store.begin_export()
    store.commit(Group([], [(2, attempt("y"))], [(2, result("y"))]))
    del store

    reopened = Store(tmp_path)
    again = reopened.begin_export()
    assert again == begun
    assert again is not None
    assert [end.record_id for group in reopened.journal(again) for _, end in group.results] == ["x"]
    settle(reopened, again)
    later = reopened.begin_export()
    assert later is not None
    assert later.number == again.number + 1
    assert [end.record_id for group in reopened.journal(later) for _, end in group.results] == ["y"]
    reopened.close()


def test_open_attempts_survive_the_pruning_of_their_range(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x"))
    store.commit(Group([(1, attempt("x"))], [], []))
    exported(store)
    del store

    reopened = Store(tmp_path)
    assert [left.record_id for _, left in reopened.unfinished()] == ["x"]
    reopened.close()


def test_the_state_is_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        store = Store(tmp_path)
        store.register(places("x"))
        modes = {file.name: file.stat().st_mode & 0o777 for file in tmp_path.iterdir()}
        store.close()
    finally:
        os.umask(old)
    assert set(modes.values()) == {0o600}, modes


def test_a_file_that_is_no_database_is_refused_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_text("not a database, though long enough to look at" * 40)
    with pytest.raises(OutputError, match="--fresh"):
        Store(tmp_path)


def test_totals_add_up_and_an_unknown_cost_stays_unknown() -> None:
    total = Totals().plus(attempt("x", cost=5)).plus(attempt("x", verdict="failover", cost=7))
    assert total == Totals(attempts=2, failovers=1, input_tokens=20, output_tokens=10, cost=12)
    assert total.plus(attempt("x", cost=None)).cost is None
    assert total.plus(attempt("x", usage=None, cost=0)).input_tokens == 20


def test_ids_with_a_nul_are_told_apart(tmp_path: Path) -> None:
    for _ in range(2):
        store = Store(tmp_path)
        known = store.register(places("a\0b", "a\0c", "a"))
        assert [place.seq for place in known] == [1, 2, 3]
        assert [place.first for place in known] == [None] * 3
        store.close()


IDS = st.sampled_from(["a", "b", "c", "a\0", "a\0b", "\0", "in.jsonl:2", "é", ""])
RUNS = st.lists(st.lists(st.lists(IDS, min_size=1, max_size=6), max_size=5), min_size=1, max_size=4)


@given(RUNS)
@example([[["a", "b"], ["c"]], [["a", "b"], ["c"]], [["b", "a"], ["c", "é"]], [["b", "a"], ["c", "é"]]])
@example([[["a", "b", "c"]], [["b", "c"], ["a"]], [["a"], ["b", "c"], ["a"]]])
def test_whatever_is_read_in_whatever_order_each_id_keeps_its_number_and_is_first_once_a_run(
    runs: list[list[list[str]]],
) -> None:
    numbers: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        for run in runs:
            store, first, line = Store(Path(folder)), dict[str, str](), count(1)
            earlier = dict(numbers)
            for batch in run:
                read = [(record_id, "in.jsonl", next(line)) for record_id in batch]
                for (record_id, file, at), known in zip(read, store.register(read), strict=True):
                    assert known.seq == numbers.setdefault(record_id, known.seq)
                    assert known.first == first.get(record_id)
                    assert known.state is (State.SUCCEEDED if record_id in earlier else State.PENDING)
                    first.setdefault(record_id, f"{file}:{at}")
            store.commit(Group([], [], [(numbers[one], result(one)) for one in first]))
            store.close()
        assert len(set(numbers.values())) == len(numbers)


def test_a_duplicate_names_the_place_that_its_first_has_in_this_run(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x"))
    store.close()

    reopened = Store(tmp_path)
    reopened.register([("x", "in.jsonl", 3)])
    [again] = reopened.register([("x", "in.jsonl", 4)])
    assert again.first == "in.jsonl:3"
    reopened.close()


def test_totals_are_carried_once_when_a_crash_follows_an_export(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.register(places("x", "y"))
    store.commit(Group([], [(1, attempt("x"))], [(1, result("x"))]))
    begun = store.begin_export()
    assert begun is not None
    store.commit(
        Group([], [(2, attempt("y", verdict="failover", cost=7))], [])
    )  # while its parts are written
    settle(store, begun)
    del store

    reopened = Store(tmp_path)
    assert (reopened.carried(2).attempts, reopened.carried(2).cost) == (1, 7)
    reopened.close()


# A disk that fails, and what it has damaged


def kept_store(folder: Path) -> None:
    """A state with something in every table, of which the journal's row is the last: 200 records, one dead letter."""
    store = Store(folder)
    store.register(places(*(f"r{number}" for number in range(200))))
    dead = result("r0", status=Status.FAILED, totals=Totals(attempts=3, cost=210))
    store.commit(Group([], [], [(1, dead)]))
    exported(store)
    store.commit(Group([(3, attempt("r2"))], [(2, attempt("r1", verdict="retry"))], []))
    exported(store)
    store.close()


def damage(folder: Path, table: str) -> None:
    """Overwrite the first page of a table or an index, where the file has it."""
    with closing(sqlite3.connect(folder / "state.db")) as db:
        [root] = db.execute("select rootpage from sqlite_master where name = ?", (table,)).fetchone()
        [size] = db.execute("pragma page_size").fetchone()
    with (folder / "state.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xa5" * size)


def used(store: Store) -> Iterator[Callable[[], object]]:
    """Everything that a run asks of its state."""
    yield lambda: store.register(places("r0", "new"))
    yield lambda: store.register(places("new too"))
    yield lambda: store.carried(1)
    yield lambda: store.commit(Group([], [], [(2, result("r1"))]))
    yield store.begin_export
    yield lambda: store.finish_export(Export(10**6, 9), Settled([(1, None, None, 1)], [(1, result("r0"))]))
    yield store.forget_places
    yield lambda: list(store.dead_letters())
    yield store.counts
    yield lambda: store.meta("exported")
    yield lambda: store.set_meta("exported", "3")


@pytest.mark.parametrize(
    "table", ["meta", "records", "sqlite_autoindex_records_1", "journal", "dead_letters", "carried"]
)
def test_damage_anywhere_is_told_with_the_remedy_and_is_never_another_error(
    tmp_path: Path, table: str
) -> None:
    kept_store(tmp_path)
    damage(tmp_path, table)
    told = []
    try:
        store = Store(tmp_path)
    except OutputError as error:
        told.append(str(error))
    else:
        for ask in used(store):
            try:
                ask()
            except OutputError as error:
                told.append(str(error))
        store.close()
    assert told
    assert all("state.db" in message and "--fresh" in message for message in told), told


def test_a_state_that_somebody_took_apart_is_refused_whatever_is_asked(tmp_path: Path) -> None:
    kept_store(tmp_path)
    store = Store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        for table in ("meta", "records", "journal", "dead_letters", "carried"):
            other.execute(f"drop table {table}")
    for ask in used(store):
        with pytest.raises(OutputError, match="--fresh"):
            ask()
    store.close()


@pytest.mark.parametrize("table", ["journal", "carried", "dead_letters"])
def test_a_row_that_cannot_be_decoded_is_damage(tmp_path: Path, table: str) -> None:
    kept_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state.db")) as other:
        other.execute(f"update {table} set payload = substr(payload, 1, 3)")
        other.commit()
    with pytest.raises(OutputError, match="damaged"):
        list(Store(tmp_path).dead_letters())


@contextmanager
def no_file_may_grow() -> Iterator[None]:
    """As on a full disk: the kernel refuses every write beyond a file's first bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_undoes_the_whole_transaction_and_room_mends_it(tmp_path: Path) -> None:
    kept_store(tmp_path)
    store = Store(tmp_path)
    with no_file_may_grow():
        for ask in (
            lambda: store.register(places("new")),
            lambda: store.set_meta("exported", "7"),
            lambda: store.commit(Group([], [], [(2, result("r1"))])),
        ):
            with pytest.raises(OutputError, match="Free space"):
                ask()
        assert store.meta("exported") == "2"
    assert sum(store.counts().values()) == 200
    store.register(places("new"))
    assert sum(store.counts().values()) == 201
    store.close()


def test_a_state_that_another_program_writes_to_is_told_so(tmp_path: Path) -> None:
    kept_store(tmp_path)
    store = Store(tmp_path)
    store._db.execute("pragma busy_timeout = 0")  # the five seconds are SQLite's affair
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as other:
        other.execute("begin immediate")
        with pytest.raises(OutputError, match="Another program"):
            store.set_meta("exported", "7")
    store.set_meta("exported", "7")
    store.close()


def test_a_python_with_too_old_an_sqlite_is_told_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 26, 0))
    with pytest.raises(OutputError, match=r"needs 3\.33.*python\.org"):
        Store(tmp_path)


def test_a_state_that_cannot_be_opened_is_told_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "state.db").mkdir()
    with pytest.raises(OutputError, match=r"state\.db.*run again"):
        Store(tmp_path)


# Answers that are asked for again


def answered(store: Store, *record_ids: str) -> None:
    for known, record_id in zip(store.register(places(*record_ids)), record_ids, strict=True):
        store.commit(
            Group([], [(known.seq, attempt(record_id))], [(known.seq, result(record_id, fingerprint=7))])
        )
    exported(store)


def test_an_answer_is_known_by_its_fingerprint_and_its_part(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store:
        answered(store, "x", "y")
    with closing(Store(tmp_path)) as store:
        known = store.register(places("x", "y"))
        assert [(each.request, each.part, each.stale) for each in known] == [(7, 1, False)] * 2
        store.mark(stale=[1, 2], fresh=[])
        store.mark(stale=[], fresh=[2])
        assert store.stale() == 1
    with closing(Store(tmp_path)) as store:
        assert [each.stale for each in store.register(places("x", "y"))] == [True, False]


@pytest.mark.parametrize("status", [Status.SUCCEEDED, Status.FAILED])
@pytest.mark.parametrize("crashed", [False, True])
def test_a_record_that_is_asked_again_counts_on_and_never_becomes_a_dead_letter(
    tmp_path: Path, status: Status, crashed: bool
) -> None:
    with closing(Store(tmp_path)) as store:
        answered(store, "x")
    store = Store(tmp_path)
    [known] = store.register(places("x"))
    spent = Totals(attempts=1, input_tokens=10, output_tokens=5, cost=20_000_000)
    store.reopen([(known.seq, 1, spent)])
    store.commit(Group([], [(known.seq, attempt("x", attempt=2, verdict="retry"))], []))
    if crashed:
        del store
        store = Store(tmp_path)
    assert store.carried(known.seq).attempts == 2

    again = result("x", status=status, fingerprint=8)
    store.commit(Group([], [(known.seq, attempt("x", attempt=3))], [(known.seq, again)]))
    if crashed:
        del store
        store = Store(tmp_path)
    assert store.reopened([known.seq]) == {known.seq: 1}
    exported(store)
    assert store.reopened([known.seq]) == {}
    assert store.counts()[State.SUCCEEDED] == 1
    assert list(store.dead_letters()) == []
    store.close()
    with closing(Store(tmp_path)) as store:
        [known] = store.register(places("x"))
        assert (known.part, known.request) == (1, 8 if status is Status.SUCCEEDED else 7)


def test_a_state_of_the_version_before_is_taken_over(tmp_path: Path) -> None:
    """It knew of no fingerprints, and its journal's results have a field less."""
    db = sqlite3.connect(tmp_path / "state.db")
    db.executescript("""
        create table meta(key text primary key, value text not null) without rowid;
        create table records(seq integer primary key, record_id text not null unique, state integer not null,
                             file text not null, line integer not null);
        create table journal(id integer primary key, results integer not null, payload blob not null);
        create table dead_letters(seq integer primary key, payload blob not null);
        create table carried(seq integer primary key, payload blob not null);
        insert into records values(1, 'x', 1, 'in.jsonl', 1), (2, 'y', 0, 'in.jsonl', 2);
        pragma user_version = 1;
    """)
    fields = msgspec.to_builtins(result("y"))[:-1]
    payload = msgspec.msgpack.encode([[], [], [[2, fields]]])
    with db:
        db.execute("insert into journal(results, payload) values(1, ?)", (zstandard.compress(payload),))
    db.close()

    for _ in range(2):
        with closing(Store(tmp_path)) as store:
            known = store.register(places("x", "y"))
            assert [(each.state, each.request) for each in known] == [(State.SUCCEEDED, None)] * 2
            assert store.unexported == 1


def test_a_state_without_reused_answers_is_taken_over(tmp_path: Path) -> None:
    with closing(Store(tmp_path)) as store:
        store.register(places("x"))
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.execute("pragma user_version = 3")
    with closing(Store(tmp_path)) as store:
        assert store.register(places("x", "y"))[0].seq == 1
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        assert db.execute("pragma user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_state_without_digests_is_taken_over(tmp_path: Path) -> None:
    """Its answers stay what they are; only nobody else shares them."""
    with closing(Store(tmp_path)) as store:
        store.register(places("x"))
    with closing(sqlite3.connect(tmp_path / "state.db")) as db:
        db.executescript("""
            alter table records drop column tail;
            update records set state = 1, request = 7, part = 1;
            pragma user_version = 2;
        """)

    for _ in range(2):
        with closing(Store(tmp_path)) as store:
            [known] = store.register(places("x"))
            assert (known.state, known.request) == (State.SUCCEEDED, 7)
            assert list(store.digests()) == []
            assert store.answered([(7, 8)]) == {}


@pytest.mark.parametrize("looked_up", [0, 10_000], ids=["by a scan", "by an index"])
def test_the_first_record_with_an_answer_is_found_by_its_digest(tmp_path: Path, looked_up: int) -> None:
    """Failed ones, and those that are asked again, have none for others."""
    with closing(Store(tmp_path)) as store:
        store.register(places("x", "y", "z", "u"))
        with closing(sqlite3.connect(tmp_path / "state.db")) as db, db:
            db.execute("update records set state = 1, part = seq, request = -5, tail = 6")
            db.execute("update records set state = 3 where record_id = 'x'")
            db.execute("update records set request = 9 where record_id = 'u'")
            db.execute("insert into reopened values(2, 2, x'')")
        store.answered([(number, 0) for number in range(looked_up)])

        assert store.answered([(-5, 6), (-5, 7)]) == {(-5, 6): ("z", 3)}
        assert sorted(pair for some in store.digests() for pair in some) == [(-5, 6), (9, 6)]
