"""Records from object storage: which objects a path stands for, and that each is read as one version of it."""

import gzip
import io
import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import zstandard

from batchroute.api import run
from batchroute.core.errors import InputError
from batchroute.io.sources import parquet
from batchroute.io.sources.source import Source, open_source
from batchroute.job.storage import StorageOptions
from tests.builders import records
from tests.cli.jobs import write_job
from tests.storage.servers import KEY_ID, SECRET, Gate, Storage, client, guarded


def lines(found: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(record) + "\n" for record in found).encode()


def table(found: list[dict[str, Any]]) -> bytes:
    written = io.BytesIO()
    pl.DataFrame(found).write_parquet(written)
    return written.getvalue()


def opened(storage: Storage, path: str, spool: Path | None = None) -> Source:
    options = StorageOptions.model_validate({
        **storage.options, "aws_access_key_id": KEY_ID, "aws_secret_access_key": SECRET
    })  # fmt: skip
    return open_source(
        f"s3://{storage.bucket}/{path}",
        id_column="id",
        columns=frozenset({"text"}),
        storage=options,
        spool=spool,
    )


async def ids(source: Source) -> list[str]:
    return [record.record_id async for batch in source.batches() for record in batch.records]


def left_in(folder: Path) -> int:
    return len(list(folder.iterdir()))


FORMATS = {
    "in.jsonl": lines,
    "in.jsonl.gz": lambda found: gzip.compress(lines(found)),
    "in.jsonl.zst": lambda found: zstandard.compress(lines(found)),
    "in.parquet": table,
    "a b/100%25 ü+.parquet": table,
}


@pytest.mark.parametrize("key", FORMATS)
async def test_every_format_is_read(storage: Storage, tmp_path: Path, key: str) -> None:
    storage.put(key, FORMATS[key](records(3000)))

    assert await ids(opened(storage, key, tmp_path)) == [f"r{number}" for number in range(3000)]
    assert left_in(tmp_path) == 0


LISTINGS = [
    ("in/a.jsonl", ["a.jsonl"]),
    ("in", ["a.jsonl", "b.jsonl"]),
    ("in/", ["a.jsonl", "b.jsonl"]),
    ("in/*", ["a.jsonl", "b.jsonl"]),
    ("in/[b-z].jsonl", ["b.jsonl"]),
    ("*/a.jsonl", ["in/a.jsonl", "other/a.jsonl"]),
    ("in/**/*.jsonl", ["a.jsonl", "b.jsonl", "below/c.jsonl", "below/deep/d.jsonl"]),
    ("**/d.jsonl", ["d.jsonl"]),
]


@pytest.mark.parametrize(("path", "names"), LISTINGS, ids=[path for path, _ in LISTINGS])
def test_a_path_stands_for_what_it_would_stand_for_on_a_disk(
    storage: Storage, path: str, names: list[str]
) -> None:
    for key in (
        *("in/a.jsonl", "in/b.jsonl", "in/below/c.jsonl", "in/below/deep/d.jsonl", "in/.hidden.jsonl"),
        *("in/", "in2/z.jsonl", "other/a.jsonl"),
    ):
        storage.put(key, b"")

    assert [file.name for file in opened(storage, path).files] == names


def test_what_is_no_data_file_is_told(storage: Storage) -> None:
    storage.put("in/a.jsonl", lines(records(1)))
    storage.put("in/notes.txt", b"x")

    assert opened(storage, "in").warnings == ("notes.txt is no data file and was passed over",)


@pytest.mark.parametrize("path", ["nothing", "in/*.parquet"])
def test_nothing_to_read_is_refused(storage: Storage, path: str) -> None:
    storage.put("in/a.txt", b"x")

    with pytest.raises(InputError, match="no data file") as caught:
        opened(storage, path)
    assert caught.value.code == "input_missing"


def test_columns_that_disagree_are_found_before_anything_is_read(storage: Storage) -> None:
    storage.put("in/a.parquet", table([{"id": "1", "text": "x"}]))
    storage.put("in/b.parquet", table([{"id": "2", "text": 5}]))

    with pytest.raises(InputError, match="text") as caught:
        opened(storage, "in")
    assert caught.value.code == "schema_conflict"


def test_damaged_parquet_is_told_from_a_storage_that_fails(storage: Storage) -> None:
    whole = table(records(100))
    storage.put("in.parquet", whole[:4] + b"\xff" * (len(whole) - 12) + whole[-8:])

    with pytest.raises(InputError) as caught:
        opened(storage, "in.parquet")
    assert caught.value.code == "parquet_bad"


def test_what_polars_repeats_of_a_failing_storage_is_not_told(storage: Storage, gate: Gate) -> None:
    storage.put("in.parquet", table(records(100)))
    # The first look at the head is boto3's, the second one is polars' own.
    gate.on = lambda method, _path: 403 if method == "GET" and len(gate.of("GET")) > 2 else None
    storage.url = gate.url

    with pytest.raises(
        InputError, match=r"^in\.parquet cannot be read from s3://\S+: PermissionError"
    ) as caught:
        opened(storage, "in.parquet")
    assert caught.value.code == "input_io"
    assert KEY_ID not in str(caught.value)


