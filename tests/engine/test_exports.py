import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from msgspec import structs

from batchroute.core.attempts import CostBasis, Reuse
from batchroute.core.errors import OutputError
from batchroute.core.results import Status, Totals
from batchroute.engine.exports import Exporter
from batchroute.engine.runs import run
from batchroute.io.locks import is_locked
from batchroute.io.manifest import Manifest, read_manifest, write_manifest
from batchroute.io.parts import DEAD_LETTERS, write_part
from batchroute.io.store import Export, Group, Settled, State, Store
from batchroute.io.tables import ledger_frame, results_frame
from batchroute.report.scans import scan_ledger, scan_results
from tests.builders import attempt, job, records, result, write_records
from tests.engine.runs import run_virtually
from tests.fakes import ScriptedProvider, always, answer
from tests.renames import renames_told_to

KEPT = {"source": pl.String()}
KEPT_VALUES = {"source": "mail"}


def exporter(folder: Path) -> Exporter:
    """On what is there, as a run opens it."""
    manifest = read_manifest(folder) or Manifest(job="test", fingerprint="f")
    return Exporter(directory=folder, store=Store(folder), kept=KEPT, manifest=manifest)


def answer_some(store: Store, *record_ids: str, failed: bool = False) -> None:
    """Records with an attempt and a result each, committed one by one."""
    known = store.register([(record_id, "in.jsonl", 1) for record_id in record_ids])
    for place, record_id in zip(known, record_ids, strict=True):
        ended = attempt(record_id, verdict="dead_letter" if failed else "accept")
        status = Status.FAILED if failed else Status.SUCCEEDED
        store.commit(
            Group([], [(place.seq, ended)], [(place.seq, result(record_id, status=status, kept=KEPT_VALUES))])
        )


def files(folder: Path) -> dict[str, bytes]:
    return {
        f"{file.parent.name}/{file.name}": file.read_bytes()
        for kind in ("results", "ledger")
        for file in sorted((folder / kind).glob("*"))
    }


def ids(frame: pl.LazyFrame) -> list[str]:
    return sorted(frame.collect()["record_id"])


