"""Damage to an output directory: what is named, what is repaired, and that nothing is paid for again."""

import asyncio
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import polars as pl
import pytest

from batchroute.core.errors import OutputError
from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine import pipeline
from batchroute.engine.pipeline import Options
from batchroute.engine.verifications import Routes, Verified, verify
from batchroute.io.files import STORE_NAME
from batchroute.io.manifest import MANIFEST_NAME, read_manifest
from batchroute.io.parts import part_path
from batchroute.io.store import Group, Store
from batchroute.report.routes import refresh_routes, routes_agree, write_routes
from batchroute.report.scans import scan_results
from tests.builders import attempt, records, result, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Sent, always, answer, failure

COUNT = 30
DEAD = "question 7"
PARTS = ("results/part-00001.parquet", "results/part-failed.parquet", "ledger/part-00001.parquet")


def run_once(folder: Path, *, retry_failed: bool = True, refresh: bool = False) -> Ran:
    """Thirty records, one of which is refused for good."""

    def script(sent: Sent) -> tuple[float, Outcome]:
        refused = DEAD in str(sent.request.messages)
        return 0.1, failure(ErrorType.BAD_REQUEST) if refused else answer()

    scripts = {"a": script, "b": always(answer())}
    options = Options(retry_failed=retry_failed, refresh_changed=refresh)
    return run_virtually(folder, scripts=scripts, options=options)


@pytest.fixture
def dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run's folder."""
    monkeypatch.setattr(pipeline, "PART_RECORDS", 10)
    write_records(tmp_path / "in.jsonl", records(COUNT))
    run_once(tmp_path)
    write_routes(tmp_path / "out", None)
    return tmp_path


@pytest.fixture
def refreshed(dataset: Path) -> Path:
    """The same after a refresh: one answer is another one, one is stale still, as its record was refused."""
    texts = {"r3": "another question", "r5": f"{DEAD} again"}
    write_records(
        dataset / "in.jsonl",
        [{**each, "text": texts.get(each["id"], each["text"])} for each in records(COUNT)],
    )
    before = {name: content for name, content in files(dataset).items() if name.startswith("results/part-0")}
    ended = run_once(dataset, refresh=True).ended
    assert (ended.succeeded, ended.failed, ended.stale) == (1, 2, 1)
    after = files(dataset)
    assert before.keys() == {name for name in after if name.startswith("results/part-0")}
    assert [name for name in before if before[name] != after[name]] != []
    write_routes(dataset / "out", None)
    return dataset


def looked(folder: Path, *, repair: bool = False) -> Verified:
    routes = Routes(agree=routes_agree, write=refresh_routes)
    return asyncio.run(verify(folder / "out", routes, repair=repair))


def files(folder: Path) -> dict[str, bytes]:
    """What readers see."""
    out = folder / "out"
    found = [*out.rglob("*.parquet"), *out.glob("*.json")]
    return {str(file.relative_to(out)): file.read_bytes() for file in found}


def count_one_more(file: Path) -> None:
    pl.read_parquet(file).with_columns(pl.col("attempts") + 1).write_parquet(file)


def take_longer(file: Path) -> None:
    pl.read_parquet(file).with_columns(pl.col("latency_p50_s") * 1.01).write_parquet(file)


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 3] ^= 1
    file.write_bytes(content)


def test_a_finished_dataset_is_sound_and_looking_changes_nothing(dataset: Path) -> None:
    before = files(dataset)
    for repair in (False, True):
        seen = looked(dataset, repair=repair)
        assert (seen.findings, seen.repaired) == ([], [])
    manifest = read_manifest(dataset / "out")
    assert manifest is not None
    assert seen.parts == len(manifest.parts()) > 4
    assert files(dataset) == before


