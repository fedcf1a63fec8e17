"""One output directory and what happens to it: runs, kills, and the books afterwards."""

import asyncio
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from batchroute.engine.verifications import Routes, verify
from batchroute.job.choices import flat
from batchroute.report.routes import refresh_routes, routes_agree
from batchroute.report.scans import scan_ledger, scan_routes
from tests.cli.jobs import write_job
from tests.crashes.billing import BillingProvider
from tests.crashes.books import Books
from tests.crashes.children import run_job
from tests.forks import KILLED, forked

ENDS_WITHIN_S = 60.0
LOOK_S = 0.001


@dataclass(frozen=True)
class Kill:
    """A run that was killed, and how many requests the provider had been sent by all runs until then."""

    asked_after: int


@dataclass
class History:
    """Runs of one job over `count` records, killed and started again."""

    folder: Path
    provider: BillingProvider
    count: int
    slots: int
    route: dict[str, Any] = field(default_factory=lambda: {"models": ["m"]})
    """The only route. Its models share the slots."""
    kills: list[Kill] = field(default_factory=list)
    finished: bool = False

    def __post_init__(self) -> None:
        self.folder.mkdir(exist_ok=True)
        self.began = len(self.provider.bill())
        models = flat(self.route["models"])
        limits = {"concurrency": self.slots // len(models)}
        self.job = write_job(
            self.folder,
            count=self.count,
            providers={"p": {"base_url": self.provider.url, "api_key": "key-of-the-test"}},
            models={
                name: {
                    "provider": "p",
                    "limits": limits,
                    "timeout": "10s",
                    "price": {"input": 1, "output": 2},
                }
                for name in models
            },
            routes={"default": self.route},
            baseline=None,
        )

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def bill(self) -> list[int]:
        return self.provider.bill()[self.began :]

    def parts(self) -> dict[Path, bytes]:
        return {part: part.read_bytes() for part in self.output.glob("*/part-*.parquet")}

    def run(self, *, killed_after_s: float = ENDS_WITHIN_S, killed_after_requests: int | None = None) -> None:
        """One run, killed after so long, or as soon as it has sent so many requests, unless it has ended before."""
        said = self.folder / "said"
        before = self.provider.asked
        process = forked(run_job, self.job, said=said)
        if killed_after_requests is None:
            process.join(killed_after_s)
        else:
            while self.provider.asked < before + killed_after_requests and process.is_alive():
                process.join(LOOK_S)
        process.kill()
        process.join()
        if process.exitcode == KILLED:
            self.kills.append(Kill(len(self.bill())))
        else:
            assert process.exitcode == 0, said.read_text()
            self.finished = True


def assert_balanced(history: History) -> int:
    """The books balance, every file is as it was written, and one more run changes none and sends nothing.

    Returns how many requests were out when a run was killed.
    """
    bill = history.bill()
    ends = [0, *(kill.asked_after for kill in history.kills), len(bill)]
    asked = [bill[start:end] for start, end in pairwise(ends)]
    Books(output=history.output, count=history.count, slots=history.slots, asked=asked).assert_balanced()
    cost = scan_ledger(history.output).select("cost_usd").sum().collect().item()
    assert scan_routes(history.output).select("cost_usd").sum().collect().item() == cost

    routes = Routes(agree=routes_agree, write=refresh_routes)
    assert asyncio.run(verify(history.output, routes)).findings == []
    before = history.parts()
    history.run()
    assert len(history.bill()) == len(bill)
    assert history.parts() == before
    return scan_ledger(history.output).filter(error_type="unknown_outcome").collect().height
