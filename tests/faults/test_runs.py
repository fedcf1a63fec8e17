"""Whole runs that meet a fault: what was asked, what the ledger says of it, and what became of the records."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest

from batchroute.engine.clock import Clock
from batchroute.engine.endings import Ended
from batchroute.engine.pipeline import MAX_WAIT_S, Options
from batchroute.engine.runs import Connect, run
from batchroute.job.jobs import Job
from batchroute.providers.accounts import Account
from batchroute.providers.connect import HttpProvider
from batchroute.providers.connections import connected
from batchroute.providers.transports import MAX_BODY_BYTES, PATH, Reply
from batchroute.report.scans import scan_ledger, scan_results
from tests.builders import job, model, records, write_records
from tests.faults.table import CASES, Case
from tests.providers.builders import AMPLE_S, KEY
from tests.providers.fault_server import FIN, FaultServer, ok, serving

ANSWERED = ("b", "accept", None, "usage", 200)


class Prompt(Random):
    """Chance that always chooses the shortest wait."""

    def random(self) -> float:
        return 0.0


@dataclass(frozen=True)
class Ran:
    """How a run ended, and the dataset as it stands."""

    ended: Ended
    ledger: pl.DataFrame
    results: pl.DataFrame

    @property
    def attempts(self) -> list[tuple[Any, ...]]:
        told = ("model", "verdict", "error_type", "cost_basis", "http_status")
        return self.ledger.sort("record_id", "attempt").select(told).rows()


async def bring_up_to_date(
    folder: Path,
    urls: Mapping[str, str],
    *,
    count: int = 1,
    timeout_s: float = AMPLE_S,
    transport: str = "wire",
    concurrency: int = 32,
    connect: Connect = connected,
    max_wait_s: float = MAX_WAIT_S,
) -> Ran:
    """Run a job whose models, each of a provider of its own, are reached at these URLs, in this order."""
    write_records(folder / "in.jsonl", records(count))
    declared = job(
        folder,
        providers={
            name: {"base_url": url, "api_key": KEY, "transport": transport} for name, url in urls.items()
        },
        models={
            name: model("m", provider=name, timeout=f"{timeout_s}s", limits={"concurrency": concurrency})
            for name in urls
        },
        routes={"default": {"models": list(urls)}},
    )
    ended = await run(
        declared,
        Options(max_wait_s=max_wait_s),
        clock=Clock(random=Prompt()),
        conclude=lambda ended: ended,
        connect=connect,
    )
    output = folder / "out"
    return Ran(ended, scan_ledger(output).collect(), scan_results(output).collect())


def met(case: Case, verdicts: str) -> list[tuple[Any, ...]]:
    """The ledger's rows of a model that meets every request with this fault."""
    flagged = case.decision.beside == "accept"
    error_type = None if flagged else case.word
    return [("a", verdict, error_type, case.money, case.status) for verdict in verdicts.split()]


def wire_counts(*servers: FaultServer) -> list[int]:
    return [len(server.seen) for server in servers]


RETRIED = ["A19 closed after the request", "A37 short body", "A46 invalid UTF-8", "A70 server timeout"]
RETRIED_ONCE = [
    "A23 no answer",
    "A35 ten thousand headers",
    "A40 close-delimited and cut",
    "A42 gzip corrupt",
    "A48 captive portal",
    "A52 unknown",
]
PASSED_ON = [
    "A45 endless body",
    "A58 context",
    "A59 too large",
    "A61 blocked, 400",
    "A62 blocked, 200",
    "A71 409, no retry",
    "A72 503",
    "A74 500, HTML",
    "A76 504",
]
DISABLED = [
    "A52 key",
    "A54 307",
    "A57 parameter of the job",
    "A63 key",
    "A65 insufficient_quota",
    "A67 unknown model",
    "A68 wrong path",
]
ASKED_AGAIN = ["A83 choices missing", "A85 content None", "A92 no text within the cap"]
BURIED = ["A55 this record", "A56 unprocessable", "A69 418"]
PAUSED = ["A52 rate limit", "A78 half a second", "A79 no hint", "A81 503"]
TAKEN = ["A30 gzip trailer missing", "A91 cut off", "A99 usage missing", "A103 another model"]


