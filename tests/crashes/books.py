"""What must hold of an output directory after runs that were killed: checked against the provider's own bill."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from batchroute.io.audits import part_findings
from batchroute.io.manifest import read_manifest
from batchroute.report.scans import scan_ledger, scan_results

INPUT_TOKENS, OUTPUT_TOKENS = 7, 3
PICODOLLARS_A_REQUEST = 13_000_000
"""These tokens at 1 and 2 USD per million."""


def answer_to(record: int) -> str:
    """What the provider says to a record, whenever and however often it is asked."""
    return f"the answer to question {record}"


@dataclass(frozen=True, kw_only=True)
class Books:
    """The dataset over `count` records, and what the provider was asked for, run by run; only the last one ended.

    `drafts` are records that a run before those had answered, when they said something else.
    """

    output: Path
    count: int
    slots: int
    asked: Sequence[Sequence[int]]
    drafts: Sequence[int] = ()

    def assert_balanced(self) -> None:
        """Nothing lost, nothing twice, nothing paid again but what was in flight, and every file says so."""
        results, ledger = scan_results(self.output).collect(), scan_ledger(self.output).collect()
        self._assert_answered_once(results)
        self._assert_attempts_closed(ledger)
        self._assert_every_request_entered(ledger)
        self._assert_paid_again_at_most_what_was_in_flight(ledger)
        self._assert_sums_agree(results, ledger)
        self._assert_files_are_as_listed()

    def _assert_answered_once(self, results: pl.DataFrame) -> None:
        expected = {(f"r{number}", "succeeded", answer_to(number)) for number in range(self.count)}
        assert results.height == self.count
        assert set(results.select("record_id", "status", "response").iter_rows()) == expected

    def _assert_files_are_as_listed(self) -> None:
        manifest = read_manifest(self.output)
        assert manifest is not None
        assert [part.path for part in manifest.parts() if part.replacement is not None] == []
        assert part_findings(self.output, manifest) == []

    def _assert_every_request_entered(self, ledger: pl.DataFrame) -> None:
        asked = Counter(f"r{record}" for leg in (self.drafts, *self.asked) for record in leg)
        entered = Counter(ledger["record_id"].to_list())
        unknown = Counter(ledger.filter(outcome="unknown")["record_id"].to_list())
        assert not asked - entered, "requests that the ledger does not know"
        assert not (entered - asked) - unknown, "rows of requests that were never made"

    def _assert_paid_again_at_most_what_was_in_flight(self, ledger: pl.DataFrame) -> None:
        for number, leg in enumerate(self.asked):
            later = {record for leg in self.asked[number + 1 :] for record in leg}
            again = set(leg) & later
            assert len(again) <= self.slots, f"{len(again)} paid again after a kill with {self.slots} slots"
        open_attempts = ledger.filter(verdict="retry").group_by("run_id").len()["len"].to_list()
        assert all(count <= self.slots for count in open_attempts), open_attempts
        assert len(open_attempts) < len(self.asked)

    def _assert_sums_agree(self, results: pl.DataFrame, ledger: pl.DataFrame) -> None:
        cost = ledger["cost_usd"].sum()
        assert cost == results["cost_usd"].sum()
        assert results["attempts"].sum() == ledger.height
        assert cost * 10**12 >= PICODOLLARS_A_REQUEST * sum(map(len, (self.drafts, *self.asked)))

    def _assert_attempts_closed(self, ledger: pl.DataFrame) -> None:
        """Attempts of a record are numbered without gaps; the last was accepted, and a stop ended those before."""
        by_record = ledger.sort("attempt").group_by("record_id", maintain_order=True)
        for record, attempts, verdicts, errors in by_record.agg(
            "attempt", "verdict", "error_type"
        ).iter_rows():
            assert attempts == list(range(1, len(attempts) + 1)), record
            first = int(len(attempts) > 1 and int(record[1:]) in self.drafts)
            assert verdicts[:first] == ["accept"] * first, record
            assert verdicts[first:] == ["retry"] * (len(attempts) - 1 - first) + ["accept"], record
            assert set(errors[first:-1]) <= {"unknown_outcome", "cancelled_by_run"}, record
            assert errors[-1] is None, record
