"""What is measured, one function each. Every figure names its unit and, where there is one, its goal."""

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from batchroute.core.records import Record
from batchroute.job.stages import BuiltinStage
from batchroute.routing.classifiers import Classifier
from tests.benchmarks import bare_loop
from tests.benchmarks.children import CommandError, Finished, finish, finish_python
from tests.benchmarks.ledgers import write_ledger
from tests.benchmarks.workloads import Workload, one_model, records

COMMAND = "batchroute.cli.main"


@dataclass(frozen=True)
class Figure:
    """One measured number."""

    name: str
    value: float
    unit: str
    goal: str = ""


class RunRecords(msgspec.Struct):
    total: int
    succeeded: int


class RunReport(msgspec.Struct):
    """What the measures read of the object that `batchroute run --json` prints."""

    records: RunRecords
    duration_s: float
    attempts: int = 0


def end_to_end(url: str, *, count: int, concurrency: int, requests: int) -> list[Figure]:
    """The whole command from Parquet to parts, beside the bare client loop: before it and after it."""
    before = bare(url, requests=requests, concurrency=concurrency)
    finished, report = run_job(url, count=count, concurrency=concurrency)
    after = bare(url, requests=requests, concurrency=concurrency)
    # the better one counts: it is nearer to the machine's limit
    limit = max(before.requests_per_s, after.requests_per_s)
    ours = bare(url, requests=requests, concurrency=concurrency, client="wire")
    speed = count / finished.took.wall_s
    return [
        Figure("bare client loop", limit, "requests/s"),
        Figure(
            "bare client loop, CPU", min(before.cpu_us_per_request, after.cpu_us_per_request), "us/request"
        ),
        Figure("bare loop of our own wire", ours.requests_per_s, "requests/s"),
        Figure("batchroute run, whole command", speed, "records/s", ">= 15000"),
        Figure("batchroute run, its own duration", count / report.duration_s, "records/s"),
        Figure("batchroute run, CPU", finished.took.cpu_s / count * 1e6, "us/record"),
        Figure("batchroute run, peak memory", finished.took.peak_mib, "MiB", "<= 300"),
        Figure("share of the bare loop", speed / limit, "", ">= 0.45"),
    ]


def memory(url: str, *, counts: Sequence[int], concurrency: int) -> list[Figure]:
    """Peak memory of whole runs of growing size."""
    peaks = [run_job(url, count=count, concurrency=concurrency)[0].took.peak_mib for count in counts]
    figures = [
        Figure(f"peak memory, {count:,} records", peak, "MiB", "<= 300")
        for count, peak in zip(counts, peaks, strict=True)
    ]
    return [*figures, Figure("growth from the smallest to the largest", max(peaks) - peaks[0], "MiB", "flat")]


def classification(*, count: int = 100_000, batch: int = 8_192) -> list[Figure]:
    """Built-in task patterns and complexity, batch by batch, in this process."""
    classifier = Classifier([BuiltinStage(builtin="tasks")], text=_text)
    batches = [records(count)[start : start + batch] for start in range(0, count, batch)]
    classifier.classify(batches[0])
    fastest = min(_seconds(classifier, batches) for _ in range(3))
    return [Figure("rule classification", count / fastest, "records/s", ">= 500000")]


def start_up(url: str, *, rounds: int = 5) -> list[Figure]:
    """The wall time of the shortest commands, the fastest of some rounds."""
    shown = min(_batchroute("--help").took.wall_s for _ in range(rounds))
    small = min(run_job(url, count=20, concurrency=8)[0].took.wall_s for _ in range(rounds))
    return [
        Figure("batchroute --help", shown, "s", "<= 0.15"),
        Figure("a job of 20 records", small, "s", "<= 1.5"),
    ]


def durability(url: str, *, count: int, concurrency: int, rounds: int = 3) -> list[Figure]:
    """Whole runs that see to it that the disk is written beside such that do not: the fastest of some rounds each."""
    durable, undurable = list[float](), list[float]()
    for _ in range(rounds):
        for module, walls in ((COMMAND, durable), ("tests.benchmarks.undurable", undurable)):
            finished, _ = run_job(url, count=count, concurrency=concurrency, module=module)
            walls.append(finished.took.wall_s)
    return [
        Figure("batchroute run", count / min(durable), "records/s"),
        Figure("batchroute run without fsync", count / min(undurable), "records/s"),
        Figure("cost of durability", min(durable) / min(undurable) - 1, "", "<= 0.1"),
    ]