DAMAGE: list[tuple[str, Callable[[Path], object], str, bool]] = [
    ("results/part-00001.parquet", flip, "part_corrupt", False),
    ("ledger/part-00002.parquet", flip, "part_corrupt", False),
    ("results/part-00002.parquet", Path.unlink, "part_missing", False),
    ("results/part-failed.parquet", flip, "part_corrupt", True),
    ("results/part-failed.parquet", Path.unlink, "part_missing", True),
    ("results/part-00001 (copy).parquet", Path.touch, "part_foreign", False),
    ("ledger/notes.txt", Path.touch, "part_foreign", False),
    (MANIFEST_NAME, flip, "manifest_corrupt", True),
    (MANIFEST_NAME, Path.unlink, "manifest_missing", True),
    (STORE_NAME, Path.unlink, "state_missing", False),
    ("routes.parquet", count_one_more, "routes_stale", True),
    ("routes.parquet", take_longer, "routes_stale", True),
    ("routes.parquet", Path.unlink, "routes_stale", True),
]


@pytest.mark.parametrize(
    ("path", "harm", "word", "repairable"), DAMAGE, ids=[f"{d[2]} {d[0]}" for d in DAMAGE]
)
def test_damage_is_named_and_repaired_where_that_costs_nothing(
    dataset: Path, path: str, harm: Callable[[Path], object], word: str, repairable: bool
) -> None:
    before = files(dataset)
    harm(dataset / "out" / path)
    [found] = looked(dataset).damaged
    assert (found.path, found.damage, found.repairable) == (path, word, repairable)

    seen = looked(dataset, repair=True)
    repaired = [finding.damage for finding in seen.repaired if finding.damage != "unfinished"]
    assert repaired == ([word] if repairable else [])
    assert bool(seen.findings) is not repairable
    if repairable:
        after = files(dataset)
        changed = {name for name in before | after if after.get(name) != before.get(name)}
        assert changed <= {MANIFEST_NAME, "routes.parquet"}
        assert run_once(dataset, retry_failed=False).provider.log == []


@pytest.mark.parametrize(
    ("path", "harm", "word", "repairable"), DAMAGE, ids=[f"{d[2]} {d[0]}" for d in DAMAGE]
)
def test_a_resume_sends_nothing_on_damage_unless_it_writes_the_file_anew(
    dataset: Path, path: str, harm: Callable[[Path], object], word: str, repairable: bool
) -> None:
    harm(dataset / "out" / path)
    if path in {"results/part-failed.parquet", "routes.parquet", "ledger/notes.txt"}:
        assert run_once(dataset, retry_failed=False).provider.log == []
        return
    with pytest.raises(OutputError, match=word) as refused:
        run_once(dataset)
    assert refused.value.code == word
    assert str(dataset / "out") in str(refused.value)


