"""The copy of an output in object storage: whole, in an order that no reader is hurt by, and never in the way."""

import datetime as dt
import json
import threading
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.api import run
from batchroute.core.errors import JobError, OutputError
from batchroute.engine.copying import Copying
from batchroute.engine.endings import Ended
from batchroute.engine.runs import _left_for_copies
from batchroute.engine.stops import GRACE_S
from batchroute.io.files import write_bytes
from batchroute.io.manifest import Manifest, Part, write_manifest
from batchroute.job.loading import load_job
from tests.builders import records, write_records
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute, started, summary
from tests.fakes import virtual_clock
from tests.storage.servers import KEY_ID, PATIENCE_S, SECRET, Gate, Storage

PREFIX = "copies/nightly/"


def copied(folder: Path, storage: Storage, gate: Gate | None = None, **fields: Any) -> Path:
    """A job whose output is copied, through the gate if there is one."""
    options = storage.options if gate is None else {**storage.options, "aws_endpoint_url": gate.url}
    where = {"copy_to": f"s3://{storage.bucket}/{PREFIX.rstrip('/')}", "storage_options": options}
    return write_job(folder, output={"path": "out", **where}, **{"count": 40, **fields})


def ended() -> Ended:
    """A run in which all went well."""
    return Ended(
        run_id="run", exit_code=0, reason=None, started_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC), duration_s=1.0,
        total=0, succeeded=0, failed=0, degraded=0, skipped=0, pending=0, stale=0, cost=0, unpriced=0, warnings=(),
        disabled={}, errors={}, failed_over=0, event="finish", cut_off=False,
    )  # fmt: skip


def dataset(out: Path) -> dict[str, bytes]:
    """Every file of the dataset save the state."""
    files = [*out.glob("results/*"), *out.glob("ledger/*"), out / "routes.parquet", out / "manifest.json"]
    return {str(file.relative_to(out)): file.read_bytes() for file in files}


def assert_whole(folder: Path, storage: Storage) -> None:
    there, here = storage.objects(PREFIX), dataset(folder / "out")
    assert there.keys() == here.keys()
    assert [path for path in here if there[path] != here[path]] == []


def test_the_copy_is_the_dataset_and_its_manifest_comes_last(
    storage: Storage, gate: Gate, tmp_path: Path
) -> None:
    job = copied(tmp_path, storage, gate)
    assert run(job).exit_code == 0
    assert_whole(tmp_path, storage)
    assert gate.of("PUT")[-1] == f"PUT {PREFIX}manifest.json"
    assert len(gate.of("PUT")) == len(dataset(tmp_path / "out"))

    before = len(gate.of("PUT"))
    assert run(job).exit_code == 0
    assert gate.of("PUT")[before:] == [f"PUT {PREFIX}manifest.json"]
    assert_whole(tmp_path, storage)


def test_dead_letters_go_before_their_records_come_elsewhere(
    storage: Storage, gate: Gate, tmp_path: Path
) -> None:
    """A reader that lists the results at any moment finds no record twice."""
    job = copied(tmp_path, storage, gate)
    write_records(tmp_path / "in.jsonl", [*records(30), *({**bad, "text": None} for bad in records(40)[30:])])
    assert run(job).exit_code == 3
    assert f"{PREFIX}results/part-failed.parquet" in storage.objects()
    first = len(gate.seen)

    write_records(tmp_path / "in.jsonl", records(40))
    assert run(job).exit_code == 0
    assert_whole(tmp_path, storage)
    changes = [line for line in gate.seen[first:] if line.split()[0] in {"PUT", "DELETE"}]
    gone = changes.index(f"DELETE {PREFIX}results/part-failed.parquet")
    assert gone < min(n for n, line in enumerate(changes) if line.startswith("PUT"))
    assert pl.read_parquet(tmp_path / "out/results/*.parquet")["record_id"].n_unique() == 40


def test_a_part_that_a_refresh_replaces_is_there_until_the_next_one_is(
    storage: Storage, gate: Gate, tmp_path: Path
) -> None:
    job = copied(tmp_path, storage, gate)
    assert run(job).exit_code == 0
    part = f"{PREFIX}results/part-00001.parquet"
    before = storage.objects()[part]
    write_records(tmp_path / "in.jsonl", [{**each, "text": "another"} for each in records(40)])

    gate.on = lambda method, path: 403 if method == "PUT" and path == part else None
    assert run(job, refresh_changed=True).exit_code == 74
    assert storage.objects()[part] == before
    gate.on = lambda _method, _path: None
    assert run(job).exit_code == 0
    assert_whole(tmp_path, storage)
    assert f"DELETE {part}" not in gate.seen
    puts = gate.of("PUT")
    assert puts.index(f"PUT {part}") < puts.index(f"PUT {PREFIX}ledger/part-00002.parquet")


