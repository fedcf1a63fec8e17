"""The faulty disk, built with the C compiler of the machine, and the probe that runs on it."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.crashes.probe import WATCH, Case, Report

SOURCE = Path(__file__).with_name("faulty_disk.c")
MEMORY = Path("/dev/shm")  # where a sync takes no time


def built(folder: Path) -> Path:
    """The faulty disk as a library to be preloaded. Skips the test where the machine cannot build it."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler and Linux")
    library = folder / "faulty_disk.so"
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", library, SOURCE, "-ldl"], check=True
    )
    return library


@contextmanager
def scratch(folder: Path) -> Iterator[Path]:
    """A folder in memory where there is one, or else this one."""
    if not os.access(MEMORY, os.W_OK):
        yield folder
        return
    name = MEMORY / f"batchroute-{os.getpid()}"
    try:
        yield name
    finally:
        shutil.rmtree(name, ignore_errors=True)


class Probe:
    """Runs cases, one after the other."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._process = process

    def tried(self, *faults: tuple[int, int, int], refreshing: bool = False) -> Report:
        """Runs that meet these faults in turn, then one that meets none, then the books."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(msgspec.json.encode(Case(faults=faults, refreshing=refreshing)) + b"\n")
        self._process.stdin.flush()
        return msgspec.json.decode(self._process.stdout.readline(), type=Report)

    def steps(self, *, refreshing: bool = False) -> list[str]:
        """What a run that meets no fault does on the disk, step by step."""
        return self.tried((WATCH, 0, 0), refreshing=refreshing).steps


@contextmanager
def probing(folder: Path) -> Iterator[Probe]:
    """A probe with the faulty disk preloaded."""
    environment = {**os.environ, "LD_PRELOAD": str(built(folder)), "POLARS_MAX_THREADS": "1"}
    with (
        scratch(folder / "runs") as runs,
        subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.probe", str(runs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
        ) as process,
    ):
        yield Probe(process)
        assert process.stdin is not None
        process.stdin.close()
