"""What a run would do and cost, from Python: apart from what runs it, as planning needs no client of any provider."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from batchroute.engine.plans import Count, Plan
from batchroute.engine.plans import plan as plan_job
from batchroute.io.tokenizers import exact_counts
from batchroute.job.jobs import Job
from batchroute.job.loading import load_job
from batchroute.report.observations import observed

__all__ = ["plan"]


def plan(
    job: Job | str | Path,
    *,
    overrides: Sequence[str] = (),
    sample: int | None = None,
    limit: int | None = None,
    only: Sequence[str] = (),
    counts: Mapping[str, Count] | None = None,
) -> Plan:
    """What a run of the job would do and cost, without sending anything.

    `sample` looks at about so many records, spread over the input; `limit` and `only` are those of `run`. `counts`
    gives, by declared model, a function that counts the input tokens of a request; by default those models are counted
    whose vocabulary is known, where the extra `tokens` is installed.

    Raises BatchrouteError for what would prevent the run, ValueError for a limit or sample below 1.
    """
    for name, value in (("limit", limit), ("sample", sample)):
        if value is not None and value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    job = job if isinstance(job, Job) else load_job(job, overrides=overrides)
    if counts is None:
        counts = exact_counts({name: job.provider_model(name) for name in job.models})
    planned = plan_job(
        job,
        observe=partial(observed, job.output.path),
        counts=counts,
        sample=sample,
        limit=limit,
        only=(only,) if isinstance(only, str) else tuple(only),
    )
    with ThreadPoolExecutor(max_workers=1) as thread:  # a notebook has a loop of its own in this one
        return thread.submit(asyncio.run, planned).result()
