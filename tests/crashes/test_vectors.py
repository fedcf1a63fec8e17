"""Runs that ask for vectors, killed with bundles in flight: nothing is lost, and only those are asked again."""

import json
from collections import Counter
from pathlib import Path
from subprocess import Popen

import polars as pl

from batchroute.report.scans import scan_ledger, scan_results
from tests.builders import records, write_records
from tests.cli.processes import batchroute, started
from tests.cli.receivers import Received, Reply, receiving

COUNT, BATCH, SLOTS = 400, 8, 4
IN_FLIGHT = BATCH * SLOTS
JOB = """
job: vectors
input: {{path: in.jsonl, id: id}}
output: {{path: out}}
endpoint: embeddings
embeddings: {{batch: {batch}}}
prompt: {{user: "{{{{ text }}}}"}}
providers: {{p: {{base_url: "{url}/v1"}}}}
models: {{m: {{provider: p, price: {{input: 1, output: 0}}, limits: {{concurrency: {slots}}}}}}}
routes: {{default: {{models: [m]}}}}
"""


class Killer:
    """Answers with a vector for each text, and kills the run in the middle of some requests."""

    def __init__(self) -> None:
        self.asked: Counter[str] = Counter()
        self.requests = 0
        self.victim: Popen[str] | None = None
        self.when = 0

    def __call__(self, received: Received) -> Reply:
        texts = json.loads(received.body)["input"]
        self.asked.update(texts)
        self.requests += 1
        if self.victim is not None and self.requests >= self.when:
            self.victim.kill()
        listed = [{"index": n, "embedding": [len(text), n]} for n, text in enumerate(texts)]
        usage = {"prompt_tokens": 3 * len(texts), "total_tokens": 3 * len(texts)}
        return Reply(body=json.dumps({"data": listed, "model": "m", "usage": usage}).encode())


def test_a_run_killed_with_bundles_in_flight_loses_none_and_asks_only_those_again(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(COUNT))
    killer = Killer()
    kills = (1, 12, 30)
    with receiving(killer) as server:
        (tmp_path / "job.yaml").write_text(JOB.format(batch=BATCH, slots=SLOTS, url=server.url))
        for killer.when in kills:
            killer.victim = started("run", tmp_path / "job.yaml", "--quiet")
            killer.victim.communicate()
            assert killer.victim.returncode == -9
        killer.victim = None
        last = batchroute("run", tmp_path / "job.yaml", "--quiet")

    results, ledger = scan_results(tmp_path / "out").collect(), scan_ledger(tmp_path / "out").collect()
    assert last.returncode == 0, last.stderr
    assert results["record_id"].n_unique() == results.height == COUNT
    assert results["vector"].null_count() == 0
    assert killer.asked.total() <= COUNT + len(kills) * IN_FLIGHT
    unknown = ledger.filter(pl.col("error_type") == "unknown_outcome")
    assert killer.asked.total() - COUNT <= unknown.height <= len(kills) * IN_FLIGHT
    assert set(unknown["cost_basis"]) == {"upper_bound"}
    assert ledger["cost_usd"].sum() == results["cost_usd"].sum()
