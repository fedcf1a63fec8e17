"""What a record ends with for which no model gave an answer that was accepted."""

from typing import Final

from msgspec import structs

from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.trails import Kept, Old, Trail
from batchroute.job.last_resorts import LastResort
from batchroute.routing.verdicts import blames_record

KEPT_BEST: Final = "kept_best"
LAST_RESORT: Final = "last_resort"


def concluded(trail: Trail, run_id: str, finished_at: float, last_resort: LastResort | None) -> Result:
    """The best of its refused answers where its route keeps one, else the last resort of its route, else a dead letter.

    What the record itself is to blame for has no last resort: it stays a dead letter, so that it is seen.
    """
    if trail.best is not None:
        return _kept(trail, trail.best, run_id, finished_at)
    if last_resort is not None and _failed_by_models(trail):
        if trail.old is not None:
            return _recalled(trail, trail.old, run_id, finished_at)
        if last_resort.text is not None:
            return _degraded(trail, last_resort.text, run_id, finished_at)
    return entries.given_up(trail, run_id, finished_at)


def looks_back(trail: Trail, last_resort: LastResort | None) -> bool:
    """Whether an old answer from the cache would be the record's last resort."""
    return last_resort is not None and last_resort.cache and trail.best is None and _failed_by_models(trail)


def _failed_by_models(trail: Trail) -> bool:
    if trail.failure is None:
        return trail.misfit is None and not trail.too_dear
    return not blames_record(trail.failure)


def _kept(trail: Trail, best: Kept, run_id: str, finished_at: float) -> Result:
    return structs.replace(
        entries.given_up(trail, run_id, finished_at),
        status=Status.SUCCEEDED,
        model=best.model,
        provider=best.provider,
        response=best.response.content,
        finish_reason=best.response.finish_reason,
        flag=KEPT_BEST,
        error_type=None,
        error_message=None,
        latency_s=best.latency_s,
        parsed=best.response.parsed,
    )


def _degraded(trail: Trail, text: str, run_id: str, finished_at: float) -> Result:
    """It tells why no model answered as a dead letter would."""
    return structs.replace(
        entries.given_up(trail, run_id, finished_at),
        status=Status.DEGRADED,
        model=None,
        provider=None,
        response=text,
        flag=LAST_RESORT,
    )


def _recalled(trail: Trail, old: Old, run_id: str, finished_at: float) -> Result:
    response = old.response
    return structs.replace(
        _degraded(trail, response.content, run_id, finished_at),
        model=old.model,
        provider=old.provider,
        finish_reason=response.finish_reason,
        parsed=response.parsed,
    )
