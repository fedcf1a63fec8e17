"""The command as users run it: a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

COMMAND = (sys.executable, "-m", "batchroute.cli.main")


def environment(**more: str) -> dict[str, str]:
    """A terminal that says nothing of itself, so that output does not depend on the tester's."""
    plain = {key: value for key, value in os.environ.items() if key not in {"COLUMNS", "FORCE_COLOR", "TERM"}}
    return {**plain, **more}


def batchroute(
    *arguments: str | Path, timeout_s: float = 60, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
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