@pytest.mark.parametrize("title", [*RETRIED, *RETRIED_ONCE, *PASSED_ON, *DISABLED, *ASKED_AGAIN])
async def test_a_faulty_model_is_left_for_the_next_one(tmp_path: Path, title: str) -> None:
    case = CASES[title]
    async with serving(otherwise=case.script) as bad, serving() as good:
        ran = await bring_up_to_date(tmp_path, {"a": bad.url, "b": good.url}, timeout_s=case.deadline_s)

    assert ran.attempts == [*met(case, case.decision.beside), ANSWERED]
    assert wire_counts(bad, good) == [ran.ledger.height - 1, 1]
    assert ran.results.select("status", "error_type", "model").rows() == [("succeeded", None, "b")]
    assert ran.ended.exit_code == 0
    assert ("a" in ran.ended.disabled) == (title in DISABLED)


@pytest.mark.parametrize("title", [*RETRIED, "A23 no answer", *ASKED_AGAIN, *BURIED])
async def test_a_faulty_model_alone_makes_a_dead_letter(tmp_path: Path, title: str) -> None:
    case = CASES[title]
    async with serving(otherwise=case.script) as bad:
        ran = await bring_up_to_date(tmp_path, {"a": bad.url}, timeout_s=case.deadline_s)

    assert ran.attempts == met(case, case.decision.alone)
    assert wire_counts(bad) == [ran.ledger.height]
    (dead,) = ran.results.to_dicts()
    assert (dead["status"], dead["error_type"], dead["response"]) == ("failed", case.word, None)
    assert dead["attempts"] == ran.ledger.height
    assert dead["cost_usd"] == ran.ledger["cost_usd"].sum()
    assert case.says in dead["error_message"]
    assert ran.ended.exit_code == 3


async def test_a_model_alone_that_may_be_down_is_waited_for_while_that_costs_nothing(tmp_path: Path) -> None:
    case = CASES["A74 500, HTML"]
    async with serving(otherwise=case.script) as bad:
        ran = await bring_up_to_date(tmp_path, {"a": bad.url}, max_wait_s=2.0)

    assert ran.attempts == met(case, "retry retry retry")
    assert wire_counts(bad) == [3]
    assert (ran.ended.exit_code, ran.ended.pending, ran.results.height) == (4, 1, 0)


@pytest.mark.parametrize("title", ["A61 blocked, 400", "A62 blocked, 200"])
async def test_what_two_models_block_is_not_asked_of_a_third(tmp_path: Path, title: str) -> None:
    script = CASES[title].script
    async with serving(otherwise=script) as one, serving(otherwise=script) as two, serving() as three:
        ran = await bring_up_to_date(tmp_path, {"a": one.url, "b": two.url, "c": three.url})

    assert ran.ledger.sort("attempt").select("model", "verdict").rows() == [
        ("a", "escalate"),
        ("b", "dead_letter"),
    ]
    assert wire_counts(one, two, three) == [1, 1, 0]
    assert ran.results.select("status", "error_type").rows() == [("failed", "content_blocked")]


async def test_a_stale_connection_costs_one_more_attempt_and_no_model(tmp_path: Path) -> None:
    async with serving((ok(),), (FIN,)) as server, serving() as other:
        urls = {"a": server.url, "b": other.url}
        ran = await bring_up_to_date(tmp_path, urls, count=2, concurrency=1)

    told = ran.ledger.sort("started_at").select("verdict", "error_type", "cost_basis").rows()
    assert told == [
        ("accept", None, "usage"),
        ("retry", "stale_connection", "upper_bound"),
        ("accept", None, "usage"),
    ]
    assert (wire_counts(server, other), server.connections) == ([3, 0], 2)


@pytest.mark.parametrize("title", BURIED)
async def test_a_fault_of_the_record_is_not_asked_of_another_model(tmp_path: Path, title: str) -> None:
    case = CASES[title]
    async with serving(otherwise=case.script) as bad, serving() as good:
        ran = await bring_up_to_date(tmp_path, {"a": bad.url, "b": good.url})

    assert ran.attempts == met(case, "dead_letter")
    assert wire_counts(bad, good) == [1, 0]
    assert ran.results["status"].to_list() == ["failed"]


@pytest.mark.parametrize("title", DISABLED)
async def test_the_last_model_that_is_disabled_stops_the_run(tmp_path: Path, title: str) -> None:
    case = CASES[title]
    async with serving(otherwise=case.script) as bad:
        ran = await bring_up_to_date(tmp_path, {"a": bad.url})

    assert ran.attempts == met(case, "wait")
    assert wire_counts(bad) == [1]
    assert (ran.results.height, ran.ended.pending, ran.ended.exit_code) == (0, 1, 5)
    assert ran.ended.reason is not None
    assert KEY[:8] not in ran.ended.reason


