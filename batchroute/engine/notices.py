"""What a run tells those who do not watch it: that it began, how it ended, that a model is failing.

Healthchecks-style pings are /start, the URL itself for success and /fail, by POST with some text
(healthchecks.io/docs/http_api, read 2026-11); Slack takes `text`, in which &, < and > are escaped
(docs.slack.dev/messaging/formatting-message-text, read 2026-11). A notice that cannot be delivered is a warning
in the log and nothing else.
"""

import asyncio
import datetime as dt
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final
from urllib.parse import urlsplit, urlunsplit

import msgspec
from msgspec import Struct

from batchroute.core.errors import BatchrouteError, InterruptedRunError
from batchroute.core.money import usd
from batchroute.engine.clock import Clock
from batchroute.engine.endings import Ended
from batchroute.engine.tally import Progress
from batchroute.job.jobs import Job
from batchroute.job.notify import Event, Notify
from batchroute.providers.couriers import PATIENCE_S, deliver

LOG: Final = logging.getLogger("batchroute")
ENOUGH_RECORDS: Final = 100
"""Finished records before a share of failovers means something; a run that has ended is judged with fewer."""
HURRIED_S: Final = 0.5
"""How long a message may take in a run that was told twice to stop."""
SLACKS: Final = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}

Deliver = Callable[..., Awaitable[str | None]]
_encode = msgspec.json.Encoder(decimal_format="number").encode


