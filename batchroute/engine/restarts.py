"""Starting over: what earlier runs of a job have written is removed."""

import shutil
from pathlib import Path
from typing import Final

from batchroute.core.errors import OutputError
from batchroute.io.files import ROUTES_NAME, STORE_NAME, TEMPORARY
from batchroute.io.manifest import MANIFEST_NAME, read_manifest
from batchroute.job.jobs import Job

STARTING_OVER: Final = ".starting-over"
_PARTS: Final = ("results/part-*.parquet", "ledger/part-*.parquet")


def begun(directory: Path) -> bool:
    """Whether what earlier runs have written was being removed when one of them was killed."""
    return (directory / STARTING_OVER).exists()


def refuse_foreign(job: Job) -> None:
    """Raise OutputError where the output is another job's, which --fresh does not remove either.

    A damaged manifest is refused elsewhere: to start over is a remedy for that.
    """
    try:
        manifest = read_manifest(job.output.path)
    except OutputError:
        return
    if manifest is not None and manifest.job != job.job:
        raise OutputError(
            f"output {job.output.path} holds the results of job {manifest.job!r}, this is {job.job!r} "
            "(output_foreign). Name another output directory, or remove this one first.",
            code="output_foreign",
        )


def holds_runs(directory: Path) -> bool:
    """Whether there is anything of earlier runs to lose."""
    return any(next(directory.glob(pattern), None) is not None for pattern in (*_PARTS, STORE_NAME))


def start_over(directory: Path) -> None:
    """Remove what earlier runs have written to an output directory, and nothing else. Raises OutputError.

    Killed half-way, the next run goes on with it: parts without their state would be answers lost, and state
    without its parts answers that are never given.
    """
    try:
        (directory / STARTING_OVER).touch(mode=0o600)
        shutil.rmtree(directory / TEMPORARY, ignore_errors=True)
        for pattern in (*_PARTS, f"{STORE_NAME}*"):
            for file in directory.glob(pattern):
                file.unlink()
        for name in (MANIFEST_NAME, ROUTES_NAME, STARTING_OVER):
            (directory / name).unlink(missing_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: {error}. Allow it to be removed, then run again.") from error