def resume(url: str, *, count: int, concurrency: int) -> list[Figure]:
    """The same command once more when all is finished."""
    with tempfile.TemporaryDirectory() as folder:
        workload = Workload(Path(folder), count, url, one_model(concurrency))
        run_workload(workload)
        again = [_batchroute("run", str(workload.job), "--json") for _ in range(3)]
        verified = _batchroute("verify", str(workload.output), "--json")
    reports = [msgspec.json.decode(each.stdout, type=RunReport) for each in again]
    return [
        Figure(f"resume of {count:,} finished records", min(r.duration_s for r in reports), "s", "<= 5"),
        Figure("resume, whole command", min(each.took.wall_s for each in again), "s"),
        Figure("resume, peak memory", max(each.took.peak_mib for each in again), "MiB", "<= 300"),
        Figure("requests that it sent", sum(r.attempts for r in reports), "", "0"),
        Figure("batchroute verify", verified.took.wall_s, "s"),
    ]


def hits(url: str, *, count: int, concurrency: int) -> list[Figure]:
    """Runs whose records need no request: all ask the same, or all were answered in an earlier run over another output.

    On all cores, as there is no provider to leave one to.
    """
    with tempfile.TemporaryDirectory() as folder:
        equal = Workload(Path(folder) / "equal", count, url, one_model(concurrency), equal=True)
        cached = Workload(Path(folder) / "cached", count, url, one_model(concurrency), cached=True)
        shared, of_equal = run_workload(equal, everywhere=True)
        run_workload(cached)
        found = _batchroute("run", str(cached.job), "--json", "--fresh", everywhere=True)
    of_cached = msgspec.json.decode(found.stdout, type=RunReport)
    figures = []
    for name, finished, report in (("equal", shared, of_equal), ("cached", found, of_cached)):
        if report.attempts > 1:
            raise CommandError(f"{report.attempts} requests were sent for {name} records")
        figures += [
            Figure(f"{name} records", count / report.duration_s, "records/s", ">= 50000"),
            Figure(f"{name} records, CPU", finished.took.cpu_s / count * 1e6, "us/record"),
        ]
    return figures


def reporting(*, attempts: int, rounds: int = 3) -> list[Figure]:
    """`batchroute report` over a generated ledger, on all cores: the fastest of some rounds."""
    with tempfile.TemporaryDirectory() as folder:
        output = str(write_ledger(Path(folder), attempts))
        told = [_report(output, "text") for _ in range(rounds)]
        page = _report(output, "html")
    return [
        Figure(f"report over {attempts:,} attempts", min(each.took.wall_s for each in told), "s", "<= 3"),
        Figure("report, CPU", min(each.took.cpu_s for each in told), "s"),
        Figure("report, peak memory", max(each.took.peak_mib for each in told), "MiB", "<= 1024"),
        Figure("report as HTML", page.took.wall_s, "s"),
    ]


def _report(output: str, kind: str) -> Finished:
    return finish(sys.executable, "-m", COMMAND, "report", output, "--format", kind, everywhere=True)


def bare(url: str, *, requests: int, concurrency: int, client: str = "pyreqwest") -> bare_loop.Pace:
    finished = finish_python("-m", "tests.benchmarks.bare_loop", url, str(requests), str(concurrency), client)
    return msgspec.json.decode(finished.stdout, type=bare_loop.Pace)


def run_job(url: str, *, count: int, concurrency: int, module: str = COMMAND) -> tuple[Finished, RunReport]:
    """Run a generated job over one model in a new folder. Raises what `run_workload` raises."""
    with tempfile.TemporaryDirectory() as folder:
        return run_workload(Workload(Path(folder), count, url, one_model(concurrency)), module=module)


def run_workload(
    workload: Workload, *, module: str = COMMAND, everywhere: bool = False
) -> tuple[Finished, RunReport]:
    """Write it and run it as a command. Raises CommandError unless every record succeeded."""
    finished = finish_python("-m", module, "run", str(workload.write().job), "--json", everywhere=everywhere)
    report = msgspec.json.decode(finished.stdout, type=RunReport)
    if not report.records.total == report.records.succeeded == workload.records:
        raise CommandError(f"{workload.records} records, but the run tells {report}")
    return finished, report


def _batchroute(*arguments: str, everywhere: bool = False) -> Finished:
    return finish_python("-m", COMMAND, *arguments, everywhere=everywhere)


def _text(batch: Sequence[Record]) -> list[str | None]:
    return [record.fields["text"] for record in batch]


def _seconds(classifier: Classifier, batches: list[list[Record]]) -> float:
    began = time.perf_counter()
    for batch in batches:
        classifier.classify(batch)
    return time.perf_counter() - began
