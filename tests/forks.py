"""The command in processes of its own, forked from one that has imported everything: most of a start is imports."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(
    [
        "batchroute.api",
        "batchroute.cli.check",
        "batchroute.cli.display",
        "batchroute.cli.run",
        "batchroute.cli.status",
        "batchroute.cli.verify",
        "tests.cli.processes",
        "tests.crashes.children",
    ]
)

KILLED = -signal.SIGKILL


def forked(
    body: Callable[..., None], *arguments: object, said: Path, complained: Path | None = None
) -> ForkServerProcess:
    """Start this function in a process of its own; what it says on its standard streams goes into a file, or two."""
    process = FORKS.Process(target=_spoken, args=(body, said, complained or said, arguments))
    process.start()
    return process


def _spoken(body: Callable[..., None], out: Path, err: Path, arguments: tuple[object, ...]) -> None:
    for standard, path in ((1, out), (2, err)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), standard)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    body(*arguments)
