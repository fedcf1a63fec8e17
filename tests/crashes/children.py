"""What the forked processes do."""

from pathlib import Path

import pytest

from batchroute.cli.main import batchroute
from batchroute.engine import pipeline

PART_RECORDS = 60


def run_job(job: Path) -> None:
    """`batchroute run JOB`, with small parts, so that many are written."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "PART_RECORDS", PART_RECORDS)
        batchroute(["run", str(job), "--quiet"], prog_name="batchroute")
