import subprocess
import sys

import pytest

# 0.2 to 1 s each, measured 2026-11: whoever asks for help or completes a word need not wait for them
HEAVY = {"genai_prices", "openai", "polars", "pydantic", "rich"}


def imported_by(*arguments: str) -> set[str]:
    """The top-level packages that a fresh interpreter has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *arguments], check=True, capture_output=True, text=True
    )
    times = [line for line in done.stderr.splitlines() if line.startswith("import time:")]
    return {line.rsplit("|", 1)[1].strip().split(".")[0] for line in times}


def test_import_of_the_package_is_light() -> None:
    imported = imported_by("-c", "import batchroute")

    assert "batchroute" in imported
    assert imported & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["run", "--help"]], ids=" ".join)
def test_help_is_light(arguments: list[str]) -> None:
    imported = imported_by("-m", "batchroute.cli.main", *arguments)

    assert "click" in imported
    assert imported & HEAVY == set()


def test_help_is_shown() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "batchroute.cli.main", "--help"], check=True, capture_output=True, text=True
    )

    assert done.stdout.startswith("Usage:")
    assert done.stderr == ""


@pytest.mark.parametrize("heavy", ["rich", "polars"])
def test_heavy_imports_would_be_seen(heavy: str) -> None:
    assert heavy in imported_by("-c", f"import {heavy}")
