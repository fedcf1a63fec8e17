"""Commands run as a process of their own, pinned to a core where the machine can, with what they took."""

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

ROOT = Path(__file__).resolve().parents[2]
_LAUNCHER = Path(__file__).with_name("launcher.py")

Side = Literal["client", "server"]


class Took(msgspec.Struct, frozen=True):
    """What a command took; `peak_mib` is the largest resident memory of any one of its processes."""

    exit_code: int
    wall_s: float
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True)
class Finished:
    """A command that ended with exit code 0."""

    stdout: str
    took: Took


class CommandError(Exception):
    """A measured command failed; its figures would mean nothing."""


def finish(*command: str, timeout_s: float = 1800, everywhere: bool = False) -> Finished:
    """Run a command on the client's core, or on all there are. Raises CommandError unless it exits with 0."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "took.json")
        done = subprocess.run(
            [
                sys.executable,
                "-S",
                str(_LAUNCHER),
                str(report),
                *(command if everywhere else pinned(command, "client")),
            ],
            check=False,
            capture_output=True,
            cwd=ROOT,
            text=True,
            timeout=timeout_s,
        )
        if done.returncode != 0:
            raise CommandError(f"{' '.join(command)}: exit code {done.returncode}\n{done.stderr[-4000:]}")
        return Finished(done.stdout, msgspec.json.decode(report.read_bytes(), type=Took))


def finish_python(*arguments: str, everywhere: bool = False) -> Finished:
    """Run this interpreter with these arguments."""
    return finish(sys.executable, *arguments, everywhere=everywhere)


def pinned(command: tuple[str, ...], side: Side) -> tuple[str, ...]:
    """The command, kept to one core: client and server on different ones, if there are two and taskset."""
    cores = cores_allowed()
    if len(cores) < 2 or shutil.which("taskset") is None:
        return command
    return ("taskset", "-c", str(cores[0 if side == "client" else 1]), *command)


def cores_allowed() -> list[int]:
    return sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else list(range(os.cpu_count() or 1))