def test_what_is_in_the_journal_goes_into_two_parts_and_the_manifest(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    answer_some(out.store, "x", "y")
    asyncio.run(out.export())

    assert list(files(tmp_path)) == ["results/part-00001.parquet", "ledger/part-00001.parquet"]
    assert ids(scan_results(tmp_path)) == ids(scan_ledger(tmp_path)) == ["x", "y"]
    assert scan_results(tmp_path).collect()["source"].to_list() == ["mail", "mail"]
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert [part.rows for part in (*manifest.results, *manifest.ledger)] == [2, 2]
    assert out.store.counts()[State.SUCCEEDED] == 2
    assert out.store.unexported == 0
    out.store.close()


def test_lines_of_reused_answers_are_made_from_what_they_have_in_common_also_after_a_kill(
    tmp_path: Path,
) -> None:
    out = exporter(tmp_path)
    x, y, z = (each.seq for each in out.store.register([(name, "in.jsonl", 1) for name in "xyz"]))
    shared = attempt("", attempt=0, cost=0, cost_basis=CostBasis.SHARED, price_input=150_000)
    recalled = structs.replace(shared, cost_basis=CostBasis.CACHE, route="hard", price_input=2_000_000)
    first = Group([], [(x, attempt("x"))], [(x, result("x", kept=KEPT_VALUES))])
    then = Group(
        [],
        [],
        [(y, result("y", kept=KEPT_VALUES)), (z, result("z", kept=KEPT_VALUES))],
        lines=[recalled, shared],
        reused=[(z, Reuse(0, "small-2026", 7)), (y, Reuse(1))],
    )
    out.store.commit(first)
    out.store.commit(then)
    out.store.close()  # the journal is read back, as after a kill -9
    out = exporter(tmp_path)
    asyncio.run(out.export())
    out.store.close()

    lines = scan_ledger(tmp_path).sort("record_id").collect()
    columns = ["record_id", "attempt", "route", "cost_basis", "price_input", "response_model", "spared_usd"]
    assert lines.select(columns).rows()[1:] == [
        ("y", 0, "default", "shared", Decimal("0.15"), None, None),
        ("z", 0, "hard", "cache", Decimal(2), "small-2026", Decimal("0.000000000007")),
    ]
    assert lines["started_at"].to_list()[1:] == scan_results(tmp_path).collect()["finished_at"].to_list()[1:]
    assert lines["task"].to_list()[1:] == [result("y").task] * 2


def test_a_second_export_changes_nothing(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    answer_some(out.store, "x")
    asyncio.run(out.export())
    before = files(tmp_path)
    asyncio.run(out.export())
    assert files(tmp_path) == before

    answer_some(out.store, "y")
    asyncio.run(out.export())
    after = files(tmp_path)
    assert {name: after[name] for name in before} == before
    assert ids(scan_results(tmp_path)) == ["x", "y"]
    out.store.close()


def test_an_export_of_attempts_alone_writes_no_part_of_results(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    [known] = out.store.register([("x", "in.jsonl", 1)])
    out.store.commit(Group([], [(known.seq, attempt("x", verdict="retry"))], []))
    asyncio.run(out.export())
    assert list(files(tmp_path)) == ["ledger/part-00001.parquet"]
    out.store.close()


def test_dead_letters_are_in_no_lasting_part(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    answer_some(out.store, "x")
    answer_some(out.store, "dead", failed=True)
    asyncio.run(out.export())
    assert ids(scan_results(tmp_path)) == ["x"]
    assert ids(scan_ledger(tmp_path)) == ["dead", "x"]

    asyncio.run(out.write_dead_letters())
    assert ids(scan_results(tmp_path)) == ["dead", "x"]
    assert (tmp_path / DEAD_LETTERS).exists()
    out.store.close()


def test_retracted_dead_letters_are_gone_and_can_be_written_again(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    answer_some(out.store, "dead", failed=True)
    asyncio.run(out.export())
    asyncio.run(out.write_dead_letters())
    before = files(tmp_path)
    out.retract_dead_letters()
    assert ids(scan_results(tmp_path)) == []
    manifest = read_manifest(tmp_path)
    assert manifest is not None
    assert manifest.results == ()

    out.retract_dead_letters()  # twice is as good as once
    asyncio.run(out.write_dead_letters())
    assert files(tmp_path) == before
    out.store.close()


def test_without_dead_letters_there_is_no_part_of_them(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    asyncio.run(out.write_dead_letters())
    assert not (tmp_path / DEAD_LETTERS).exists()
    out.store.close()


def test_a_dead_letter_that_was_answered_appears_once(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    answer_some(out.store, "x", failed=True)
    asyncio.run(out.export())
    asyncio.run(out.write_dead_letters())
    out.store.close()

    again = exporter(tmp_path)
    again.retract_dead_letters()
    answer_some(again.store, "x")
    asyncio.run(again.export())
    asyncio.run(again.write_dead_letters())
    assert scan_results(tmp_path).collect()["status"].to_list() == ["succeeded"]
    again.store.close()


def test_a_dead_letter_shows_what_was_tried_since_by_a_run_that_was_stopped(tmp_path: Path) -> None:
    """Its attempts were in the ledger, and its totals said nothing of them."""
    out = exporter(tmp_path)
    answer_some(out.store, "x", failed=True)
    asyncio.run(out.export())
    out.store.close()
    out = exporter(tmp_path)
    out.store.commit(Group([], [(1, attempt("x", attempt=2, verdict="retry"))], []))
    asyncio.run(out.export())
    asyncio.run(out.write_dead_letters())

    [row] = scan_results(tmp_path).collect().iter_rows(named=True)
    ledger = scan_ledger(tmp_path).collect()
    assert (row["attempts"], row["cost_usd"]) == (ledger.height, ledger["cost_usd"].sum())
    out.store.close()


# A crash between any two steps. The steps are those of Exporter.export.

Step = Callable[[Exporter], None]


def begin(out: Exporter) -> None:
    out.store.begin_export()


def write_results(out: Exporter) -> None:
    groups = out.store.journal(_begun(out))
    answered = [one for group in groups for _, one in group.results if one.status is not Status.FAILED]
    write_part(out.directory, "results/part-00001.parquet", results_frame(answered, KEPT))


def write_ledger(out: Exporter) -> None:
    groups = out.store.journal(_begun(out))
    ended = [one for group in groups for _, one in group.ended]
    write_part(out.directory, "ledger/part-00001.parquet", ledger_frame(ended))


def list_parts(out: Exporter) -> None:
    parts = [
        write_part(out.directory, name, pl.read_parquet(out.directory / name))
        for name in ("results/part-00001.parquet", "ledger/part-00001.parquet")
    ]
    write_manifest(
        out.directory, structs.replace(out.manifest, results=(parts[0],), ledger=(parts[1],), counts={})
    )


def finish(out: Exporter) -> None:
    export, settled = _begun(out), Settled.empty()
    for group in out.store.journal(export):
        settled.add(group)
    out.store.finish_export(export, settled)


def _begun(out: Exporter) -> Export:
    export = out.store.begin_export()
    assert export is not None
    return export


STEPS: tuple[Step, ...] = (begin, write_results, write_ledger, list_parts, finish)


@pytest.mark.parametrize("done", range(len(STEPS) + 1))
def test_an_export_that_a_crash_cut_off_ends_with_the_same_names_and_bytes(tmp_path: Path, done: int) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
        out = exporter(folder)
        answer_some(out.store, "x", "y")
        answer_some(out.store, "dead", failed=True)
        out.store.close()
    uncut = exporter(whole)
    asyncio.run(uncut.export())
    crashed = exporter(cut)
    for step in STEPS[:done]:
        step(crashed)
    del crashed  # no close: as after a kill

    again = exporter(cut)
    asyncio.run(again.export())
    assert files(cut) == files(whole)
    manifest, expected = read_manifest(cut), read_manifest(whole)
    assert manifest is not None
    assert expected is not None
    assert (manifest.results, manifest.ledger) == (expected.results, expected.ledger)
    assert again.store.counts() == uncut.store.counts()
    assert [letter.record_id for letter in again.store.dead_letters()] == ["dead"]
    uncut.store.close()
    again.store.close()


def test_what_came_after_a_cut_off_export_goes_into_the_next_part(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    answer_some(out.store, "x")
    begin(out)
    answer_some(out.store, "y")
    del out

    again = exporter(tmp_path)
    asyncio.run(again.export())
    assert ids(scan_results(tmp_path)) == ["x"]
    asyncio.run(again.export())
    assert ids(scan_results(tmp_path)) == ["x", "y"]
    assert "results/part-00002.parquet" in files(tmp_path)
    again.store.close()


def test_attempts_that_ended_while_their_export_ran_count_once_after_a_crash(tmp_path: Path) -> None:
    """The kept totals held them already, and the journal did too: their record was numbered on from a gap."""
    out = exporter(tmp_path)
    [known] = out.store.register([("x", "in.jsonl", 1)])
    out.store.commit(Group([], [(known.seq, attempt("x", attempt=1, verdict="retry", cost=5))], []))
    begin(out)
    out.store.commit(Group([], [(known.seq, attempt("x", attempt=2, verdict="retry", cost=7))], []))
    finish(out)
    del out

    again = exporter(tmp_path)
    carried = again.store.carried(known.seq)
    assert carried == Totals(attempts=2, input_tokens=20, output_tokens=10, cost=12)
    again.store.close()


def test_a_cancelled_run_holds_its_directory_until_its_part_is_written(tmp_path: Path) -> None:
    """The thread went on alone, and put its part where another run might be by then."""
    write_records(tmp_path / "in.jsonl", records(5))
    written = threading.Event()

    async def cancelled_while_a_part_is_written() -> None:
        reached, loop = asyncio.Event(), asyncio.get_running_loop()

        def hold(name: Path) -> None:
            if name.name.startswith("part-"):
                loop.call_soon_threadsafe(reached.set)
                assert written.wait(timeout=20)

        provider = ScriptedProvider({"a": always(answer(), 0.0)})
        going = run(job(tmp_path), conclude=lambda ended: ended, connect=provider.connect)
        async with asyncio.TaskGroup() as group:
            running = group.create_task(going)
            with renames_told_to(hold):
                await reached.wait()
                for _ in range(2):  # a second cancellation hurries nobody
                    running.cancel()
                    await asyncio.sleep(0)
                    await asyncio.sleep(0)
                    assert not running.done()
                    assert is_locked(tmp_path / "out")
                written.set()
                with suppress(asyncio.CancelledError):
                    await running
        assert running.cancelled()

    asyncio.run(cancelled_while_a_part_is_written())
    assert not is_locked(tmp_path / "out")
    assert [file.name for file in (tmp_path / "out/results").iterdir()] == ["part-00001.parquet"]
    again = run_virtually(tmp_path, scripts={"a": always(answer())})
    assert (again.provider.log, again.results.height) == ([], 5)


def test_a_disk_that_refuses_a_part_leaves_the_journal_as_it_was(tmp_path: Path) -> None:
    out = exporter(tmp_path)
    answer_some(out.store, "x")
    (tmp_path / "ledger").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="ledger"):
        asyncio.run(out.export())
    assert out.store.unexported == 1

    (tmp_path / "ledger").unlink()
    asyncio.run(out.export())
    assert ids(scan_results(tmp_path)) == ids(scan_ledger(tmp_path)) == ["x"]
    out.store.close()