async def test_whoever_waits_for_the_last_copy_waits_no_longer_than_may_be(
    storage: Storage, gate: Gate, tmp_path: Path
) -> None:
    freed = threading.Event()
    loaded = load_job(copied(tmp_path, storage, gate))
    write_manifest(loaded.output.path, Manifest(job="test", fingerprint="f"))
    assert loaded.output.copy_to is not None
    copying = Copying(loaded, loaded.output.copy_to, fresh=False)

    def hold(method: str, _path: str) -> int | None:
        if method == "PUT":
            freed.wait(PATIENCE_S)
        return None

    gate.on = hold
    told = await copying.finished(ended(), within_s=0.2)
    freed.set()
    assert (told.exit_code, told.event) == (OutputError.exit_code, OutputError.event)
    assert told.warnings[-1].endswith("is incomplete: the deadline has come")


async def test_the_last_copy_has_until_the_deadline_and_half_a_minute_at_least() -> None:
    clock = virtual_clock()
    now = clock.wall()
    assert _left_for_copies(None, clock) is None
    left = [_left_for_copies(due_at, clock) for due_at in (now + 600, now + 5, now - 5)]
    assert left == pytest.approx([600, GRACE_S, GRACE_S], abs=1)


def test_a_run_that_starts_over_replaces_its_copy(storage: Storage, gate: Gate, tmp_path: Path) -> None:
    job = copied(tmp_path, storage, gate)
    assert run(job).exit_code == 0
    storage.put(f"{PREFIX}notes.txt", b"somebody's")

    first = len(gate.seen)
    assert run(job, fresh=True, limit=10).exit_code == 0
    changes = [line.split()[0] for line in gate.seen[first:] if line.split()[0] in {"PUT", "DELETE"}]
    assert changes == ["DELETE"] * 3 + ["PUT"] * 4  # of both datasets a record would stand there twice
    there = storage.objects(PREFIX)
    assert there.pop("notes.txt") == b"somebody's"
    assert there == dataset(tmp_path / "out")


def test_a_run_killed_while_it_copies_goes_on_with_the_copy(
    storage: Storage, gate: Gate, tmp_path: Path
) -> None:
    reached, freed = threading.Event(), threading.Event()

    def hold_the_second(method: str, _path: str) -> int | None:
        if method == "PUT" and len(gate.of("PUT")) == 2:
            reached.set()
            freed.wait(PATIENCE_S)
            return 503
        return None

    gate.on = hold_the_second
    job = copied(tmp_path, storage, gate)
    running = started("run", job)
    try:
        assert reached.wait(PATIENCE_S)
    finally:
        running.kill()
        running.communicate(timeout=PATIENCE_S)
        freed.set()
    (whole,) = storage.objects(PREFIX)

    gate.on = lambda _method, _path: None
    ran = run(job)
    assert (ran.exit_code, ran.attempts) == (0, 0)
    assert_whole(tmp_path, storage)
    assert gate.of("PUT").count(f"PUT {PREFIX}{whole}") == 1


def test_a_copy_that_fails_costs_nothing_but_the_exit_code(
    storage: Storage, gate: Gate, tmp_path: Path
) -> None:
    gate.on = lambda method, _path: 403 if method == "PUT" else None
    job = copied(tmp_path, storage, gate)
    ran = batchroute("run", job, "--json")
    told = summary(ran)
    assert (ran.returncode, told["exit_code"], told["records"]["succeeded"]) == (74, 74, 40)
    assert told["reason"] == (
        f"the copy in s3://{storage.bucket}/{PREFIX.rstrip('/')} is incomplete; the same command goes on with it"
    )
    assert "access is refused (403)" in told["warnings"][0]
    assert "is incomplete: s3://" in ran.stderr
    assert json.loads((tmp_path / "out/manifest.json").read_bytes())["last_run"]["exit_code"] == 74

    gate.on = lambda _method, _path: None
    again = run(job)
    assert (again.exit_code, again.attempts) == (0, 0)
    assert_whole(tmp_path, storage)


def test_passing_faults_of_the_storage_are_tried_again(storage: Storage, gate: Gate, tmp_path: Path) -> None:
    gate.on = lambda _method, _path: 503 if len(gate.seen) % 3 == 0 else None
    assert run(copied(tmp_path, storage, gate)).exit_code == 0
    gate.on = lambda _method, _path: None
    assert_whole(tmp_path, storage)


