"""What a job may spend at most."""

from decimal import Decimal
from typing import Annotated, Self, TypeAlias

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from batchroute.job.spec import Key, Spec, as_written

Money: TypeAlias = Annotated[
    Decimal,
    BeforeValidator(as_written),
    Field(gt=0, le=1_000_000_000, decimal_places=6),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0, "maximum": 1_000_000_000}),
]
"""USD, to the micro-dollar."""


class Budget(Spec):
    """The most that may be spent, in USD. It is reserved before a request is sent, so that it is never passed.

    `usd` and `per_route` count all runs over the output directory, up to one that starts over: neither a crash nor a second start spends
    them twice, and more is only spent when they are raised.
    """

    usd: Money | None = Field(
        default=None, description="In all, over every run of this output directory since the last --fresh."
    )
    per_run_usd: Money | None = Field(default=None, description="In one run.")
    per_record_usd: Money | None = Field(default=None, description="On one answer, all attempts counted.")
    per_route: dict[Key, Money] = Field(default={}, description="In all, on the records of a route.")

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if not (self.usd or self.per_run_usd or self.per_record_usd or self.per_route):
            raise ValueError("names no amount. Write usd: 25, or remove it")
        return self
