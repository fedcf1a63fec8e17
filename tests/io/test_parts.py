import hashlib
import os
from pathlib import Path

import polars as pl
import pytest

from batchroute.core.errors import OutputError
from batchroute.io.files import clear_temporary, remove, write_bytes
from batchroute.io.manifest import Manifest, Part, read_manifest, write_manifest
from batchroute.io.parts import write_part

FRAME = pl.DataFrame({"a": [1, 2, 3]})


def test_a_part_is_listed_with_its_rows_and_digest(tmp_path: Path) -> None:
    part = write_part(tmp_path, "results/part-00001.parquet", FRAME)

    written = (tmp_path / part.path).read_bytes()
    assert part == Part(path="results/part-00001.parquet", rows=3, sha256=hashlib.sha256(written).hexdigest())
    assert pl.read_parquet(tmp_path / part.path).equals(FRAME)


def test_files_are_for_their_owner_alone_whatever_the_umask(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write_part(tmp_path / "out", "results/part-00001.parquet", FRAME)
    finally:
        os.umask(old)
    assert (tmp_path / "out/results/part-00001.parquet").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "out/results").stat().st_mode & 0o777 == 0o700


def test_nothing_but_the_part_is_left_in_its_folder(tmp_path: Path) -> None:
    write_part(tmp_path, "results/part-00001.parquet", FRAME)
    assert [file.name for file in (tmp_path / "results").iterdir()] == ["part-00001.parquet"]
    assert not list((tmp_path / ".tmp").iterdir())


def test_what_a_crash_left_half_written_is_replaced(tmp_path: Path) -> None:
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp/part-00001.parquet").write_bytes(b"PAR1half")
    write_part(tmp_path, "results/part-00001.parquet", FRAME)
    assert pl.read_parquet(tmp_path / "results/part-00001.parquet").height == 3

    (tmp_path / ".tmp/part-00002.parquet").write_bytes(b"PAR1half")
    clear_temporary(tmp_path)
    assert not list((tmp_path / ".tmp").iterdir())


def test_an_unwritable_place_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="part-00001"):
        write_part(tmp_path, "results/part-00001.parquet", FRAME)


def test_what_polars_cannot_write_is_an_output_error(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="part-00001"):
        write_part(tmp_path, "results/part-00001.parquet", pl.DataFrame({"a": [object()]}))


def test_a_link_in_place_of_the_temporary_file_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / ".tmp").mkdir()
    (tmp_path / ".tmp/part.json").symlink_to(victim)
    write_bytes(tmp_path, "part.json", b"{}")
    assert victim.read_text() == "mine"


def test_removing_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    remove(tmp_path, "results/part-failed.parquet")


def test_what_cannot_be_removed_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / ".tmp/folder").mkdir(parents=True)
    with pytest.raises(OutputError, match=r"Remove it"):
        clear_temporary(tmp_path)
    with pytest.raises(OutputError, match=r"\.tmp.*run again"):
        remove(tmp_path, ".tmp")


def test_the_manifest_comes_back_as_it_was_written(tmp_path: Path) -> None:
    part = write_part(tmp_path, "results/part-00001.parquet", FRAME)
    manifest = Manifest(job="test", fingerprint="f", results=(part,), counts={"succeeded": 3})
    write_manifest(tmp_path, manifest)
    assert read_manifest(tmp_path) == manifest


@pytest.mark.parametrize("content", [b'{"schema_version": 1', b'{"job": "\xff"}', b"", b"[]"], ids=str)
def test_a_damaged_manifest_is_refused_with_the_remedy(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(OutputError, match="--fresh"):
        read_manifest(tmp_path)
    assert read_manifest(tmp_path / "elsewhere") is None
