"""What is measured against providers that limit, delay or fail: whole runs, seen from the provider's side."""

import random
import tempfile
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import msgspec
import polars as pl

from batchroute.job.simulation import FaultKind, SimulatedLatency, SimulatedModel, Simulation
from batchroute.providers.simulator.settings import Limits
from tests.benchmarks.measures import Figure, bare, run_workload
from tests.benchmarks.metered import Noted, Settings, metered
from tests.benchmarks.stand_ins import MODEL, TOKENS, simulator
from tests.benchmarks.workloads import Workload, one_model

LATENCY_S = 0.1


def limits(*, per_minute: Sequence[int], seconds: float) -> list[Figure]:
    """Declared limits against a provider that enforces them to the request."""
    figures = [
        figure
        for rpm in per_minute
        for figure in _limit(f"{rpm:,} requests/min", Limits(rpm=rpm), rpm / 60, seconds)
    ]
    tokens = Limits(rpm=60_000, tpm=12_000 * TOKENS)
    return [*figures, *_limit("1,200,000 tokens/min", tokens, 200.0, seconds)]


def _limit(name: str, enforced: Limits, per_second: float, seconds: float) -> list[Figure]:
    count = int(per_second * seconds)
    declared = {"concurrency": 500, "rpm": enforced.rpm, "tpm": enforced.tpm}
    with (
        metered(Settings(limits={MODEL: enforced}, latency_s=LATENCY_S)) as provider,
        tempfile.TemporaryDirectory() as folder,
    ):
        run_workload(Workload(Path(folder), count, provider.url, {MODEL: {"limits": declared}}))
        noted = provider.noted()[MODEL]
    return [
        Figure(f"{name}, used", used(noted, per_second), "", ">= 0.98"),
        Figure(f"{name}, refused", noted.refused / (noted.refused + count), "", "<= 0.001"),
    ]


def used(noted: Noted, per_second: float) -> float:
    """The share of a limit that was used from the first request to the last."""
    lasting = noted.arrivals[-1] - noted.arrivals[0]
    return (len(noted.arrivals) - 1) / (lasting * per_second)


FAULTS: dict[FaultKind, float] = dict.fromkeys(
    ("server_error", "timeout", "disconnect", "rate_limit", "malformed"), 0.06
)
"""Three requests in ten, of five kinds."""


def faults(*, count: int) -> list[Figure]:
    """A model that fails often beside a healthy one of the same price, against the same without faults."""
    healthy, _ = _beside_a_healthy_one({}, count)
    faulty, sent = _beside_a_healthy_one(FAULTS, count)
    answered, before = faulty.filter(cost_basis="usage"), spent(healthy)
    return [
        Figure("faults, records answered once", answered["record_id"].n_unique() / count, "", "1"),
        Figure("faults, answers paid for", answered.height / count, "/record", "1"),
        Figure("faults, attempts in the ledger", faulty.height / sent, "/request", "1"),
        Figure("faults, attempts", faulty.height / count, "/record"),
        Figure("faults, cost of the answers", spent(answered) / before, "", "<= 1.02"),
        Figure("faults, booked with upper bounds", spent(faulty) / before, ""),
    ]


def spent(ledger: pl.DataFrame) -> float:
    """What its attempts have cost, USD."""
    return sum(map(float, ledger["cost_usd"]))


def _beside_a_healthy_one(errors: dict[FaultKind, float], count: int) -> tuple[pl.DataFrame, int]:
    """The ledger of a run, and how many requests the provider has seen."""
    latency = SimulatedLatency.model_validate({"p50": "20ms", "p95": "60ms"})
    simulation = Simulation(
        models={
            "flaky": SimulatedModel(latency=latency, errors=errors),
            "healthy": SimulatedModel(latency=latency),
        }
    )
    declared = {"limits": {"concurrency": 64}, "timeout": "10s"}
    with simulator(simulation) as provider, tempfile.TemporaryDirectory() as folder:
        workload = Workload(Path(folder), count, provider.url, {"flaky": declared, "healthy": declared})
        run_workload(workload)
        with urllib.request.urlopen(provider.url.removesuffix("/v1") + "/health", timeout=10) as response:
            sent = msgspec.json.decode(response.read())["requests"]
        return pl.read_parquet(workload.output / "ledger" / "*.parquet"), sent


def depth(*, requests: int, in_flight: int, latency_s: float = 0.3) -> list[Figure]:
    """Many requests in flight at once, beside the bare loops of the same depth."""
    with metered(Settings(latency_s=latency_s)) as provider:
        library = bare(provider.url, requests=requests, concurrency=in_flight).requests_per_s
        ours = bare(provider.url, requests=requests, concurrency=in_flight, client="wire").requests_per_s
    with metered(Settings(latency_s=latency_s)) as provider, tempfile.TemporaryDirectory() as folder:
        _, report = run_workload(Workload(Path(folder), requests, provider.url, one_model(in_flight)))
        arrivals = provider.noted()[MODEL].arrivals
    early, late = requests // 2, requests * 9 // 10
    whole, steady = requests / report.duration_s, (late - early) / (arrivals[late] - arrivals[early])
    return [
        Figure(f"{in_flight:,} in flight, bare loop", library, "requests/s"),
        Figure(f"{in_flight:,} in flight, bare loop of our wire", ours, "requests/s"),
        Figure(f"{in_flight:,} in flight, a run", whole, "records/s"),
        Figure(f"{in_flight:,} in flight, a run, second half", steady, "records/s"),
        Figure(f"{in_flight:,} in flight, share of the bare loop", whole / library, "", ">= 0.7"),
        Figure(f"{in_flight:,} in flight, share in the second half", steady / library, ""),
    ]


def sorted_input(*, seconds: float) -> list[Figure]:
    """Input sorted by task over three pools of different speed, against the slowest pool's share of the work."""
    rates = {"chat": 300, "extract": 200, "translate": 100}
    tasks = [task for task, rate in rates.items() for _ in range(int(rate * seconds))]
    shuffled = random.Random(20).sample(tasks, len(tasks))
    return [
        Figure("sorted by task, of the bound", _duration(rates, tasks) / seconds, "", "<= 1.15"),
        Figure("shuffled, of the bound", _duration(rates, shuffled) / seconds, ""),
    ]


def _duration(rates: dict[str, int], tasks: list[str]) -> float:
    """How long a run took by its own clock, seconds."""
    limits = {task: Limits(rpm=60 * rate) for task, rate in rates.items()}
    declared = {task: {"limits": {"concurrency": 200, "rpm": 60 * rate}} for task, rate in rates.items()}
    with (
        metered(Settings(limits=limits, latency_s=LATENCY_S)) as provider,
        tempfile.TemporaryDirectory() as folder,
    ):
        return run_workload(Workload(Path(folder), len(tasks), provider.url, declared, tasks))[1].duration_s
