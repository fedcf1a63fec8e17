"""Asynchronous batch jobs for language models: classify, route, fail over, and a ledger of every attempt.

Names are loaded when they are first used, so that `import batchroute` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchroute.api import load_job, run, scan_ledger, scan_results, scan_routes
    from batchroute.planning import plan

__all__ = ["__version__", "load_job", "plan", "run", "scan_ledger", "scan_results", "scan_routes"]

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name == "report":
        return importlib.import_module("batchroute.report")
    if name in __all__:
        home = "batchroute.planning" if name == "plan" else "batchroute.api"
        return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
