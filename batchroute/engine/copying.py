"""Copying the dataset to object storage beside a run: a thread of its own, which never holds the run up."""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Self

from msgspec import structs

from batchroute.core.errors import OutputError
from batchroute.engine.endings import Ended
from batchroute.io.buckets import StorageError
from batchroute.io.copies import DatasetCopy
from batchroute.io.manifest import MANIFEST_NAME
from batchroute.job.jobs import Job

_GIVES_WAY: Final = frozenset({0, 3, 4})
"""Exit codes that an incomplete copy takes the place of: the others tell what is to be mended first."""


class Copying:
    """Copies what is finished whenever it is told that there is more; `finished` does the rest.

    Used as a `with` block around a run. What fails in between is tried again at the end, and told there.
    """

    def __init__(self, job: Job, url: str, *, fresh: bool) -> None:
        """Raises JobError where what speaks to object storage is not installed, OutputError where access is refused."""
        unseen = not fresh and not (job.output.path / MANIFEST_NAME).exists()  # told before a run writes one
        self._copy = DatasetCopy(job, url, unseen=unseen)
        self._due = threading.Event()
        self._over = False

    def __enter__(self) -> Self:
        # A daemon: a storage that hangs keeps no process from ending.
        threading.Thread(target=self._go_on, name="copying", daemon=True).start()
        return self

    def __exit__(self, broken: type[BaseException] | None, *_: object) -> None:
        self._over = True
        self._due.set()
        if broken is not None:
            self._copy.give_up()

    def due(self) -> None:
        """More is finished."""
        self._due.set()

    async def check(self) -> None:
        """Raise OutputError where nothing could ever be copied before somebody mends it."""
        await _beside(self._copy.check)

    async def finished(self, ended: Ended, *, within_s: float | None) -> Ended:
        """Copy what is left of a run that has ended, and how it has ended with that.

        Whoever has interrupted it does not wait for a copy, and nobody for longer than `within_s` seconds, if that is
        set: the next run goes on with it.
        """
        if ended.exit_code > 128:
            self._copy.give_up()
            return ended
        try:
            async with asyncio.timeout(within_s):
                await _beside(self._copy.bring_up_to_date)
        except TimeoutError:
            self._copy.give_up()
            return _incomplete(ended, self._copy.url, "the deadline has come")
        except (StorageError, OutputError) as error:
            return _incomplete(ended, self._copy.url, str(error))
        return ended

    def _go_on(self) -> None:
        while self._due.wait() and not self._over:
            self._due.clear()
            with suppress(StorageError, OutputError):
                self._copy.bring_up_to_date()


def _incomplete(ended: Ended, url: str, why: str) -> Ended:
    warnings = (*ended.warnings, f"the copy in {url} is incomplete: {why}")
    if ended.exit_code not in _GIVES_WAY:
        return structs.replace(ended, warnings=warnings)
    return structs.replace(
        ended,
        exit_code=OutputError.exit_code,
        event=OutputError.event,
        reason=ended.reason or f"the copy in {url} is incomplete; the same command goes on with it",
        warnings=warnings,
    )


async def _beside(work: Callable[[], None]) -> None:
    """Do this in a thread that a process need not wait for when it ends."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[None] = loop.create_future()

    def settle(error: BaseException | None) -> None:
        if done.cancelled():
            return
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)

    def work_and_tell() -> None:
        error: BaseException | None = None
        try:
            work()
        except BaseException as raised:  # noqa: BLE001  raised again where it is waited for
            error = raised
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle, error)

    threading.Thread(target=work_and_tell, name="copying", daemon=True).start()
    await done
