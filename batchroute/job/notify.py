"""Whom a run tells how it goes when nobody watches it."""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import AfterValidator, Field, model_validator

from batchroute.job.addresses import NoticeUrl
from batchroute.job.spec import Listed, Share, Spec, distinct

Event: TypeAlias = Literal["start", "finish", "failure", "budget", "failovers"]
"""`finish`: every record has an answer; `failure`: any other end but `budget`, the end of the money."""


class Notify(Spec):
    """Where to tell what. Both URLs are secrets: whoever knows them can write there."""

    webhook: NoticeUrl | None = Field(
        default=None, description='Where each event is posted, from the environment: "${NOTIFY_URL}".'
    )
    format: Literal["json", "slack"] = Field(
        default="json", description="json: one object with all counts; slack: a message as Slack takes it."
    )
    ping: NoticeUrl | None = Field(
        default=None,
        description="A healthchecks-style URL: /start is asked at the start, the URL itself when all records "
        "have an answer, /fail at any other end.",
    )
    events: Annotated[tuple[Event, ...], Listed, Field(min_length=1), AfterValidator(distinct)] = Field(
        default=("finish", "failure", "budget", "failovers"),
        description="What the webhook is told: start, finish, failure, budget, failovers.",
    )
    failover_share: Share = Field(
        default=0.2,
        description="Above which share of finished records that their first choice could not answer `failovers` is told, once a run.",
    )

    @model_validator(mode="after")
    def _tells_somebody(self) -> Self:
        if self.webhook is None and self.ping is None:
            raise ValueError('has neither webhook nor ping. Write webhook: "${NOTIFY_URL}", or remove notify')
        return self
