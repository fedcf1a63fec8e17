"""Runs of a world on the virtual clock: to their end, stopped on the way, or killed."""

import asyncio
import contextlib
import io
import shutil
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, TypeVar, TypeVarTuple, Unpack

import polars as pl
import pytest

from batchroute.core.errors import InterruptedRunError
from batchroute.core.responses import Outcome
from batchroute.engine import pipeline, stops
from batchroute.engine.endings import Ended
from batchroute.engine.pipeline import Options
from batchroute.engine.runs import run
from batchroute.engine.tally import Progress
from batchroute.io import spools
from batchroute.io.manifest import Manifest, read_manifest
from batchroute.report.scans import scan_ledger, scan_results
from batchroute.routing import prefixes
from tests.builders import job
from tests.fakes import Script, ScriptedProvider, Sent, virtual_clock
from tests.laws.worlds import World
from tests.virtual_clock import VirtualClockLoop, throttlers_on_loop_time

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LONGEST_S = 6 * 3600.0
"""What no world takes: fifty records, some attempts each, at half a request a second, with cooldowns."""
CPU_S = 6.0
LOOK_S, SELDOM_S = 0.5, 2.0
"""How often a run is looked at: twice a second, and twice as seldom with every look at which nothing had moved."""
THREAD_S = 0.02


class StuckError(Exception):
    """A run used the processor for seconds without getting anywhere."""


@dataclass(frozen=True, slots=True)
class Stop:
    """When a run is stopped, in seconds after its beginning, and how."""

    at: float
    how: str
    """`signal` stops it, `signals` twice within a second, `cancel` cancels whoever awaits it."""


@dataclass(frozen=True)
class Leg:
    """One run: how it ended (None: it was cut off), what it sent, what was seen, and what it left."""

    ended: Ended | None
    provider: ScriptedProvider
    seen: list[tuple[float, Progress]]
    results: pl.DataFrame
    ledger: pl.DataFrame
    manifest: Manifest | None
    complaints: list[str]


@dataclass
class Camera:
    """Copies the output directory at one moment, as a kill would leave it."""

    output: Path
    image: Path
    at: int
    """Which of the moments, counted from 1: a request is sent, a job is given to a thread, is done there."""
    moments: int = 0
    taken_at: float | None = None

    def moment(self) -> None:
        self.moments += 1
        if self.moments == self.at:
            self.taken_at = asyncio.get_running_loop().time()
            shutil.copytree(self.output, self.image)


class ThreadsTakeTime(VirtualClockLoop):
    """What a thread does is done at once, but heard of a moment later: others go on in between."""

    def __init__(self, seed: int, camera: Camera) -> None:
        super().__init__(seed=seed, limit=LONGEST_S)
        self._pause = Random(seed)
        self._camera = camera

    def run_in_executor(
        self, executor: Any, func: Callable[[Unpack[Ts]], T], *args: *Ts
    ) -> "asyncio.Future[T]":
        self._camera.moment()
        done = super().run_in_executor(executor, func, *args)
        self._camera.moment()
        heard: asyncio.Future[T] = self.create_future()
        heard.add_done_callback(lambda _: _forget(done) if heard.cancelled() else None)
        self.call_later(self._pause.random() * THREAD_S, _tell, heard, done)
        return heard


def _tell(heard: "asyncio.Future[T]", done: "asyncio.Future[T]") -> None:
    if heard.cancelled():
        return
    if (error := done.exception()) is not None:
        heard.set_exception(error)
    else:
        heard.set_result(done.result())


def _forget(done: "asyncio.Future[Any]") -> None:
    """A file that was opened for somebody who has gone: nobody else closes it."""
    if done.exception() is None and isinstance(opened := done.result(), io.IOBase):
        opened.close()