def test_any_flipped_bit_of_a_part_is_found(dataset: Path) -> None:
    part = dataset / "out/results/part-00001.parquet"
    whole = part.read_bytes()
    for place in range(0, len(whole), len(whole) // 40):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        part.write_bytes(damaged)
        assert [finding.damage for finding in looked(dataset).findings] == ["part_corrupt"], place


def test_any_flipped_bit_of_the_manifest_is_found_or_changes_nothing(dataset: Path) -> None:
    path = dataset / "out" / MANIFEST_NAME
    whole, before = path.read_bytes(), read_manifest(dataset / "out")
    unnoticed = 0
    for place in range(len(whole)):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            assert read_manifest(dataset / "out") == before
        except OutputError:
            continue
        unnoticed += 1
    assert unnoticed <= len('"digest"')  # without its name it is a manifest of an earlier version


def test_a_copy_of_an_earlier_state_is_short(dataset: Path) -> None:
    earlier = (dataset / "out" / STORE_NAME).read_bytes()
    write_records(dataset / "in.jsonl", records(COUNT + 10))
    run_once(dataset)
    write_routes(dataset / "out", None)
    (dataset / "out" / STORE_NAME).write_bytes(earlier)
    with pytest.raises(OutputError, match="state_short"):
        run_once(dataset)
    assert [finding.damage for finding in looked(dataset).damaged] == ["state_short"]

    (dataset / "out/state.db-mark").unlink()  # the manifest knows it, too
    with pytest.raises(OutputError, match="state_short"):
        run_once(dataset)


def test_a_log_that_was_deleted_after_a_kill_leaves_a_state_that_is_short(dataset: Path) -> None:
    store = Store(dataset / "out")
    store.commit(Group([(1, attempt("r1"))], [], []))
    store.flush()
    killed = dataset / "killed"
    shutil.copytree(dataset / "out", killed / "out")  # what a kill leaves at this moment
    store.close()
    for name in ("state.db-wal", "state.db-shm"):
        (killed / "out" / name).unlink()
    with pytest.raises(OutputError, match="state_short"):
        Store(killed / "out")


def test_a_log_that_another_program_has_moved_into_the_database_is_no_damage(dataset: Path) -> None:
    store = Store(dataset / "out")
    store.commit(Group([(1, attempt("r1"))], [], []))
    store.flush()
    killed = dataset / "killed"
    shutil.copytree(dataset / "out", killed / "out")
    store.close()
    with closing(sqlite3.connect(killed / "out/state.db")) as shell:
        shell.execute("pragma wal_checkpoint(truncate)")
    assert not (killed / "out/state.db-wal").exists()
    Store(killed / "out").close()


def test_what_a_kill_left_half_done_is_no_damage_and_a_repair_writes_it_from_the_state(dataset: Path) -> None:
    with closing(Store(dataset / "out")) as store:
        [known] = store.register([("late", "in.jsonl", COUNT + 1)])
        store.commit(Group([], [(known.seq, attempt("late"))], [(known.seq, result("late"))]))
        export = store.begin_export()
        assert export is not None
    part = dataset / "out" / part_path("results", export.number)
    part.write_bytes(b"PAR1 half a part")
    (dataset / "out/.tmp/part.parquet").write_bytes(b"PAR1")
    assert looked(dataset).damaged == []
    assert {finding.path for finding in looked(dataset).findings} == {
        ".tmp/part.parquet",
        "state.db",
        part_path("results", export.number),
    }

    seen = looked(dataset, repair=True)
    assert seen.findings == []
    assert pl.read_parquet(part)["record_id"].to_list() == ["late"]
    assert scan_results(dataset / "out").collect().height == COUNT + 1


def test_an_older_manifest_is_brought_up_to_date_from_the_state(dataset: Path) -> None:
    path = dataset / "out" / MANIFEST_NAME
    earlier = path.read_bytes()
    write_records(dataset / "in.jsonl", records(COUNT + 10))
    run_once(dataset)
    write_routes(dataset / "out", None)
    latest = read_manifest(dataset / "out")
    path.write_bytes(earlier)
    with pytest.raises(OutputError, match="output_inconsistent"):
        run_once(dataset)

    assert {finding.damage for finding in looked(dataset, repair=True).repaired} >= {"output_inconsistent"}
    repaired = read_manifest(dataset / "out")
    assert repaired is not None
    assert latest is not None
    assert {part.path for part in repaired.parts()} == {part.path for part in latest.parts()}
    assert looked(dataset).findings == []


def test_a_repair_from_a_state_that_is_short_touches_no_part(dataset: Path) -> None:
    """What it would export has the number of parts that the newer state had written."""
    with closing(Store(dataset / "out")) as store:
        [known] = store.register([("late", "in.jsonl", COUNT + 1)])
        store.commit(Group([], [(known.seq, attempt("late"))], [(known.seq, result("late"))]))
    earlier = (dataset / "out" / STORE_NAME).read_bytes()
    write_records(dataset / "in.jsonl", records(COUNT + 10))
    run_once(dataset)
    (dataset / "out" / STORE_NAME).write_bytes(earlier)
    (dataset / "out/state.db-mark").unlink()

    before = files(dataset)
    assert "state_short" in {finding.damage for finding in looked(dataset, repair=True).damaged}
    after = files(dataset)
    assert {name for name in before if before[name] != after[name]} <= {"routes.parquet"}


def test_parts_of_an_earlier_version_are_adopted_and_a_lost_manifest_lists_them_again(dataset: Path) -> None:
    with closing(sqlite3.connect(dataset / "out" / STORE_NAME)) as state:
        state.execute("delete from meta where key glob 'part:*' or key in ('job', 'fingerprint', 'kept')")
        state.commit()
    assert run_once(dataset, retry_failed=False).provider.log == []
    listed = read_manifest(dataset / "out")
    (dataset / "out" / MANIFEST_NAME).unlink()
    assert looked(dataset, repair=True).damaged == []
    repaired = read_manifest(dataset / "out")
    assert listed is not None
    assert repaired is not None
    assert {part.path for part in repaired.parts()} == {part.path for part in listed.parts()}


def test_where_no_run_has_begun_there_is_nothing_to_verify(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(OutputError, match="no run has begun"):
        looked(tmp_path)


def test_parts_are_read_by_whoever_reads_parquet_after_a_repair(dataset: Path) -> None:
    (dataset / "out" / MANIFEST_NAME).unlink()
    looked(dataset, repair=True)
    assert pl.read_parquet(dataset / "out/results/part-*.parquet")["record_id"].n_unique() == COUNT


# After a refresh, which has replaced parts


def test_a_refreshed_dataset_is_sound(refreshed: Path) -> None:
    before = files(refreshed)
    assert looked(refreshed, repair=True).findings == []
    assert files(refreshed) == before


def test_a_manifest_that_was_lost_after_a_refresh_lists_what_it_did(refreshed: Path) -> None:
    listed = read_manifest(refreshed / "out")
    (refreshed / "out" / MANIFEST_NAME).unlink()
    assert looked(refreshed, repair=True).findings == []
    repaired = read_manifest(refreshed / "out")
    assert listed is not None
    assert repaired is not None
    assert {part.path: part for part in repaired.parts()} == {part.path: part for part in listed.parts()}
    assert (repaired.counts, repaired.stale) == (listed.counts, 1)


def test_a_part_that_was_put_back_after_a_refresh_is_damaged(refreshed: Path) -> None:
    """Its rows are as many, and none of them is damaged: only its SHA-256 tells."""
    part = "results/part-00001.parquet"
    rows = pl.read_parquet(refreshed / "out" / part).with_columns(response=pl.lit("an old answer"))
    rows.write_parquet(refreshed / "out" / part)
    assert [(found.path, found.damage) for found in looked(refreshed).findings] == [(part, "part_corrupt")]
    with pytest.raises(OutputError, match="part_corrupt"):
        run_once(refreshed)


@pytest.mark.parametrize("earlier", [STORE_NAME, MANIFEST_NAME])
def test_what_is_older_than_a_refresh_is_noticed_and_only_the_manifest_can_be_mended(
    dataset: Path, earlier: str, request: pytest.FixtureRequest
) -> None:
    kept = (dataset / "out" / earlier).read_bytes()
    request.getfixturevalue("refreshed")
    (dataset / "out" / earlier).write_bytes(kept)
    (dataset / "out/state.db-mark").unlink()
    with pytest.raises(OutputError):
        run_once(dataset)

    before = files(dataset)
    seen = looked(dataset, repair=True)
    after = files(dataset)
    assert {name for name in before if before[name] != after[name]} <= {MANIFEST_NAME, "routes.parquet"}
    if earlier == MANIFEST_NAME:
        assert seen.findings == []
        assert run_once(dataset, retry_failed=False).provider.log == []
    else:
        assert "state_short" in {found.damage for found in seen.damaged}
        assert after[MANIFEST_NAME] == before[MANIFEST_NAME]
