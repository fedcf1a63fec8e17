"""The command in processes that can be killed: forked from one that has imported everything, or 50 kills take a minute."""

import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload(["batchroute.cli.run", "batchroute.api", "tests.crashes.children"])

KILLED = -signal.SIGKILL


def forked(body: Callable[..., None], *arguments: object, said: Path) -> ForkServerProcess:
    """Start this function in a process of its own; what it says on its standard streams goes into a file."""
    process = FORKS.Process(target=_spoken, args=(body, said, arguments))
    process.start()
    return process


def _spoken(body: Callable[..., None], said: Path, arguments: tuple[object, ...]) -> None:
    stream = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for standard in (1, 2):
        os.dup2(stream, standard)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    body(*arguments)