@dataclass
class _Seen:
    """What reached the watch, with the time, and what the loop complained of."""

    progress: list[tuple[float, Progress]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def watch(self, progress: Progress) -> None:
        still = bool(self.progress) and _moved(self.progress[-1][1]) == _moved(progress)
        pipeline.WATCH_INTERVAL_S = min(2 * pipeline.WATCH_INTERVAL_S, SELDOM_S) if still else LOOK_S
        self.progress.append((asyncio.get_running_loop().time(), progress))

    def complain(self, _: asyncio.AbstractEventLoop, what: dict[str, Any]) -> None:
        self.complaints.append(f"{what.get('message')}: {what.get('exception')!r}")


def _moved(seen: Progress) -> tuple[object, ...]:
    """What is another one once a request has left, an answer has come, or a pool has opened or closed."""
    return seen.in_motion, [(pool.attempts, pool.in_flight, pool.waiting, pool.state) for pool in seen.pools]


def travel(
    world: World,
    folder: Path,
    scripts: Mapping[str, Script],
    *,
    leg: int = 0,
    stop: Stop | None = None,
    camera: Camera | None = None,
    options: Options | None = None,
) -> Leg:
    """One run of the world's job over folder/in into folder/out."""
    output = folder / "out"
    camera = camera or Camera(output, output, at=0)
    provider, seen = ScriptedProvider(_photographed(scripts, camera)), _Seen()
    seed = 1000 * world.seed + leg

    async def started() -> Ended | None:
        asyncio.get_running_loop().set_exception_handler(seen.complain)
        going = run(
            job(folder, **world.job_fields(folder)),
            options or Options(),
            clock=virtual_clock(seed),
            connect=provider.connect,
            conclude=lambda ended: ended,
            watch=seen.watch,
        )
        with _stopping(stop):
            try:
                async with asyncio.timeout(stop.at if stop and stop.how == "cancel" else None):
                    return await going
            except TimeoutError:
                return None
            except InterruptedRunError:
                assert stop is not None
                assert stop.how == "signals"
                return None

    with (
        _small_numbers(world),
        _not_stuck(),
        throttlers_on_loop_time(),
        asyncio.Runner(loop_factory=lambda: ThreadsTakeTime(seed, camera)) as runner,
    ):
        ended = runner.run(started())
    return Leg(
        ended,
        provider,
        seen.progress,
        scan_results(output).collect(),
        scan_ledger(output).collect(),
        read_manifest(output),
        seen.complaints,
    )


def _photographed(scripts: Mapping[str, Script], camera: Camera) -> Mapping[str, Script]:
    def photographed(script: Script) -> Script:
        def asked(sent: Sent) -> tuple[float, Outcome]:
            camera.moment()
            return script(sent)

        return asked

    return {name: photographed(script) for name, script in scripts.items()}


@contextlib.contextmanager
def _stopping(stop: Stop | None) -> Iterator[None]:
    """Signals at their times, as long as the run listens to them."""
    if stop is None or stop.how == "cancel":
        yield
        return
    loop = asyncio.get_running_loop()
    times = [stop.at] if stop.how == "signal" else [stop.at, stop.at + 0.7]
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    timers = [loop.call_later(at, _terminate) for at in times]
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        signal.signal(signal.SIGTERM, before)


def _terminate() -> None:
    if signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        signal.raise_signal(signal.SIGTERM)


@contextlib.contextmanager
def _small_numbers(world: World) -> Iterator[None]:
    """What a large input does to a run, with few records: parts while it goes on, and spools on the disk.

    No world fills the disk, so its room is looked at each minute and not each second of the hours that pass.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stops, "ROOM_INTERVAL_S", 60.0)
        patch.setattr(pipeline, "WATCH_INTERVAL_S", LOOK_S)
        patch.setattr(pipeline, "PART_RECORDS", world.part_records)
        patch.setattr(spools, "MEMORY_RECORDS", 8)
        patch.setattr(spools, "FRAME_RECORDS", 5)
        if world.seed % 3 == 0:  # all prompts are long, and begin alike
            patch.setattr(prefixes, "LEAST_BYTES", 0)
            patch.setattr(prefixes, "LEAST_TOKENS", 1)
            patch.setattr(prefixes, "_STEP_BYTES", 37)
        yield


@contextlib.contextmanager
def _not_stuck() -> Iterator[None]:
    """A loop that never waits never lets virtual time pass: what counts then is the processor's."""

    def stuck(number: int, frame: FrameType | None) -> None:
        raise StuckError(f"{CPU_S} s of processor time are over")

    before = signal.signal(signal.SIGVTALRM, stuck)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