class Notice(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is told. `text` says it in a sentence; counts are of records, cost is USD, times are UTC."""

    event: Event
    job: str
    text: str
    at: str
    run_id: str | None = None
    exit_code: int | None = None
    reason: str | None = None
    duration_s: float | None = None
    records: dict[str, int] | None = None
    failover_share: float | None = None
    cost_usd: object = None
    disabled: dict[str, str] | None = None
    errors: dict[str, int] | None = None


class Notices:
    """Sends the notices of one run. Those that need not be waited for are sent in `group`."""

    def __init__(self, job: Job, clock: Clock, group: asyncio.TaskGroup, deliver: Deliver) -> None:
        self._job = job.job
        self._notify = job.notify or Notify.model_construct(webhook=None, ping=None)
        self._clock = clock
        self._group = group
        self._deliver = deliver
        self._begun: list[asyncio.Task[None]] = []
        self._told_of_failovers = False

    def start(self) -> None:
        """Tell that the run begins, without making it wait."""
        if self._notify.webhook is not None or self._notify.ping is not None:
            self._soon(self._notice("start", "begins"), "start")

    def watch(self, progress: Progress) -> None:
        """Tell once, while it happens, that too many records need a failover."""
        finished = progress.succeeded + progress.failed + progress.degraded
        if finished >= ENOUGH_RECORDS:
            self._judge(progress.failed_over, finished)

    async def ended(self, ended: Ended) -> None:
        """Tell how the run ended."""
        finished = ended.succeeded + ended.failed + ended.degraded
        self._judge(ended.failed_over, finished)
        notice = self._notice(
            ended.event,
            summed_up(ended),
            run_id=ended.run_id,
            exit_code=ended.exit_code,
            reason=ended.reason,
            duration_s=round(ended.duration_s, 3),
            records=counts_of(ended),
            failover_share=share_of(ended.failed_over, finished),
            cost_usd=usd(ended.cost),
            disabled=ended.disabled,
            errors=ended.errors,
        )
        await self._finally(notice, HURRIED_S if ended.cut_off else PATIENCE_S)

    async def failed(self, error: Exception) -> None:
        """Tell that the run could not begin, or broke."""
        known = isinstance(error, BatchrouteError)
        reason = str(error) if known else f"internal error: {type(error).__name__}"
        exit_code = error.exit_code if isinstance(error, BatchrouteError) else 1
        patience_s = HURRIED_S if isinstance(error, InterruptedRunError) else PATIENCE_S
        await self._finally(self._notice("failure", reason, exit_code=exit_code, reason=reason), patience_s)

    def _judge(self, failed_over: int, finished: int) -> None:
        share = share_of(failed_over, finished)
        if share > self._notify.failover_share and not self._told_of_failovers:
            self._told_of_failovers = True
            text = f"{share:.0%} of {finished:,} records could not be answered by their first choice"
            self._soon(self._notice("failovers", text, failover_share=share))

    def _notice(self, event: Event, text: str, **fields: object) -> Notice:
        at = dt.datetime.fromtimestamp(self._clock.wall(), dt.UTC).isoformat(timespec="seconds")
        facts = {name: value for name, value in fields.items() if value not in (None, {})}
        return Notice(event=event, job=self._job, text=f"{self._job}: {text}", at=at, **facts)  # type: ignore[arg-type]

    def _soon(self, notice: Notice, suffix: str | None = None) -> None:
        self._begun.append(self._group.create_task(self._tell(notice, suffix, PATIENCE_S)))

    async def _finally(self, notice: Notice, patience_s: float) -> None:
        """The last one, after those that are on their way: a check must hear of the start before the end."""
        if self._begun:
            await asyncio.wait(self._begun, timeout=patience_s)
        await self._tell(notice, "" if notice.event == "finish" else "fail", patience_s)

    async def _tell(self, notice: Notice, suffix: str | None, patience_s: float) -> None:
        """Post to the webhook if it wants this event, and to the ping unless `suffix` is None."""
        notify, sent = self._notify, []
        if notify.webhook is not None and notice.event in notify.events:
            body = slack(notice) if notify.format == "slack" else _encode(notice)
            sent.append(("webhook", notify.webhook.get_secret_value(), body, "application/json"))
        if notify.ping is not None and suffix is not None:
            url = below(notify.ping.get_secret_value(), suffix)
            sent.append(("ping", url, notice.text.encode(), "text/plain; charset=utf-8"))
        for key, url, body, kind in sent:
            trouble = await self._deliver(url, body, kind, patience_s=patience_s)
            if trouble is not None:
                LOG.warning("notify.%s was not told of %s: %s", key, notice.event, trouble)


@asynccontextmanager
async def announced(job: Job, clock: Clock, deliver: Deliver = deliver) -> AsyncIterator[Notices]:
    """Tell that a run begins, and how it breaks, if it does; how it ends otherwise is the body's to tell."""
    broke: Exception | None = None
    async with asyncio.TaskGroup() as group:
        notices = Notices(job, clock, group, deliver)
        notices.start()
        try:
            yield notices
        except Exception as error:  # noqa: BLE001  raised again below: a group would wrap it
            broke = error
            await notices.failed(error)
    if broke is not None:
        raise broke


def slack(notice: Notice) -> bytes:
    """The notice as a message for Slack's incoming webhooks."""
    return _encode({"text": "".join(SLACKS.get(char, char) for char in notice.text)})


def below(url: str, suffix: str) -> str:
    """The URL with a step added to its path; a query stays."""
    if not suffix:
        return url
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{suffix}"))


def counts_of(ended: Ended) -> dict[str, int]:
    """The records of a run by what became of them."""
    names = ("total", "succeeded", "failed", "degraded", "skipped", "failed_before", "pending")
    return {name: getattr(ended, name) for name in names}


def share_of(part: int, whole: int) -> float:
    return round(part / whole, 4) if whole else 0.0


def summed_up(ended: Ended) -> str:
    """A run in a sentence."""
    counts = counts_of(ended)
    told = [
        f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items() if count and name != "total"
    ]
    cost = f"${usd(ended.cost):,.2f}{'+' if ended.unpriced else ''}"
    reason = f"; {ended.reason}" if ended.reason else ""
    records = ", ".join(told) or "nothing to do"
    return f"{ended.total:,} records: {records}; {cost} in {ended.duration_s:.0f} s, exit code {ended.exit_code}{reason}"
