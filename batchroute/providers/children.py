"""How this package starts a process of its own: with this interpreter, and from the place where it was imported."""

import os
import sys
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).resolve().parents[2]


def module_command(module: str) -> tuple[str, ...]:
    """The command that runs a module of this package."""
    return (sys.executable, "-P", "-m", module)  # -P: a file beside it must not take a library's place


def environment() -> dict[str, str]:
    """Ours, and the place that this package was imported from, if it is not an installed one."""
    environment = dict(os.environ)
    if _ROOT.name not in {"site-packages", "dist-packages"}:
        paths = [path for path in (environment.get("PYTHONPATH"), str(_ROOT)) if path]
        environment["PYTHONPATH"] = os.pathsep.join(paths)
    return environment
