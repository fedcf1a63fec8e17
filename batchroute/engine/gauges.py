"""A run in numbers for Prometheus, as a file that node_exporter's textfile collector reads.

The collector reads *.prom, wants files renamed into place, and refuses timestamps
(github.com/prometheus/node_exporter, "Textfile Collector"; text format 0.0.4 of
prometheus.io/docs/instrumenting/exposition_formats; both read 2026-11).
"""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from batchroute.core.money import usd
from batchroute.engine.clock import Clock
from batchroute.engine.tally import Progress
from batchroute.io.files import replace_beside

LOG: Final = logging.getLogger("batchroute")
WRITE_INTERVAL_S: Final = 15.0
MODE: Final = 0o644
"""The collector is another user, and these are counts."""


class Gauge(NamedTuple):
    """One metric: its name without the prefix, what it says, and its values by labels."""

    name: str
    says: str
    values: list[tuple[dict[str, str], float]]


class Gauges:
    """Keeps one file up to date, about four times a minute, and once more at the end."""

    def __init__(self, path: Path, job: str, clock: Clock) -> None:
        self._path = path
        self._job = job
        self._clock = clock
        self._started_at = clock.wall()
        self._due = clock.now()
        self._seen: Progress | None = None
        self._broken = False

    def watch(self, progress: Progress) -> None:
        """Write when it is time to."""
        self._seen = progress
        if self._clock.now() >= self._due:
            self._due = self._clock.now() + WRITE_INTERVAL_S
            self._write(None)

    def close(self, exit_code: int, progress: Progress | None = None) -> None:
        """Write how the run ended."""
        self._seen = progress or self._seen
        self._write(exit_code)

    def _write(self, exit_code: int | None) -> None:
        ended_at = None if exit_code is None else self._clock.wall()
        told = [*run_gauges(self._started_at, ended_at, exit_code)]
        if self._seen is not None:
            told += progress_gauges(self._seen)
        try:
            replace_beside(self._path, exposition(self._job, told).encode(), MODE)
        except OSError as error:
            if not self._broken:
                LOG.warning("output.metrics %s cannot be written: %s", self._path, error.strerror)
            self._broken = True


def run_gauges(started_at: float, ended_at: float | None, exit_code: int | None) -> Iterator[Gauge]:
    """When the run began and ended; what is not known yet is absent."""
    yield Gauge("run_running", "1 while the run goes on, 0 when it has ended.", [({}, exit_code is None)])
    yield Gauge("run_start_timestamp_seconds", "When the run began.", [({}, started_at)])
    if ended_at is not None and exit_code is not None:
        yield Gauge("run_end_timestamp_seconds", "When the run ended.", [({}, ended_at)])
        yield Gauge("run_exit_code", "The exit code of the run; 0: all records succeeded.", [({}, exit_code)])


def progress_gauges(progress: Progress) -> Iterator[Gauge]:
    """Records, money and models, as far as the run is."""
    records = {
        name: getattr(progress, name) for name in ("succeeded", "failed", "degraded", "skipped", "in_motion")
    }
    yield Gauge("run_duration_seconds", "How long the run has taken.", [({}, progress.elapsed_s)])
    yield Gauge(
        "run_records",
        "Records of this run; skipped ones were finished before.",
        [({"status": name}, count) for name, count in records.items()],
    )
    if progress.total is not None:
        yield Gauge("run_input_records", "Records of the input.", [({}, progress.total)])
    yield Gauge(
        "run_failed_over_records",
        "Records that their first choice could not answer.",
        [({}, progress.failed_over)],
    )
    yield Gauge("run_cost_usd", "What the run has spent, as far as prices are known.", [({}, _usd(progress))])
    yield Gauge("run_unpriced_attempts", "Attempts of unknown price.", [({}, progress.unpriced)])
    for name, says in (("attempts", "Attempts that ended."), ("errors", "Attempts that failed.")):
        values = [({"model": pool.model}, getattr(pool, name)) for pool in progress.pools]
        yield Gauge(f"run_model_{name}", says, values)
    up = [({"model": pool.model}, float(pool.state == "closed")) for pool in progress.pools]
    yield Gauge("run_model_up", "1 unless the model is paused or left out.", up)


def exposition(job: str, gauges: list[Gauge]) -> str:
    """The gauges in Prometheus' text format."""
    return "".join(line for gauge in gauges for line in _lines(job, gauge))


def _lines(job: str, gauge: Gauge) -> Iterator[str]:
    name = f"batchroute_{gauge.name}"
    yield f"# HELP {name} {gauge.says}\n# TYPE {name} gauge\n"
    for labels, value in gauge.values:
        told = ",".join(f'{label}="{_escaped(word)}"' for label, word in {"job": job, **labels}.items())
        yield f"{name}{{{told}}} {float(value)!r}\n"


def _escaped(word: str) -> str:
    return word.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")


def _usd(progress: Progress) -> float:
    return float(usd(progress.cost))
