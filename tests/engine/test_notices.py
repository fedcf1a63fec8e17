"""What is told of a run, to whom, and in which order."""

import asyncio
import json
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from batchroute.core.errors import BatchrouteError, InputError, OutputError
from batchroute.core.responses import ErrorType
from batchroute.engine.endings import Ended
from batchroute.engine.notices import Notices, announced, below, slack
from batchroute.job.jobs import Job
from tests import virtual_clock
from tests.builders import job, model, records, write_records
from tests.cli.test_display import progress
from tests.engine.runs import run_virtually
from tests.fakes import answer, failure
from tests.fakes import virtual_clock as clock

HOOK, PING = "https://hooks.example/x", "https://ping.example/uuid?rid=1"


@dataclass
class Post:
    """Takes messages, and says of each what it is told to."""

    trouble: str | None = None
    takes_s: float = 0.1
    sent: list[tuple[str, Any]] = field(default_factory=list)

    async def __call__(self, url: str, content: bytes, content_type: str, *, patience_s: float) -> str | None:
        await asyncio.sleep(min(self.takes_s, patience_s))
        told = json.loads(content) if content_type == "application/json" else content.decode()
        self.sent.append((url, told))
        return self.trouble if self.takes_s <= patience_s else "slow"

    @property
    def events(self) -> list[str]:
        return [told["event"] for url, told in self.sent if url == HOOK]

    @property
    def pings(self) -> list[str]:
        return [url for url, _ in self.sent if url != HOOK]


def told_of(folder: Path, **notify: Any) -> Job:
    return job(folder, notify={"webhook": HOOK, "ping": PING, **notify})


def ended(folder: Path, **fields: Any) -> Ended:
    """How a small run really ended, with other fields."""
    from msgspec.structs import replace

    write_records(folder / "in.jsonl", records(4))
    ran = run_virtually(folder, scripts={"a": lambda _: (0.1, answer())}, models={"a": model("a")},
                        routes={"default": {"models": ["a"]}})  # fmt: skip
    return replace(ran.ended, **fields)


def tell(subject: Job, post: Post, *steps: Any) -> None:
    """Go through a run's steps: a Progress, an Ended, or the error that breaks it."""

    async def go() -> None:
        async with announced(subject, clock(), post) as notices:
            for step in steps:
                await one(notices, step)

    async def one(notices: Notices, step: Any) -> None:
        if isinstance(step, Exception):
            raise step
        if isinstance(step, Ended):
            await notices.ended(step)
        else:
            notices.watch(step)

    virtual_clock.run(go())


def test_a_run_that_succeeded_is_told_from_its_start_to_its_end(tmp_path: Path) -> None:
    post = Post()
    events = ["start", "finish", "failure"]
    tell(told_of(tmp_path, events=events), post, ended(tmp_path))

    assert post.events == ["start", "finish"]
    assert post.pings == ["https://ping.example/uuid/start?rid=1", PING]
    finish = post.sent[-2][1]
    assert finish["records"] == {
        "total": 4, "succeeded": 4, "failed": 0, "degraded": 0, "skipped": 0, "failed_before": 0,
        "pending": 0,
    }  # fmt: skip
    assert (finish["exit_code"], finish["cost_usd"], finish["failover_share"]) == (0, 0.00008, 0.0)
    assert finish["text"] == "test: 4 records: 4 succeeded; $0.00 in 0 s, exit code 0"


@pytest.mark.parametrize(
    ("exit_code", "event", "wants", "posted"),
    [
        (3, "failure", ["failure"], ["failure"]),
        (3, "failure", ["finish"], []),
        (4, "budget", ["budget"], ["budget"]),
        (4, "budget", ["failure"], []),
        (143, "failure", ["finish", "failure", "budget"], ["failure"]),
    ],
)
def test_only_the_events_that_are_wanted_are_posted_and_every_bad_end_pings_fail(
    tmp_path: Path, exit_code: int, event: str, wants: list[str], posted: list[str]
) -> None:
    post = Post()
    tell(told_of(tmp_path, events=wants), post, ended(tmp_path, exit_code=exit_code, event=event))
    assert post.events == posted
    assert post.pings[-1] == "https://ping.example/uuid/fail?rid=1"


@pytest.mark.parametrize(
    ("error", "exit_code", "reason"),
    [
        (InputError("there is no input", code="missing"), 65, "there is no input [missing]"),
        (OutputError("the disk is full"), 74, "the disk is full"),
        (RuntimeError("with text of a record"), 1, "internal error: RuntimeError"),
    ],
)
def test_a_run_that_breaks_is_told_of_and_breaks(
    tmp_path: Path, error: Exception, exit_code: int, reason: str
) -> None:
    post = Post()
    with pytest.raises(type(error), match=re.escape(reason if exit_code != 1 else "with text")):
        tell(told_of(tmp_path), post, error)
    assert post.events == ["failure"]
    told = next(told for url, told in post.sent if url == HOOK)
    assert (told["exit_code"], told["reason"]) == (exit_code, reason)
    assert post.pings[-1].endswith("/fail?rid=1")


