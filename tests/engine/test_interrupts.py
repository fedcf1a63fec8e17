"""Signals of a run that has nothing in flight: while it puts in order what an earlier one has left."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from batchroute.core.errors import InterruptedRunError
from batchroute.engine.clock import Clock
from batchroute.engine.endings import Ended
from batchroute.engine.exports import Exporter
from batchroute.engine.pipeline import Options
from batchroute.engine.runs import _assemble
from tests.builders import job, records, write_records
from tests.fakes import ScriptedProvider, always, answer

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)


class Slow(Exporter):
    """An export that goes on until it is let go."""

    begun: asyncio.Event
    free: asyncio.Event

    async def export(self) -> None:
        self.begun.set()
        await self.free.wait()
        await super().export()


async def interrupted(folder: Path, *numbers: signal.Signals) -> tuple[Ended, ScriptedProvider]:
    """Send signals while the run recovers; after the last one the export is let go unless the run has ended."""
    write_records(folder / "in.jsonl", records(3))
    (folder / "out").mkdir()
    provider = ScriptedProvider({"a": always(answer())})
    async with AsyncExitStack() as stack:
        pipeline = await _assemble(job(folder), Options(), Clock(), provider.connect, stack)
        own = pipeline.exporter
        slow = Slow(directory=own.directory, store=own.store, kept=own.kept, manifest=own.manifest)
        slow.begun, slow.free = asyncio.Event(), asyncio.Event()
        pipeline.exporter = slow
        running = asyncio.ensure_future(pipeline.run(None))  # noqa: TID251  the test is its parent
        await slow.begun.wait()
        for number in numbers:
            os.kill(os.getpid(), number)
        await asyncio.wait([running], timeout=0.2)
        slow.free.set()
        return await running, provider


async def test_the_first_signal_lets_recovery_finish_and_sends_nothing(tmp_path: Path) -> None:
    ended, provider = await interrupted(tmp_path, signal.SIGTERM)
    assert (ended.exit_code, ended.event, ended.cut_off) == (143, "failure", False)
    assert provider.log == []


@pytest.mark.parametrize(
    ("numbers", "exit_code"),
    [((signal.SIGINT, signal.SIGTERM), {130, 143}), ((signal.SIGTERM, signal.SIGINT), {130, 143})],
)
async def test_the_second_one_does_not_wait_for_it(
    tmp_path: Path, numbers: tuple[signal.Signals, ...], exit_code: set[int]
) -> None:
    with pytest.raises(InterruptedRunError, match="the same command goes on") as caught:
        await interrupted(tmp_path, *numbers)
    assert caught.value.exit_code in exit_code  # whichever the loop hears first


async def test_other_signals_change_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    ended, provider = await interrupted(tmp_path, signal.SIGHUP, signal.SIGUSR1, signal.SIGHUP)
    assert (ended.exit_code, ended.succeeded) == (0, 3)
    assert "engine/pipeline.py" in caplog.text
    assert len(provider.log) == 3


async def test_signals_mean_afterwards_what_they_meant_before(tmp_path: Path) -> None:
    before = [signal.getsignal(number) for number in SIGNALS]
    await interrupted(tmp_path, signal.SIGHUP)
    assert [signal.getsignal(number) for number in SIGNALS] == before
