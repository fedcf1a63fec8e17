"""What a record gets that no model has answered."""

from typing import Any, Self

from pydantic import Field, model_validator

from batchroute.job.spec import Spec, Text


class LastResort(Spec):
    """Rather than nothing: the result is degraded, and flagged last_resort. An old answer goes before a text."""

    text: Text | None = Field(
        default=None, description="The response of such a record; its status is degraded."
    )
    cache: bool = Field(
        default=False,
        description="Whether the job's cache is looked into for an answer of any model of the route, however old.",
    )

    @model_validator(mode="after")
    def _gives_something(self) -> Self:
        if self.text is None and not self.cache:
            raise ValueError("gives nothing. Write text, or cache: true")
        return self

    def shape(self) -> Any:
        """What of it shapes answers, for the fingerprint of the job: what is looked up is the answer it was."""
        return self.text
