import json
from pathlib import Path

import pytest

from batchroute.io.locks import locked
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a job that has been run; whoever damages a file puts it back."""
    folder = tmp_path_factory.mktemp("finished")
    assert batchroute("run", write_job(folder, count=20), "--quiet").returncode == 0
    return folder


def test_a_sound_output_says_so_in_a_line(finished: Path) -> None:
    ran = batchroute("verify", finished / "out")
    assert (ran.returncode, ran.stdout) == (0, "2 parts with 40 rows: all as they were written\n")


def test_a_flipped_byte_is_found_and_named_with_what_it_would_cost(finished: Path) -> None:
    part = finished / "out/results/part-00001.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:200] + bytes([whole[200] ^ 1]) + whole[201:])
    try:
        told = batchroute("verify", finished / "out", "--repair")
        as_json = batchroute("verify", finished / "out", "--json")
        resumed = batchroute("run", finished / "job.yaml")
    finally:
        part.write_bytes(whole)
    assert (told.returncode, as_json.returncode, resumed.returncode) == (74, 74, 74)
    assert told.stdout.startswith("results/part-00001.parquet is damaged")
    assert "--fresh`, which pays for every record again: so far that has cost $0.00" in told.stdout
    seen = json.loads(as_json.stdout)
    [finding] = seen["findings"]
    assert finding["path"] == "results/part-00001.parquet"
    assert (finding["damage"], finding["repairable"], seen["exit_code"]) == ("part_corrupt", False, 74)
    assert seen["fresh_cost_usd"] > 0
    assert "results/part-00001.parquet is damaged" in resumed.stderr
    assert "batchroute verify" in resumed.stderr


@pytest.mark.parametrize("lost", [True, False])
def test_what_a_lost_part_of_the_ledger_told_of_costs_is_unknown(finished: Path, *, lost: bool) -> None:
    part = finished / "out/ledger/part-00001.parquet"
    whole = part.read_bytes()
    part.unlink() if lost else part.write_bytes(whole[:100])
    try:
        told = batchroute("verify", finished / "out")
        as_json = batchroute("verify", finished / "out", "--json")
    finally:
        part.write_bytes(whole)
    assert "pays for every record again: what that has cost so far is unknown" in told.stdout
    assert "$" not in told.stdout
    assert json.loads(as_json.stdout)["fresh_cost_usd"] is None


def test_a_manifest_that_is_gone_is_written_anew(finished: Path) -> None:
    (finished / "out/manifest.json").unlink()
    assert batchroute("verify", finished / "out").returncode == 74
    repaired = batchroute("verify", finished / "out", "--repair")
    assert (repaired.returncode, repaired.stdout.splitlines()[0]) == (
        0,
        "repaired: manifest.json is missing (manifest_missing)",
    )
    assert batchroute("verify", finished / "out").returncode == 0


@pytest.mark.parametrize(("name", "hinders"), [("notes.parquet", False), ("part-00001 (copy).parquet", True)])
def test_a_foreign_file_is_no_loss_and_hinders_a_repair_only_by_the_name_of_a_part(
    finished: Path, name: str, *, hinders: bool
) -> None:
    """It was advised to pay for every record again, and no repair was made beside it, without a word of why."""
    manifest, stray = finished / "out/manifest.json", finished / "out/results" / name
    listed = manifest.read_bytes()
    stray.touch()
    manifest.unlink()
    try:
        told = batchroute("verify", finished / "out", "--repair")
        written = manifest.exists()
        manifest.write_bytes(listed)
        beside = batchroute("verify", finished / "out")
        resumed = batchroute("run", finished / "job.yaml", "--quiet")
    finally:
        stray.unlink()
        manifest.write_bytes(listed)
    assert (told.returncode, written) == (74, not hinders)
    assert (f"once results/{name} is moved away" in told.stdout) is hinders
    assert f"results/{name} was not written by a run here: move it away" in beside.stdout
    assert resumed.returncode == (74 if hinders else 0)
    for said in (told.stdout, beside.stdout, resumed.stderr):
        assert "--fresh" not in said
        assert "Put back" not in said


def test_a_run_is_not_looked_over_while_it_goes_on(finished: Path) -> None:
    with locked(finished / "out"):
        assert batchroute("verify", finished / "out").returncode == 75
