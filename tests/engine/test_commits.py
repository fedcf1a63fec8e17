import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from batchroute.core.errors import OutputError
from batchroute.engine.commits import Commits
from batchroute.io.files import STORE_NAME
from batchroute.io.store import State, Store
from tests import virtual_clock
from tests.builders import attempt, result

Test = Callable[[Commits, Store], Awaitable[None]]


def with_commits(folder: Path, test: Test) -> None:
    """A store of records x, y and z, with a group commit before it."""
    store = Store(folder)
    store.register([(record_id, "in.jsonl", line) for line, record_id in enumerate("xyz", 1)])

    async def main() -> None:
        await test(Commits(store), store)

    try:
        virtual_clock.run(main())
    finally:
        store.close()


def rows(folder: Path) -> int:
    """Rows of the journal, seen by a reader of its own."""
    with sqlite3.connect(f"file:{folder / STORE_NAME}?mode=ro", uri=True) as reader:
        count: int = reader.execute("select count(*) from journal").fetchone()[0]
    reader.close()
    return count


def break_disk(folder: Path) -> None:
    """Make every later commit fail, as a full disk does."""
    other = sqlite3.connect(folder / STORE_NAME)
    other.execute("drop table journal")
    other.commit()
    other.close()


def test_all_of_one_turn_is_one_commit(tmp_path: Path) -> None:
    async def test(commits: Commits, store: Store) -> None:
        done = [
            commits.started(1, attempt("x")),
            commits.ended(2, attempt("y", verdict="retry")),
            commits.finished(3, attempt("z"), result("z")),
        ]
        assert not any(future.done() for future in done)
        assert rows(tmp_path) == 0
        for future in done:
            await future
        assert rows(tmp_path) == 1
        assert [left.record_id for _, left in store.unfinished()] == ["x"]
        assert store.unexported == 1

    with_commits(tmp_path, test)


def test_the_next_turn_is_the_next_commit(tmp_path: Path) -> None:
    async def test(commits: Commits, _: Store) -> None:
        for seq, record_id in enumerate("xyz", 1):
            await commits.started(seq, attempt(record_id))
        assert rows(tmp_path) == 3

    with_commits(tmp_path, test)


def test_what_is_told_to_be_committed_is_there_for_the_next_run(tmp_path: Path) -> None:
    async def test(commits: Commits, _: Store) -> None:
        await commits.finished(1, attempt("x"), result("x"))

    with_commits(tmp_path, test)
    reopened = Store(tmp_path)
    assert reopened.counts()[State.SUCCEEDED] == 1
    reopened.close()


def test_a_failed_commit_fails_all_who_wait_for_it_and_every_later_one(tmp_path: Path) -> None:
    async def test(commits: Commits, _: Store) -> None:
        await commits.started(1, attempt("x"))
        break_disk(tmp_path)
        waiting = [commits.ended(1, attempt("x")), commits.started(2, attempt("y"))]
        for future in waiting:
            with pytest.raises(OutputError, match="commit failed"):
                await future
        with pytest.raises(OutputError, match="commit failed"):
            await commits.started(3, attempt("z"))

    with_commits(tmp_path, test)


def test_a_commit_is_made_and_nothing_complains_when_one_who_waits_for_it_is_cancelled(
    tmp_path: Path,
) -> None:
    """All of one turn wait for one future, and a task that is cancelled cancels the future it waits for."""

    async def test(commits: Commits, store: Store) -> None:
        complaints: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, what: complaints.append(what))

        async def wait() -> None:
            await commits.finished(1, attempt("x"), result("x"))

        waiting = loop.create_task(wait())
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait([waiting])
        await asyncio.sleep(0.1)
        assert waiting.cancelled()
        assert (rows(tmp_path), store.unexported) == (1, 1)
        await commits.started(2, attempt("y"))
        assert rows(tmp_path) == 2
        assert complaints == []

    with_commits(tmp_path, test)


def test_commits_are_forced_to_the_disk_every_50_ms_while_there_are_any(tmp_path: Path) -> None:
    async def test(commits: Commits, _: Store) -> None:
        flushing = asyncio.get_running_loop().create_task(commits.flush_regularly())
        await asyncio.sleep(5.0)  # nothing to flush: it waits
        for seq, record_id in enumerate("xyz", 1):
            await commits.started(seq, attempt(record_id))
            await asyncio.sleep(0.02)
        flushing.cancel()

    with_commits(tmp_path, test)


def test_attempts_are_told_once_they_are_committed(tmp_path: Path) -> None:
    async def test(commits: Commits, store: Store) -> None:
        told: list[tuple[str, int]] = []
        commits.on_commit(
            lambda group: told.extend((each.record_id, rows(tmp_path)) for _, each in group.ended)
        )

        await commits.started(1, attempt("x"))
        assert told == []
        await asyncio.gather(  # noqa: TID251  in one turn
            commits.ended(2, attempt("y", verdict="retry")), commits.finished(3, attempt("z"), result("z"))
        )
        assert told == [("y", 2), ("z", 2)]
        commits.close(store.unfinished())
        assert told[2:] == [("x", 3)]

        break_disk(tmp_path)
        with pytest.raises(OutputError):
            await commits.ended(1, attempt("x"))
        assert len(told) == 3

    with_commits(tmp_path, test)


def test_what_is_settled_was_entered_before_and_what_comes_later_is_not_waited_for(tmp_path: Path) -> None:
    async def test(commits: Commits, store: Store) -> None:
        async def go_on() -> None:
            for number in range(1000):
                commits.ended(2, attempt("y", attempt=number))
                await asyncio.sleep(0)

        commits.finished(1, attempt("x"), result("x"))
        assert [each.record_id for each in commits.pending()] == ["x"]
        going_on = asyncio.get_running_loop().create_task(go_on())
        await commits.settled()
        assert store.unexported == 1
        assert commits.pending() == []
        assert not going_on.done()
        await going_on

    with_commits(tmp_path, test)


def test_who_is_told_of_every_commit_is_told_of_none_that_failed(tmp_path: Path) -> None:
    async def test(commits: Commits, _: Store) -> None:
        told: list[int] = []
        commits.on_commit(lambda group: told.append(len(group.ended)))
        commits.ended(1, attempt("x"))
        commits.ended(2, attempt("y"))
        await commits.settled()
        assert told == [2]
        break_disk(tmp_path)
        flushing = asyncio.get_running_loop().create_task(commits.flush_regularly())
        commits.ended(3, attempt("z"))
        with pytest.raises(OutputError):
            await commits.settled()
        assert told == [2]
        with pytest.raises(OutputError):  # also where nobody waits
            await flushing

    with_commits(tmp_path, test)
