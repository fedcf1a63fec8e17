"""What a record ends with for which no model gave an answer that was accepted."""

from typing import Final

from batchroute.core.results import Result, Status
from batchroute.engine import entries
from batchroute.engine.trails import Kept, Trail
from batchroute.job.checks import LastResort
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
        return _degraded(trail, last_resort.text, run_id, finished_at)
    return entries.given_up(trail, run_id, finished_at)


def _failed_by_models(trail: Trail) -> bool:
    if trail.failure is None:
        return trail.misfit is None and not trail.too_dear
    return not blames_record(trail.failure)


def _kept(trail: Trail, best: Kept, run_id: str, finished_at: float) -> Result:
    record = trail.record
    return Result(
        record_id=record.record_id,
        status=Status.SUCCEEDED,
        task=record.labels.task,
        complexity=record.labels.complexity,
        classified_by=record.labels.classified_by,
        route=record.route,
        model=best.model,
        provider=best.provider,
        response=best.response.content,
        finish_reason=best.response.finish_reason,
        flag=KEPT_BEST,
        error_type=None,
        error_message=None,
        totals=trail.in_all,
        latency_s=best.latency_s,
        run_id=run_id,
        finished_at=finished_at,
        kept=record.kept,
        fingerprint=record.fingerprint,
    )


def _degraded(trail: Trail, text: str, run_id: str, finished_at: float) -> Result:
    """It tells why no model answered as a dead letter would."""
    record, fault = trail.record, trail.fault()
    return Result(
        record_id=record.record_id,
        status=Status.DEGRADED,
        task=record.labels.task,
        complexity=record.labels.complexity,
        classified_by=record.labels.classified_by,
        route=record.route,
        model=None,
        provider=None,
        response=text,
        finish_reason=None,
        flag=LAST_RESORT,
        error_type=fault.error_type,
        error_message=fault.message,
        totals=trail.in_all,
        latency_s=None,
        run_id=run_id,
        finished_at=finished_at,
        kept=record.kept,
        fingerprint=record.fingerprint,
    )
