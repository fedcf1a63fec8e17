"""What Ctrl-C does to a command that no run listens for yet."""

import signal
import subprocess
import sys

import pytest

BEGIN = "import signal; from batchroute.cli.interrupts import *; "
PRESS = "signal.raise_signal(signal.SIGINT); "


@pytest.mark.parametrize(
    ("source", "status", "said"),
    [
        pytest.param("end_at_once(); " + PRESS + "print('on')", -signal.SIGINT, "", id="it ends at once"),
        pytest.param(
            "end_at_once()\nwith tidied(lambda: print('tidy', flush=True)): " + PRESS + "print('on')",
            -signal.SIGINT,
            "tidy\n",
            id="after a terminal was put in order",
        ),
        pytest.param(
            "end_at_once()\ntry:\n with interruptible(): "
            + PRESS
            + "\nexcept KeyboardInterrupt: print('caught')",
            0,
            "caught\n",
            id="where something is to be put in order, it is raised",
        ),
        pytest.param(
            "signal.signal(signal.SIGINT, signal.SIG_IGN); end_at_once()\n"
            "with interruptible(), tidied(print): " + PRESS + "print('on')",
            0,
            "on\n",
            id="who was started to ignore it does",
        ),
    ],
)
def test_an_interrupt(source: str, status: int, said: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", BEGIN + "\n" + source], capture_output=True, text=True, check=False, timeout=30
    )

    assert (ended.returncode, ended.stdout) == (status, said), ended.stderr
