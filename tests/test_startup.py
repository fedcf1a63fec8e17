import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from batchroute.cli.imports import quick_imports
from tests.cli.jobs import write_job

COMMAND = ("-m", "batchroute.cli.main")

# 0.03 to 0.5 s each, measured 2026-11: whoever asks for help or completes a word need not wait for them
HEAVY = {"asyncio", "boto3", "genai_prices", "openai", "polars", "pydantic", "rich"}


def imported_by(*arguments: str, **environment: str) -> set[str]:
    """The top-level packages that a fresh interpreter has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env={**os.environ, **environment},
    )
    times = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in times}


def test_import_of_the_package_is_light() -> None:
    imported = imported_by("-c", "import batchroute")

    assert "batchroute" in imported
    assert imported & HEAVY == set()


def test_object_storage_is_not_imported_where_nobody_uses_it() -> None:
    assert imported_by("-c", "import batchroute.api") & {"boto3", "botocore"} == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]], ids=" ".join)
def test_help_is_light(arguments: list[str]) -> None:
    imported = imported_by(*COMMAND, *arguments)

    assert "click" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize("words", ["batchroute ", "batchroute run --"])
def test_completion_is_light(words: str) -> None:
    asked = {"_BATCHROUTE_COMPLETE": "bash_complete", "COMP_WORDS": words}
    imported = imported_by(*COMMAND, **asked, COMP_CWORD=str(words.count(" ")))

    assert "click" in imported
    assert imported & HEAVY == set()


def test_status_reads_the_manifest_without_polars(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"job": "test", "fingerprint": "f"}')

    imported = imported_by(*COMMAND, "status", str(tmp_path))

    assert "msgspec" in imported
    assert imported & HEAVY == set()


def test_check_speaks_to_no_provider_and_so_imports_no_client(tmp_path: Path) -> None:
    imported = imported_by(*COMMAND, "check", str(write_job(tmp_path, count=1)))

    assert {"polars", "pydantic"} <= imported
    assert imported & {"genai_prices", "httpx2", "openai", "httptools", "rich", "uvloop"} == set()


def test_run_imports_no_more_than_it_uses(tmp_path: Path) -> None:
    """Prices are declared, nothing is drawn, and connections of the openai client are not what sends."""
    imported = imported_by(*COMMAND, "run", str(write_job(tmp_path, count=1)), "--json")

    assert {"openai", "polars", "httptools"} <= imported
    assert imported & {"altair", "genai_prices", "h11", "httpcore2", "rich", "truststore"} == set()


@pytest.fixture
def thawed() -> Iterator[None]:
    """Nothing is frozen for good that was not before."""
    frozen = gc.get_freeze_count()
    yield
    if not frozen:
        gc.unfreeze()


@pytest.mark.usefixtures("thawed")
def test_garbage_is_looked_for_again_after_quick_imports_whatever_they_raise() -> None:
    looked: list[str] = []

    def look(phase: str, _: dict[str, int]) -> None:
        looked.append(phase)

    before = gc.get_freeze_count()
    gc.callbacks.append(look)
    try:
        with pytest.raises(ImportError), quick_imports():  # noqa: PT012
            many: list[list[int]] = [[] for _ in range(100_000)]
            raise ImportError
    finally:
        gc.callbacks.remove(look)

    assert (len(many), looked) == (100_000, [])
    assert gc.isenabled()
    assert gc.get_freeze_count() > before


def test_help_is_shown() -> None:
    done = subprocess.run([sys.executable, *COMMAND, "--help"], check=True, capture_output=True, text=True)

    assert done.stdout.startswith("Usage:")
    assert done.stderr == ""


@pytest.mark.parametrize("heavy", ["rich", "polars", "httpcore2"])
def test_heavy_imports_would_be_seen(heavy: str) -> None:
    assert heavy in imported_by("-c", f"import {heavy}")