@pytest.mark.parametrize("title", PAUSED)
async def test_a_short_pause_is_waited_out(tmp_path: Path, title: str) -> None:
    case = CASES[title]
    async with serving(case.script) as throttled, serving() as good:
        ran = await bring_up_to_date(tmp_path, {"a": throttled.url, "b": good.url})

    assert ran.attempts == [*met(case, "wait"), ("a", "accept", None, "usage", 200)]
    assert wire_counts(throttled, good) == [2, 0]
    assert ran.results["status"].to_list() == ["succeeded"]


@pytest.mark.parametrize("title", TAKEN)
async def test_an_odd_answer_is_taken_with_its_flag(tmp_path: Path, title: str) -> None:
    case = CASES[title]
    async with serving(otherwise=case.script) as odd, serving() as good:
        ran = await bring_up_to_date(tmp_path, {"a": odd.url, "b": good.url})

    assert ran.attempts == met(case, "accept")
    assert wire_counts(odd, good) == [1, 0]
    assert ran.ledger["flag"].to_list() == ran.results["flag"].to_list() == [case.word]
    assert ran.results["status"].to_list() == ["succeeded"]


@pytest.mark.parametrize("transport", ["wire", "sdk"])
async def test_faults_of_some_records_change_nothing_for_the_others(tmp_path: Path, transport: str) -> None:
    titles = [*RETRIED, *ASKED_AGAIN, "A58 context", "A72 503", "A36 a second answer"]
    async with serving(*(CASES[title].script for title in titles)) as shaky, serving() as good:
        ran = await bring_up_to_date(tmp_path, {"a": shaky.url, "b": good.url}, count=40, transport=transport)

    assert sum(wire_counts(shaky, good)) == ran.ledger.height
    assert ran.results["record_id"].n_unique() == ran.results.height == 40
    assert set(ran.results["status"]) == {"succeeded"}
    assert set(ran.results["response"]) == {"yes"}
    assert "unclassified" not in set(ran.ledger["error_type"])
    assert ran.ledger["cost_usd"].sum() == ran.results["cost_usd"].sum()


class Strange:
    """A Transport that fails in a way nobody has foreseen."""

    def __init__(self, error: BaseException) -> None:
        self._error = error
        self.asked = 0

    async def post(
        self, body: bytes, *, timeout_s: float, path: str = PATH, most_bytes: int = MAX_BODY_BYTES
    ) -> Reply:
        del body, timeout_s, path, most_bytes
        self.asked += 1
        raise self._error

    async def get(self, path: str, *, timeout_s: float) -> Reply:
        return await self.post(path.encode(), timeout_s=timeout_s)

    async def close(self) -> None:
        pass


def strange_first(transport: Strange) -> Connect:
    """The job's providers, but the first one's transport is this one."""

    @asynccontextmanager
    async def connect(declared: Job) -> AsyncIterator[Mapping[str, HttpProvider]]:
        account = Account(name="a", base_url="http://127.0.0.1:9/v1", connections=1, api_key=KEY)
        async with connected(declared) as providers:
            yield {**providers, "a": HttpProvider(account, transport)}

    return connect


@pytest.mark.parametrize(
    "error",
    [KeyError(f"choices of {KEY}"), RuntimeError("loop"), MemoryError()],
    ids=lambda error: type(error).__name__,
)
async def test_an_unknown_error_is_tried_once_more_and_then_passed_on(
    tmp_path: Path, error: Exception
) -> None:
    transport = Strange(error)
    async with serving() as good:
        urls = {"a": "http://127.0.0.1:9/v1", "b": good.url}
        ran = await bring_up_to_date(tmp_path, urls, connect=strange_first(transport))

    unknown = [("a", verdict, "unclassified", "upper_bound", None) for verdict in ("retry", "failover")]
    assert ran.attempts == [*unknown, ANSWERED]
    assert (transport.asked, len(good.seen)) == (2, 1)
    assert ran.results["status"].to_list() == ["succeeded"]


async def test_an_unknown_error_of_the_only_model_is_told_by_name(tmp_path: Path) -> None:
    transport = Strange(KeyError(f"choices of {KEY}"))
    ran = await bring_up_to_date(tmp_path, {"a": "http://127.0.0.1:9/v1"}, connect=strange_first(transport))

    (dead,) = ran.results.to_dicts()
    assert (dead["status"], dead["error_type"], dead["attempts"]) == ("failed", "unclassified", 3)
    assert dead["error_message"] == "a: KeyError: 'choices of [redacted]'"


async def test_what_ends_the_run_is_no_failed_attempt() -> None:
    account = Account(name="a", base_url="http://127.0.0.1:9/v1", connections=1)
    for end in (asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)):
        provider = HttpProvider(account, Strange(end))
        with pytest.raises(type(end)):
            await provider.ping(timeout_s=AMPLE_S)
