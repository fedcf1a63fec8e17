"""Runs that keep an output up to date, over objects and with a copy of it in object storage."""

import datetime as dt
import hashlib
import json
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.api import run
from batchroute.engine.comparisons import Comparison
from batchroute.engine.openings import opened
from batchroute.io.store import Store
from batchroute.job.jobs import Job
from batchroute.job.loading import load_job
from batchroute.report.summary import Summary
from tests.builders import records
from tests.cli.jobs import write_job
from tests.storage.servers import Gate, Storage
from tests.storage.test_copies import PREFIX, assert_whole, copied
from tests.storage.test_input import FORMATS


def job_over(storage: Storage, folder: Path, pattern: str) -> Path:
    path = f"s3://{storage.bucket}/{pattern}"
    return write_job(folder, input={"path": path, "id": "id", "storage_options": storage.options})


def asking(number: int, what: str, *, of: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The records, one of which asks something else."""
    return [{**each, "text": what} if each["id"] == f"r{number}" else each for each in of]


def done(ran: Summary) -> tuple[int, int, int]:
    return ran.exit_code, ran.attempts, ran.records.stale


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
def test_a_new_object_is_answered_and_a_changed_one_is_stale_until_it_is_refreshed(
    storage: Storage, tmp_path: Path, suffix: str
) -> None:
    content = FORMATS[f"in.{suffix}"]
    job = job_over(storage, tmp_path, "in")
    monday, tuesday = records(20), records(30)[20:]
    storage.put(f"in/monday.{suffix}", content(monday))
    assert done(run(job)) == (0, 20, 0)

    storage.put(f"in/tuesday.{suffix}", content(tuesday))
    storage.put(f"in/monday.{suffix}", content(asking(3, "another question", of=monday)))
    assert done(run(job)) == (0, 10, 1)

    storage.remove(f"in/tuesday.{suffix}")
    assert done(run(job, refresh_changed=True)) == (0, 1, 0)
    results = pl.read_parquet(tmp_path / "out/results/*.parquet")
    assert (results.height, results["record_id"].n_unique()) == (30, 30)


def test_an_object_is_compared_again_when_it_is_another_one(storage: Storage, tmp_path: Path) -> None:
    job = load_job(job_over(storage, tmp_path, "in.jsonl"))
    before, after = (FORMATS["in.jsonl"](asking(3, what, of=records(5))) for what in ("before", "after "))
    assert len(before) == len(after)  # so that the ETag alone tells
    storage.put("in.jsonl", before)
    run(job)

    assert not compared(job)
    storage.put("in.jsonl", before)
    assert not compared(job)
    storage.put("in.jsonl", after)
    assert compared(job)


def compared(job: Job) -> bool:
    """Whether the next run would compare the answered records of in.jsonl."""
    files, out = opened(job).source.files, job.output.path
    with closing(Store(out)) as store:
        return Comparison.of(job.fingerprint(), files, store, out, refresh=False).covers("in.jsonl")


def test_only_objects_that_were_stored_since_are_read(storage: Storage, tmp_path: Path) -> None:
    job = job_over(storage, tmp_path, "in")
    storage.put("in/a.jsonl", FORMATS["in.jsonl"](records(5)))
    tomorrow = dt.datetime.now(dt.UTC) + dt.timedelta(days=1)  # noqa: TID251  the server has no other clock

    none = run(job, since=tomorrow)
    assert (none.exit_code, none.records.total) == (0, 0)
    assert any("nothing was read" in warning for warning in none.warnings)
    assert done(run(job, since=dt.timedelta(hours=1))) == (0, 5, 0)


def test_a_copy_after_a_refresh_holds_the_replaced_parts_and_nothing_of_before(
    storage: Storage, gate: Gate, tmp_path: Path
) -> None:
    """Its manifest lists what is there, by the SHA-256 of it, and nothing that the refresh has removed."""
    job = copied(tmp_path, storage, gate)
    write_lines(tmp_path, [*records(40)[:-1], {"id": "r39"}])
    assert run(job).exit_code == 3
    assert "results/part-failed.parquet" in listed(storage)
    before, first = storage.objects(PREFIX), len(gate.seen)

    write_lines(tmp_path, asking(3, "another question", of=records(40)))
    assert done(run(job, refresh_changed=True)) == (0, 2, 0)
    assert_whole(tmp_path, storage)
    there = storage.objects(PREFIX)
    assert there["results/part-00001.parquet"] != before["results/part-00001.parquet"]
    assert listed(storage) == {
        path: hashlib.sha256(content).hexdigest()
        for path, content in there.items()
        if path.startswith(("results/", "ledger/"))
    }
    assert "results/part-failed.parquet" not in there

    changes = [line for line in gate.seen[first:] if line.split()[0] in {"PUT", "DELETE"}]
    assert changes[:2] == [
        f"DELETE {PREFIX}results/part-failed.parquet",
        f"PUT {PREFIX}results/part-00001.parquet",
    ]
    assert changes[-1] == f"PUT {PREFIX}manifest.json"
    assert f"PUT {PREFIX}ledger/part-00001.parquet" not in changes  # what is there already is not sent again


def write_lines(folder: Path, found: list[dict[str, Any]]) -> None:
    (folder / "in.jsonl").write_bytes(FORMATS["in.jsonl"](found))


def listed(storage: Storage) -> dict[str, str]:
    """The SHA-256 of each part, as the manifest of the copy has it."""
    manifest = json.loads(storage.objects(PREFIX)["manifest.json"])
    return {part["path"]: part["sha256"] for part in (*manifest["results"], *manifest["ledger"])}