def test_a_bucket_that_is_missing_is_refused_before_anything_is_paid(
    storage: Storage, tmp_path: Path
) -> None:
    storage.bucket = "no-such-bucket"
    ran = batchroute("run", copied(tmp_path, storage))
    assert ran.returncode == 74
    assert "output.copy_to: s3://no-such-bucket/" in ran.stderr
    assert "(copy_missing)" in ran.stderr
    assert not (tmp_path / "out/state.db").exists()


@pytest.mark.parametrize("whose", ["another job's", "nobody's", "this job's, from another directory"])
def test_a_prefix_that_holds_something_else_is_refused(storage: Storage, tmp_path: Path, whose: str) -> None:
    """Bringing a copy up to date removes what does not belong to it."""
    notes = {"another job's": {"batchroute-job": "another"}, "nobody's": {}}.get(
        whose, {"batchroute-job": "test"}
    )
    storage.put(f"{PREFIX}results/part-00001.parquet", b"precious", notes)
    before = storage.objects()

    with pytest.raises(OutputError, match="Name another prefix") as caught:
        run(copied(tmp_path, storage))
    assert caught.value.code == "copy_foreign"
    assert storage.objects() == before
    assert not (tmp_path / "out/state.db").exists()


def test_no_credential_is_in_any_artefact(storage: Storage, gate: Gate, tmp_path: Path) -> None:
    job = copied(tmp_path, storage, gate, classify=[{"builtin": "tasks"}])
    gate.on = lambda method, path: 403 if method == "PUT" and path.endswith("manifest.json") else None
    told = [batchroute("check", job), batchroute("run", job, "--json", "--log-format", "json")]
    assert [ran.returncode for ran in told] == [0, 74]
    assert storage.objects(PREFIX).keys() == dataset(tmp_path / "out").keys() - {"manifest.json"}

    files = [file for file in tmp_path.rglob("*") if file.is_file()]
    everything = [file.read_bytes() for file in files] + list(storage.objects().values())
    everything += [(ran.stdout + ran.stderr).encode() for ran in told]
    assert [text for text in everything for secret in (KEY_ID, SECRET) if secret.encode() in text] == []


def test_a_literal_credential_is_warned_of_and_a_variable_of_one_is_used_nowhere_else(
    storage: Storage, tmp_path: Path
) -> None:
    storage_options = {**storage.options, "aws_secret_access_key": SECRET}
    output = {"path": "out", "copy_to": f"s3://{storage.bucket}/x", "storage_options": storage_options}
    (warning, *_) = load_job(write_job(tmp_path, output=output)).warnings
    assert warning.startswith("output.storage_options.aws_secret_access_key holds a key as it stands")
    assert SECRET not in warning

    output = {**output, "storage_options": storage.options, "copy_to": "s3://${STORAGE_SECRET}"}
    with pytest.raises(JobError, match=r"\[env_not_allowed\]") as refused:
        load_job(write_job(tmp_path, output=output))
    assert SECRET not in str(refused.value)


def test_a_copy_in_its_own_input_is_refused(storage: Storage, tmp_path: Path) -> None:
    path = {"path": f"s3://{storage.bucket}/data/**/*.parquet"}
    output = {"path": "out", "copy_to": f"s3://{storage.bucket}/data/copy"}
    with pytest.raises(JobError, match=r"output\.copy_to: .*\[output_overlaps_input\]"):
        load_job(write_job(tmp_path, input=path, output=output))


def test_parts_are_copied_while_the_run_goes_on(storage: Storage, gate: Gate, tmp_path: Path) -> None:
    job = load_job(copied(tmp_path, storage, gate))
    out, url = job.output.path, job.output.copy_to
    assert url is not None
    manifest_there = threading.Event()

    def tell_of_the_manifest(method: str, path: str) -> int | None:
        if method == "HEAD" and path.endswith("manifest.json") and f"PUT {path}" in gate.seen:
            manifest_there.set()
        return None

    gate.on = tell_of_the_manifest
    with Copying(job, url, fresh=False) as copying:
        path = "results/part-00001.parquet"
        part = Part(path=path, rows=1, sha256=write_bytes(out, path, b"rows"))
        write_manifest(out, Manifest(job="test", fingerprint="f", results=(part,)))
        copying.due()
        assert manifest_there.wait(PATIENCE_S)
    assert storage.objects(PREFIX)[path] == b"rows"
