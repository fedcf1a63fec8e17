"""Whole runs against a server that is not ours, and that fails by chance: aimock, from npm.

How it frames its answers and cuts off connections is its own affair, and it keeps a journal of who asked for what and
what it did about it, which the ledger has to agree with. Off by default, for it needs Node 20 and npm, and the first
time the npm registry; it is kept in pytest's cache. Some fifty seconds, most of them rate limits that are waited out:

    pytest tests/faults/test_aimock.py -m node
"""

import json
import os
import re
import shutil
import subprocess
import urllib.request
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.responses import ErrorType
from batchroute.report.scans import scan_ledger, scan_results
from batchroute.routing.verdicts import MAX_TRIES_PER_RECORD, counts
from tests.builders import model, write_records
from tests.cli.jobs import write_job
from tests.cli.processes import batchroute, summary

pytestmark = [pytest.mark.node, pytest.mark.timeout(400)]

PACKAGE = "@copilotkit/aimock"
VERSION = "1.43.0"
INSTALL_S = 120
RUN_S = 240
IDS = [f"r{number}" for number in range(2_000)]
READY = re.compile(r"\[aimock\] aimock server listening on (http://\S+)\n")

ROUTE = ["small", "large", "steady"]
PRICE = {"input": 1, "output": 2}
ANSWER = {"response": {"content": "yes"}}
BY_CHANCE = (
    *("--chaos-drop", "0.03", "--chaos-malformed", "0.03"),
    *("--chaos-disconnect", "0.03", "--chaos-ratelimit", "0.01"),
)
NEVER = dict.fromkeys(("dropRate", "malformedRate", "disconnectRate", "rateLimitRate"), 0)
STEADY = {"match": {"model": "steady"}, **ANSWER, "chaos": NEVER}
POISON = {
    "drop me": {"dropRate": 1},
    "garble me": {"malformedRate": 1},
    "cut me off": {"disconnectRate": 1},
}
"""What every model does to records of such a text."""
ALWAYS = [
    {"match": {"userMessage": text}, **ANSWER, "chaos": NEVER | chaos} for text, chaos in POISON.items()
]

CHAOS = {
    "server_error": "drop",  # it says so with a 500
    "not_json": "malformed",
    "rate_limited": "rateLimit",
    "connection_lost": "disconnect",
    "stale_connection": "disconnect",  # on a kept connection nobody can tell whether it was read
}
"""What aimock calls what the ledger calls so."""


@dataclass(frozen=True)
class Aimock:
    """The running server."""

    url: str

    def journal(self) -> list[dict[str, Any]]:
        """Every request for a completion that it has read, with what it did about it."""
        with urllib.request.urlopen(
            f"{self.url}/__aimock/journal?path=/chat/completions", timeout=30
        ) as told:
            entries: list[dict[str, Any]] = json.load(told)
            return entries