def test_too_many_failovers_are_told_once_while_they_happen(tmp_path: Path) -> None:
    post = Post()
    subject = told_of(tmp_path, failover_share=0.1)
    few = progress(succeeded=50, failed=0, degraded=0, failed_over=40)
    low = progress(succeeded=1000, failed=0, degraded=0, failed_over=100)
    high = progress(succeeded=1000, failed=0, degraded=0, failed_over=101)
    tell(subject, post, few, low, high, high, ended(tmp_path, failed_over=4))
    assert post.events == ["failovers", "finish"]
    assert post.sent[1][1]["text"] == "test: 10% of 1,000 records could not be answered by their first choice"
    assert post.pings == ["https://ping.example/uuid/start?rid=1", PING]


def test_a_short_run_is_judged_at_its_end(tmp_path: Path) -> None:
    post = Post()
    tell(told_of(tmp_path), post, ended(tmp_path, failed_over=2))
    assert post.events == ["failovers", "finish"]


@pytest.mark.parametrize("step", ["ended", "breaks"])
def test_what_cannot_be_told_is_a_warning_and_delays_no_more_than_it_may(
    tmp_path: Path, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    post = Post(trouble="HTTP 500", takes_s=60.0)
    with caplog.at_level(logging.WARNING, logger="batchroute"):
        if step == "ended":
            tell(told_of(tmp_path), post, ended(tmp_path))
        else:
            with pytest.raises(BatchrouteError):
                tell(told_of(tmp_path), post, OutputError("full"))
    told = [record.getMessage() for record in caplog.records]
    event = "finish" if step == "ended" else "failure"
    assert told == [
        "notify.ping was not told of start: slow",
        f"notify.webhook was not told of {event}: slow",
        f"notify.ping was not told of {event}: slow",
    ]


def test_a_run_that_is_cut_off_waits_half_a_second_for_each(tmp_path: Path) -> None:
    post, times = Post(takes_s=60.0), list[float]()
    last = ended(tmp_path, cut_off=True, exit_code=143, event="failure")

    async def go() -> None:
        async with announced(told_of(tmp_path), clock(), post) as notices:
            await notices.ended(last)
            times.append(asyncio.get_running_loop().time())

    virtual_clock.run(go())
    assert times[0] <= 1.6


def test_nobody_is_told_where_nobody_is_named(tmp_path: Path) -> None:
    post = Post()
    tell(job(tmp_path), post, ended(tmp_path))
    assert post.sent == []


def test_failovers_of_a_run_are_counted_by_record(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(10))
    ran = run_virtually(
        tmp_path,
        scripts={
            "a": lambda sent: (0.1, failure(ErrorType.SERVER_ERROR) if sent.number <= 3 else answer()),
            "b": lambda _: (0.1, answer()),
        },
    )
    assert ran.ended.failed_over == ran.results.filter(ran.results["failovers"] > 0).height == 3


def test_a_model_that_is_down_is_a_failover_of_every_record_that_passes_it_over(tmp_path: Path) -> None:
    """Most of them are never sent to it."""
    write_records(tmp_path / "in.jsonl", records(200))
    ran = run_virtually(
        tmp_path,
        scripts={
            "a": lambda _: (0.1, failure(ErrorType.CONNECT_REFUSED)),
            "b": lambda _: (0.1, answer()),
        },
    )
    assert ran.provider.sent["a"] < 100
    assert set(ran.results["model"]) == {"b"}
    assert ran.ended.failed_over == 200


def test_slack_takes_text_whose_three_signs_are_escaped() -> None:
    class Said:
        text = 'a & b <!channel> "c"'

    notice: Any = Said()
    assert json.loads(slack(notice)) == {"text": 'a &amp; b &lt;!channel&gt; "c"'}


@pytest.mark.parametrize(
    ("url", "suffix", "expected"),
    [
        ("https://h/u", "", "https://h/u"),
        ("https://h/u", "start", "https://h/u/start"),
        ("https://h/u/", "fail", "https://h/u/fail"),
        ("https://h", "fail", "https://h/fail"),
        ("https://h/u?a=b", "fail", "https://h/u/fail?a=b"),
    ],
)
def test_a_step_is_added_to_the_path_of_a_ping(url: str, suffix: str, expected: str) -> None:
    assert below(url, suffix) == expected


def test_every_error_names_an_event_that_can_be_wanted() -> None:
    kinds: Sequence[type[BatchrouteError]] = BatchrouteError.__subclasses__()
    assert {kind.event for kind in kinds} <= {"failure", "budget"}
