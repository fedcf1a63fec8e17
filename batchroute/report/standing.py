"""How a dataset stands, from its manifest alone, so that looking disturbs no run."""

from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct

from batchroute.core.errors import OutputError
from batchroute.io.locks import is_locked
from batchroute.io.manifest import LastRun, Manifest, read_manifest, without_manifest

RUNNING = "running"


class Tables(Struct, frozen=True, kw_only=True):
    """A count for each of the dataset's two tables."""

    results: int
    ledger: int


class Standing(Struct, frozen=True, kw_only=True):
    """An output directory at a moment.

    `state` is new (no run has begun), running, interrupted (a run ended without saying how), or what the last
    run said of itself: finished or stopped. `records` counts the input's records by status; of those that were
    answered, `stale` ask for something else by now, as far as runs have compared them, and the rest are
    `up_to_date`. Times are ISO 8601, UTC, `models` the health of each as the last run saw it (closed is healthy), and None where no run has begun; `exit_code` is None until the last run has said it.
    """

    job: str
    state: str
    run_id: str | None
    started_at: str | None
    updated_at: str | None
    exit_code: int | None
    records: dict[str, int]
    up_to_date: int
    stale: int
    models: dict[str, str]
    parts: Tables
    rows: Tables
    repeated: int = 0
    """Records that the last run finished with the answer of an equal one; `cached` with one from the cache."""
    cached: int = 0
    spared_usd: Decimal | None = None
    """What these answers cost when they were asked for; None where that is unknown."""

    def json(self) -> bytes:
        """One JSON object."""
        return msgspec.json.Encoder(decimal_format="number").encode(self)


def read_standing(directory: Path) -> Standing:
    """How the dataset in a directory stands. Raises OutputError where there is none, or a damaged one."""
    held = is_locked(directory)
    manifest = read_manifest(directory)
    if manifest is None:
        raise _just_begun(directory) if held else without_manifest(directory)
    # A run that began after the first look may have written what was read: then it is seen now.
    return standing_of(manifest, running=held or is_locked(directory))


def standing_of(manifest: Manifest, *, running: bool) -> Standing:
    """What a manifest says, given whether a run holds its directory now."""
    last = manifest.last_run
    answered = sum(manifest.counts.get(status, 0) for status in ("succeeded", "degraded"))
    return Standing(
        job=manifest.job,
        state=_state(last, running=running),
        run_id=last.run_id if last else None,
        started_at=last.started_at if last else None,
        updated_at=last.updated_at if last else None,
        exit_code=last.exit_code if last and not running else None,
        records=manifest.counts,
        up_to_date=max(0, answered - manifest.stale),
        stale=manifest.stale,
        models=last.models if last else {},
        parts=Tables(results=len(manifest.results), ledger=len(manifest.ledger)),
        rows=Tables(
            results=sum(part.rows for part in manifest.results),
            ledger=sum(part.rows for part in manifest.ledger),
        ),
        repeated=last.repeated if last else 0,
        cached=last.cached if last else 0,
        spared_usd=last.spared_usd if last else None,
    )


def _state(last: LastRun | None, *, running: bool) -> str:
    if running:
        return RUNNING
    if last is None:
        return "new"
    return "interrupted" if last.state == RUNNING else last.state


def _just_begun(directory: Path) -> OutputError:
    return OutputError(
        f"{directory} holds no manifest: a run has only just begun there. Look again in a moment."
    )