@pytest.fixture(scope="module")
def command(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """How aimock is started, once it is installed."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("Node is not installed")
    folder = request.config.cache.mkdir(f"aimock-{VERSION}")
    if not (folder / "node_modules/.package-lock.json").exists():  # npm writes it last
        quietly = ("--ignore-scripts", "--no-audit", "--no-fund", "--no-save")
        try:
            subprocess.run(
                [npm, "install", *quietly, "--prefix", str(folder), f"{PACKAGE}@{VERSION}"],
                check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=INSTALL_S,
            )  # fmt: skip
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{PACKAGE} cannot be had: {error.stderr}")
        except subprocess.TimeoutExpired as error:
            pytest.skip(f"{PACKAGE} cannot be had: {error}")
    return node, str(folder / "node_modules" / PACKAGE / "dist/cli.js")


@contextmanager
def serving(command: tuple[str, ...], folder: Path, *fixtures: Mapping[str, Any]) -> Iterator[Aimock]:
    """A server that fails by chance, unless the first of these fixtures that matches says otherwise."""
    path = folder / "fixtures.json"
    path.write_text(json.dumps({"fixtures": [*fixtures, {"match": {}, **ANSWER}]}), encoding="utf-8")
    # it would keep the latest thousand requests only; those that it drops, refuses and cuts off it does note
    options = ("--port", "0", "--fixtures", str(path), "--journal-max", "0", *BY_CHANCE)
    with subprocess.Popen(
        [*command, *options],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PATH": os.environ["PATH"]},  # it takes keys to ask for from the environment
    ) as process:
        try:
            assert process.stdout is not None
            told = next(filter(None, map(READY.fullmatch, process.stdout)), None)
            assert told is not None, "aimock did not start"
            yield Aimock(told[1])
        finally:
            process.kill()


@dataclass(frozen=True)
class Ran:
    """What the command told, what it has written, and what the server has noted of it."""

    told: dict[str, Any]
    ledger: pl.DataFrame
    results: pl.DataFrame
    journal: list[dict[str, Any]]

    @property
    def entered(self) -> Counter[tuple[Any, ...]]:
        """How often the ledger has a record, model, status (0: none came) and fault, in aimock's words."""
        rows = self.ledger.select(
            "record_id", "model", pl.col("http_status").fill_null(0), "error_type"
        ).rows()
        return Counter((*asked, CHAOS.get(error_type, error_type)) for *asked, error_type in rows)

    @property
    def noted(self) -> Counter[tuple[Any, ...]]:
        """The same of the server's journal. Each user message ends with its record's id."""
        return Counter(
            (
                entry["body"]["messages"][-1]["content"].split()[-1],
                entry["body"]["model"],
                entry["response"]["status"],
                entry["response"].get("chaosAction"),
            )
            for entry in self.journal
        )


def bring_up_to_date(server: Aimock, folder: Path, texts: Mapping[str, str]) -> Ran:
    """Run a job over records of these ids and texts, whose models are three of the server's."""
    job = write_job(
        folder,
        # without room declared for the answer, a lost request has no upper bound, and costs would be unknown
        prompt={"user": "{{ text }} {{ id }}", "params": {"max_tokens": 16}},
        providers={"aimock": {"base_url": f"{server.url}/v1", "api_key": "any"}},
        models={name: model(name, provider="aimock", price=PRICE) for name in ROUTE},
        routes={"default": {"models": ROUTE}},
        baseline="steady",
    )
    write_records(folder / "in.jsonl", [{"id": record_id, "text": texts[record_id]} for record_id in texts])
    ran = batchroute("run", job, "--json", timeout_s=RUN_S)
    assert ran.returncode in {0, 3}, ran.stderr
    output = folder / "out"
    return Ran(summary(ran), scan_ledger(output).collect(), scan_results(output).collect(), server.journal())


def assert_every_request_is_an_attempt(ran: Ran) -> None:
    """The ledger and the server's journal tell of the same requests, and of the same end of each."""
    assert not ran.noted - ran.entered, "requests that are not in the ledger"
    assert not ran.entered - ran.noted, "attempts that the server does not know"
    assert {chaos for *_, chaos in ran.noted} == {None, "drop", "malformed", "disconnect", "rateLimit"}
    assert ran.told["attempts"] == ran.ledger.height == ran.results["attempts"].sum()
    assert ran.ledger["cost_usd"].sum() == ran.results["cost_usd"].sum()


def counted(ledger: pl.DataFrame, record_id: str) -> int:
    """How many of the few tries that a record has its attempts have taken."""
    errors = ledger.filter(record_id=record_id).sort("attempt")["error_type"].to_list()
    return sum(counts(ErrorType(error), errors[: at + 1].count(error)) for at, error in enumerate(errors))


def test_no_record_is_lost_to_faults_that_come_by_chance(command: tuple[str, ...], tmp_path: Path) -> None:
    with serving(command, tmp_path, STEADY) as server:
        ran = bring_up_to_date(server, tmp_path, dict.fromkeys(IDS, "ask"))

    assert_every_request_is_an_attempt(ran)
    assert sorted(ran.results["record_id"]) == sorted(IDS)
    assert set(ran.results["status"]) == {"succeeded"}
    assert set(ran.results["response"]) == {"yes"}
    assert ran.told["exit_code"] == 0


def test_only_a_record_that_fails_on_every_model_is_given_up(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    poisoned = dict(zip(IDS[::100], cycle(POISON), strict=False))
    with serving(command, tmp_path, *ALWAYS, STEADY) as server:
        ran = bring_up_to_date(server, tmp_path, dict.fromkeys(IDS, "ask") | poisoned)

    assert_every_request_is_an_attempt(ran)
    assert sorted(ran.results["record_id"]) == sorted(IDS)
    assert set(ran.results.filter(status="failed")["record_id"]) == set(poisoned)
    assert set(ran.results.filter(pl.col("status") != "failed")["status"]) == {"succeeded"}
    assert min(counted(ran.ledger, record_id) for record_id in poisoned) >= MAX_TRIES_PER_RECORD
    assert ran.told["exit_code"] == 3