@pytest.mark.parametrize("key", ["in.jsonl", "in.parquet"])
@pytest.mark.parametrize("gone", [False, True], ids=["replaced", "removed"])
async def test_an_object_that_changes_stops_the_reading(
    storage: Storage, tmp_path: Path, key: str, gone: bool
) -> None:
    storage.put(key, FORMATS[key](records(2000)))
    source = opened(storage, key, tmp_path)
    if gone:
        storage.remove(key)
    else:
        storage.put(key, FORMATS[key](records(1999)))

    with pytest.raises(InputError) as caught:
        await ids(source)
    assert caught.value.code == "input_changed"


async def test_no_two_versions_of_an_object_are_mixed(storage: Storage) -> None:
    storage.put("in.jsonl", lines(records(300, pad="x" * 60_000)))
    source = opened(storage, "in.jsonl")
    batches = source.batches()
    await anext(batches)
    storage.put("in.jsonl", lines(records(300, pad="y" * 60_000)))

    with pytest.raises(InputError, match="changed") as caught:
        _ = [batch async for batch in batches]
    assert caught.value.code == "input_changed"
    assert 0 < source.statistics().records < 300


async def test_a_large_table_is_looked_at_where_it_is_and_read_from_a_copy(
    storage: Storage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The threshold is 32 MiB, which no test needs to write.
    monkeypatch.setattr(parquet, "_SMALL_OBJECT", 0)
    storage.put("in.parquet", table(records(3000)))
    batches = opened(storage, "in.parquet", tmp_path).batches()

    first = await anext(batches)
    assert len(first) >= 1000
    assert left_in(tmp_path) == 0
    second = await anext(batches)
    assert second.records[0].line == len(first) + 1
    assert left_in(tmp_path) == 1
    await batches.aclose()
    assert left_in(tmp_path) == 0


def test_a_run_reads_a_mixed_prefix_and_is_resumed(storage: Storage, tmp_path: Path) -> None:
    found = records(60)
    storage.put("in/a.jsonl", lines(found[:20]))
    storage.put("in/b.jsonl.gz", gzip.compress(lines(found[20:40])))
    storage.put("in/c.parquet", table(found[40:]))
    path = {"path": f"s3://{storage.bucket}/in/*", "id": "id", "storage_options": storage.options}
    job = write_job(tmp_path, input=path)

    ran = [run(job, limit=30), run(job), run(job)]

    assert [(each.exit_code, each.attempts) for each in ran] == [(0, 30), (0, 30), (0, 0)]
    results = pl.read_parquet(tmp_path / "out/results/*.parquet")
    assert sorted(results["record_id"]) == sorted(record["id"] for record in found)
    assert list((tmp_path / "out/.tmp").iterdir()) == []


def test_a_bucket_that_is_missing_is_refused(storage: Storage) -> None:
    storage.bucket = "no-such-bucket"
    with pytest.raises(InputError, match=r"there is no such bucket \(NoSuchBucket\)\. Make it") as caught:
        opened(storage, "in.jsonl")
    assert caught.value.code == "input_missing"


def test_a_storage_that_does_not_answer_is_refused(storage: Storage) -> None:
    storage.url = "http://127.0.0.1:1"
    with pytest.raises(InputError, match="Check aws_endpoint_url and the network") as caught:
        opened(storage, "in.jsonl")
    assert caught.value.code == "input_io"


def test_no_credentials_at_all_are_refused(storage: Storage) -> None:
    options = StorageOptions(aws_endpoint_url=storage.url)
    with pytest.raises(InputError, match="NoCredentialsError") as caught:
        open_source(f"s3://{storage.bucket}/in.jsonl", id_column=None, columns=None, storage=options)
    assert caught.value.code == "input_unreadable"


async def test_wrong_credentials_are_refused_and_right_ones_of_the_chain_are_used(
    storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage.put("in.parquet", table(records(5)))
    key_id, secret = user_of(storage)
    with guarded(storage.url):
        with pytest.raises(InputError, match="Check the credentials") as refused:
            opened(storage, "in.parquet")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key_id)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", secret)
        options = StorageOptions(aws_endpoint_url=storage.url)
        here = f"s3://{storage.bucket}/in.parquet"
        found = await ids(open_source(here, id_column="id", columns=frozenset({"text"}), storage=options))

    assert (refused.value.code, refused.value.exit_code) == ("input_unreadable", 65)
    assert "access is refused (InvalidAccessKeyId)" in str(refused.value)
    assert KEY_ID not in str(refused.value)
    assert found == ["r0", "r1", "r2", "r3", "r4"]


def user_of(storage: Storage) -> tuple[str, str]:
    """The key and its secret of somebody who may do all."""
    users = client(storage.url, "iam")
    users.create_user(UserName="u")
    allowed = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    users.put_user_policy(UserName="u", PolicyName="p", PolicyDocument=json.dumps(allowed))
    key = users.create_access_key(UserName="u")["AccessKey"]
    return key["AccessKeyId"], key["SecretAccessKey"]
