"""The command as users run it: a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from batchroute.cli.main import main
from tests.forks import forked

COMMAND = (sys.executable, "-m", "batchroute.cli.main")


def environment(**more: str) -> dict[str, str]:
    """A terminal that says nothing of itself, so that output does not depend on the tester's."""
    plain = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "FORCE_COLOR", "TERM"}}
    return {**plain, **more}


def batchroute(
    *arguments: str | Path, timeout_s: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, in a process that has the imports of a run behind it."""
    words = [*map(str, arguments)]
    with tempfile.TemporaryDirectory() as name:
        out, err = Path(name) / "out", Path(name) / "err"
        process = forked(_command, words, environment(**more), said=out, complained=err)
        process.join(timeout_s)
        if process.is_alive():
            process.kill()
            process.join()
            raise subprocess.TimeoutExpired(words, timeout_s, out.read_text(), err.read_text())
        assert process.exitcode is not None
        return subprocess.CompletedProcess(words, process.exitcode, out.read_text(), err.read_text())


def _command(words: list[str], variables: dict[str, str]) -> None:
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ.clear()
    os.environ.update(variables)
    sys.argv = ["batchroute", *words]
    main()


def batchroute_anew(
    *arguments: str | Path, timeout_s: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, from the first import, which may read the environment."""
    return subprocess.run(
        [*COMMAND, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
        stdin=subprocess.DEVNULL,
        env=environment(**more),
    )


def started(*arguments: str | Path, **more: str) -> subprocess.Popen[str]:
    """Start a command that the test will interrupt."""
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        stdin=subprocess.DEVNULL,
        env=environment(**more),
    )


def summary(ran: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The one object that `--json` prints."""
    told: dict[str, Any] = json.loads(ran.stdout)
    return told
