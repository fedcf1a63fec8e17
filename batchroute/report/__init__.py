"""What the ledger tells: polars over the output, never the network.

`by`, `savings` and `chart` take and give lazy frames, as `batchroute.scan_ledger` gives them. Names are loaded when they
are first used: what reads the manifest only need not wait for polars.
"""

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchroute.report.charts import chart
    from batchroute.report.costs import by, savings

__all__ = ["by", "chart", "savings"]

_MODULES = {"by": "costs", "chart": "charts", "savings": "costs"}


def __getattr__(name: str) -> object:
    if name in _MODULES:
        return getattr(importlib.import_module(f"batchroute.report.{_MODULES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
