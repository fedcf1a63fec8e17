"""Runs that end at a step of the disk, by the hundred: `probe.py FOLDER`, cases in, reports out, a line of JSON each.

Each run is a fork of this process, on the virtual clock and against a scripted provider, so that the same case
takes the same steps. The faulty disk is preloaded; what the next run finds is what the kernel kept.
"""

import asyncio
import ctypes
import gc
import os
import shutil
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import pytest
from msgspec import Struct

from batchroute.core.errors import OutputError
from batchroute.core.responses import Outcome, Response
from batchroute.engine import pipeline
from batchroute.engine.endings import Ended
from batchroute.engine.pipeline import Options
from batchroute.engine.runs import run
from tests.builders import job, model, records, write_records
from tests.crashes.books import INPUT_TOKENS, OUTPUT_TOKENS, Books, answer_to
from tests.crashes.readers import look
from tests.fakes import ScriptedProvider, Sent, answer, virtual_clock
from tests.virtual_clock import VirtualClockLoop, throttlers_on_loop_time

COUNT, SLOTS, PART_RECORDS = 5, 2, 3
DRAFTS = 99
"""The number of the run before all others."""
LATENCY_S, SLOW_S = 0.1, 25.0
SLOW = 3
"""The record whose answer is long in coming."""
WATCH, EXIT, TEAR, FAIL_ONCE, FAIL_ON = range(5)
ENDED, EXITED, REFUSED, BROKEN = 0, 70, 74, 1


class Case(Struct, frozen=True, kw_only=True):
    """What befalls the disk, one element a run: which mode, at which step, with which errno.

    `refreshing`: a run has answered all records before, all of which but the last said something else then.
    """

    faults: tuple[tuple[int, int, int], ...]
    refreshing: bool = False


class Report(Struct, frozen=True, kw_only=True):
    """How the runs ended, how long the faulty ones took to end after their fault (seconds, virtual), the steps of the
    first run, and what was wrong in the end."""

    exits: list[int]
    lingered_s: list[float | None]
    steps: list[str]
    wrong: str | None


class _Timed(VirtualClockLoop):
    """Notes when the disk began to fail."""

    failed_at: float | None = None

    def jump(self, seconds: float | None) -> None:
        if self.failed_at is None and disk.faulty_disk_fired():
            self.failed_at = self.time()
        super().jump(seconds)


disk = ctypes.CDLL(None)


def main(folder: Path) -> None:
    """Report on every case that comes in, until there are no more."""
    job(folder)  # its types are built once, before the forks
    gc.freeze()  # or each fork copies what the collector looks at
    gc.disable()
    for line in sys.stdin.buffer:
        report = _tried(folder, msgspec.json.decode(line, type=Case))
        sys.stdout.buffer.write(msgspec.json.encode(report) + b"\n")
        sys.stdout.buffer.flush()


def _tried(folder: Path, case: Case) -> Report:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    if case.refreshing:
        drafts = [{**each, "text": f"draft of {each['text']}"} for each in records(COUNT - 1)]
        write_records(folder / "in.jsonl", [*drafts, *records(COUNT)[-1:]])
        _forked(partial(_run, folder, DRAFTS, None))
    write_records(folder / "in.jsonl", records(COUNT))
    exits, lingered = [], []
    for number, fault in enumerate(case.faults):
        exits.append(_forked(partial(_run, folder, number, fault)))
        if case.refreshing:
            _forked(partial(_look, folder))
        took = folder / f"lingered-{number}"
        lingered.append(float(took.read_text()) if took.exists() else None)
    exits.append(_forked(partial(_run_and_check, folder, len(case.faults))))
    wrong = (folder / "wrong").read_text() if (folder / "wrong").exists() else None
    steps = (folder / "steps-0").read_text().splitlines()
    return Report(exits=exits, lingered_s=lingered, steps=steps, wrong=wrong)


def _look(folder: Path) -> int:
    """Whoever reads the answers between two runs finds all of them, each once."""
    try:
        assert look(folder / "out") == COUNT
    except Exception:  # noqa: BLE001  it is told
        _note_wrong(folder)
    return ENDED


def _note_wrong(folder: Path) -> None:
    with (folder / "wrong").open("a") as wrong:
        wrong.write(traceback.format_exc())


def _forked(body: Callable[[], int]) -> int:
    child = os.fork()
    if not child:
        code = BROKEN
        try:
            code = body()
        except BaseException:  # noqa: BLE001  it is told, and ends this process
            sys.stderr.write(traceback.format_exc())
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _run(folder: Path, number: int, fault: tuple[int, int, int] | None) -> int:
    asked = os.open(folder / f"asked-{number}", os.O_WRONLY | os.O_CREAT, 0o600)
    steps = os.open(folder / f"steps-{number}", os.O_WRONLY | os.O_CREAT, 0o600)
    mode, at, error = fault or (WATCH, 0, 0)
    loop = _Timed(seed=number)
    disk.faulty_disk_arm(str(folder / "out").encode(), mode, ctypes.c_long(at), error, steps)
    try:
        with pytest.MonkeyPatch.context() as patch, throttlers_on_loop_time():
            patch.setattr(pipeline, "PART_RECORDS", PART_RECORDS)
            with asyncio.Runner(loop_factory=lambda: loop) as runner:
                runner.run(_started(folder, asked, number))
    except OutputError:
        return REFUSED
    finally:
        now = loop.time()
        disk.faulty_disk_disarm()
        if disk.faulty_disk_fired():
            (folder / f"lingered-{number}").write_text(
                str(now - (now if loop.failed_at is None else loop.failed_at))
            )
    return ENDED


async def _started(folder: Path, asked: int, number: int) -> Ended:
    def answered(sent: Sent) -> tuple[float, Outcome]:
        record = int(str(sent.request.messages).partition("question ")[2].split('"')[0].split("'")[0])
        os.write(asked, b"%d\n" % record)
        draft = "draft of " if b"draft" in sent.request.messages else ""
        text = draft + answer_to(record)
        said: Response = answer(text, input_tokens=INPUT_TOKENS, output_tokens=OUTPUT_TOKENS)
        return SLOW_S if record == SLOW else LATENCY_S, said

    provider = ScriptedProvider({"m": answered})
    limits: dict[str, Any] = {"limits": {"concurrency": SLOTS}, "timeout": "60s"}
    declared = job(folder, models={"m": model(**limits)}, routes={"default": {"models": ["m"]}})
    return await run(
        declared,
        Options(refresh_changed=True),
        clock=virtual_clock(number),
        connect=provider.connect,
        conclude=lambda ended: ended,
    )


def _run_and_check(folder: Path, number: int) -> int:
    """The last run meets a disk that works; then the books must balance."""
    if _run(folder, number, None) != ENDED:
        return REFUSED
    runs = number + 1
    asked = [_asked(folder, number) for number in range(runs)]
    books = Books(output=folder / "out", count=COUNT, slots=SLOTS, asked=asked, drafts=_asked(folder, DRAFTS))
    try:
        books.assert_balanced()
    except Exception:  # noqa: BLE001  it is told
        _note_wrong(folder)
        return BROKEN
    return ENDED


def _asked(folder: Path, number: int) -> list[int]:
    """What the provider was asked in a run, if there was one."""
    told = folder / f"asked-{number}"
    return [int(line) for line in told.read_text().split()] if told.exists() else []


if __name__ == "__main__":
    main(Path(sys.argv[1]))
