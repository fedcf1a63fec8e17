"""What a record gets that would be a dead letter."""

from pydantic import Field

from batchroute.job.spec import Spec


class LastResort(Spec):
    """Rather than nothing: the result is degraded, and flagged last_resort."""

    cache: bool = Field(
        default=False,
        description="Whether the job's cache is looked into for an answer of any model of the route, however old.",
    )
