"""One output directory and what happens to it: runs, kills, and the books afterwards."""

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from batchroute.report.scans import scan_ledger, scan_results, scan_routes
from tests.cli.jobs import write_job
from tests.crashes.billing import Billed, BillingProvider, answer_to
from tests.crashes.children import run_job
from tests.crashes.processes import KILLED, forked

ENDS_WITHIN_S = 60.0


@dataclass(frozen=True)
class Kill:
    """A run that was killed, and what the provider had been asked until then."""

    asked_before: int
    asked_after: int


@dataclass
class History:
    """Runs of one job over `count` records, killed and started again."""

    folder: Path
    provider: BillingProvider
    count: int
    slots: int
    kills: list[Kill] = field(default_factory=list)
    finished: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.began = len(self.provider.bill())
        limits = {"concurrency": self.slots}
        self.job = write_job(
            self.folder,
            count=self.count,
            providers={"p": {"base_url": self.provider.url, "api_key": "key-of-the-test"}},
            models={
                "m": {"provider": "p", "limits": limits, "timeout": "10s", "price": {"input": 1, "output": 2}}
            },
            routes={"default": {"models": ["m"]}},
            baseline=None,
        )

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def bill(self) -> list[Billed]:
        return self.provider.bill()[self.began :]

    def run(self, *, killed_after_s: float = ENDS_WITHIN_S) -> None:
        """One run, killed unless it has ended by itself before."""
        before = len(self.bill())
        said = self.folder / "said"
        process = forked(run_job, self.job, said=said)
        process.join(killed_after_s)
        process.kill()
        process.join()
        if process.exitcode == KILLED:
            self.kills.append(Kill(before, len(self.bill())))
        else:
            assert process.exitcode == 0, said.read_text()
            self.finished = True


def assert_books_balance(history: History) -> None:
    """Nothing lost, nothing twice, nothing paid again but what was in flight, and every file says so."""
    results, ledger = scan_results(history.output).collect(), scan_ledger(history.output).collect()
    _assert_answered_once(history, results)
    _assert_attempts_closed(ledger)
    _assert_paid_again_at_most_in_flight(history, ledger)
    _assert_sums_agree(history, results, ledger)


def _assert_answered_once(history: History, results: pl.DataFrame) -> None:
    expected = {(f"r{number}", "succeeded", answer_to(number)) for number in range(history.count)}
    assert results.height == history.count
    assert set(results.select("record_id", "status", "response").iter_rows()) == expected


def _assert_attempts_closed(ledger: pl.DataFrame) -> None:
    """Attempts of a record are numbered without gaps; exactly one was accepted, and no kill left one open."""
    by_record = ledger.sort("attempt").group_by("record_id").agg("attempt", "verdict", "error_type")
    for record, attempts, verdicts, errors in by_record.iter_rows():
        assert attempts == list(range(1, len(attempts) + 1)), record
        assert verdicts == ["retry"] * (len(attempts) - 1) + ["accept"], record
        assert errors == ["unknown_outcome"] * (len(attempts) - 1) + [None], record


def _assert_paid_again_at_most_in_flight(history: History, ledger: pl.DataFrame) -> None:
    bill = history.bill()
    asked = Counter(f"r{billed.record}" for billed in bill)
    entered = Counter(ledger["record_id"].to_list())
    assert not asked - entered, "requests that the ledger does not know"
    unsent = entered - asked
    unknown = ledger.filter(error_type="unknown_outcome")
    assert not unsent - Counter(unknown["record_id"].to_list()), "rows of requests that were never made"
    for kill in history.kills:
        until, after = bill[: kill.asked_after], bill[kill.asked_after :]
        again = {billed.record for billed in until[kill.asked_before :]} & {billed.record for billed in after}
        assert len(again) <= history.slots, f"{len(again)} paid again after a kill with {history.slots} slots"
    per_run = unknown.group_by("run_id").len()["len"].to_list()
    assert all(count <= history.slots for count in per_run), per_run
    assert len(per_run) <= len(history.kills)


def _assert_sums_agree(history: History, results: pl.DataFrame, ledger: pl.DataFrame) -> None:
    cost = ledger["cost_usd"].sum()
    assert cost == results["cost_usd"].sum() == scan_routes(history.output).collect()["cost_usd"].sum()
    assert results["attempts"].sum() == ledger.height
    assert round(cost * 1_000_000) >= 13 * len(history.bill())  # 7 tokens at 1 and 3 at 2 USD per million
