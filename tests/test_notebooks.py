"""The shipped notebook does over a real run what it says, and is stored without what it showed somebody else."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

import batchroute
from tests.cli.processes import batchroute as command

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "jobs").glob("*.ipynb"))


def read(path: Path) -> Any:
    return nbformat.read(path, as_version=4)  # type: ignore[no-untyped-call]  # it has no types


def shown(notebook: Any, cell: str) -> str:
    """What a cell has shown, as text."""
    (outputs,) = (each.outputs for each in notebook.cells if each.id == cell)
    return "".join(each.get("text") or each.data["text/plain"] for each in outputs)


def test_there_is_a_notebook() -> None:
    assert [path.name for path in NOTEBOOKS] == ["cost_report.ipynb"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.name)
def test_a_notebook_is_stored_without_outputs(path: Path) -> None:
    notebook = read(path)

    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell for cell in code if cell.outputs or cell.execution_count] == []


@pytest.mark.timeout(120)
def test_the_cost_report_tells_of_a_run_of_the_sample_job(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "jobs", tmp_path / "jobs")
    (tmp_path / "sample_data").symlink_to(ROOT / "sample_data")
    ran = command("run", tmp_path / "jobs/classify.yaml", "--limit", "300", "--quiet")
    assert ran.returncode == 0, ran.stderr
    notebook = read(tmp_path / "jobs/cost_report.ipynb")

    where = {"metadata": {"path": str(tmp_path / "jobs")}}
    NotebookClient(notebook, timeout=60, kernel_name="python3", resources=where).execute()

    output = tmp_path / "out/classify"
    ledger = batchroute.scan_ledger(output).collect()
    paid = ledger["cost_usd"].sum()
    assert shown(notebook, "sums") == repr(paid)
    told = re.search(
        r"\$(\S+) paid; the same tokens on large \$(\S+): (\d+)% saved", shown(notebook, "savings")
    )
    assert told is not None
    baseline = batchroute.scan_routes(output).collect()["baseline_cost_usd"].sum()
    assert (told[1], told[2]) == (f"{paid:.4f}", f"{baseline:.4f}")
    assert "shape: (5, 8)" in shown(notebook, "dearest")
    assert "skilled" in shown(notebook, "latency")
    assert "alt.Chart" in shown(notebook, "savings-chart")


def test_without_altair_a_chart_tells_what_to_install() -> None:
    asked = (
        "import sys; sys.modules['altair'] = None\n"
        "import polars, batchroute\n"
        "try:\n    batchroute.report.chart(polars.LazyFrame())\n"
        "except ImportError as error:\n    print(error)"
    )
    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert done.stdout == (
        "charts need Altair, which is not installed. Run: pip install 'batchroute[report]'\n"
    )
