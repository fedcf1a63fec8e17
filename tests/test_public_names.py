import importlib
import pkgutil
import subprocess
import sys
from importlib import metadata
from types import ModuleType

import pytest

import batchroute

PUBLIC = {"__version__", "load_job", "plan", "run", "scan_ledger", "scan_results", "scan_routes"}

IMPORT_ALONE = """
import os, sys
import batchroute.api, batchroute.report.scans
for module in [one for one in sys.modules if one.split(".")[0] == "batchroute"]:
    del sys.modules[module]
for name in sys.argv[1:]:
    child = os.fork()
    if not child:
        exec(f"from batchroute import {name}")
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0, name
"""
"""Imports each name in a process of its own that has what we depend on, which takes seconds, and nothing of ours."""


def names_of_modules() -> list[str]:
    found = pkgutil.walk_packages(batchroute.__path__, prefix="batchroute.")
    # what starts work when it is imported is no module to import
    return ["batchroute", *(one.name for one in found if not one.name.endswith("__main__"))]


def own_public_names(module: ModuleType) -> set[str]:
    """What a module defines itself under a public name: its classes and functions."""
    return {
        name
        for name, value in vars(module).items()
        if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
    }


@pytest.mark.parametrize("name", names_of_modules())
def test_declared_names_are_sorted_complete_and_importable(name: str) -> None:
    module = importlib.import_module(name)

    declared = getattr(module, "__all__", None)

    if declared is not None:
        assert list(declared) == sorted(set(declared))
        assert [one for one in declared if not hasattr(module, one)] == []
        assert own_public_names(module) <= set(declared)


def test_package_offers_exactly_its_public_names() -> None:
    assert set(batchroute.__all__) == PUBLIC


def test_every_public_name_can_be_imported_alone() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALONE, *sorted(PUBLIC)], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_package_lists_nothing_else() -> None:
    assert set(dir(batchroute)) == PUBLIC


def test_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = batchroute.no_such_name


def test_version_is_the_distributions() -> None:
    assert batchroute.__version__ == metadata.version("batchroute")
