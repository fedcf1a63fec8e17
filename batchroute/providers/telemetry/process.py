"""The exporting process as a run sees it: something to be told of attempts, which never waits and never fails.

The SDK takes about 0.3 ms of CPU an attempt (2026-11), more than the run itself, and its faults are its own: that is
why it runs beside the run and not in it.
"""

import asyncio
import logging
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

import msgspec

from batchroute.core.attempts import Attempt
from batchroute.core.conventions import Subject
from batchroute.core.errors import JobError
from batchroute.providers.children import environment, module_command
from batchroute.providers.telemetry.frames import Word, frame, opening

LOG: Final = logging.getLogger("batchroute")
START_S: Final = 10.0
"""How long a run that has ended waits for the process to begin; that depends on this machine alone."""
PATIENCE_S: Final = 3.0
"""How long it then waits for any sign that its attempts are being taken."""
HURRIED_S: Final = 0.5
"""The same, where the run was told to end at once, or it is known that something is wrong."""
MOST_S: Final = 30.0
MOST_WAITING_BYTES: Final = 8 << 20
"""What is not taken by then is let go: some 30,000 attempts."""
_GONE: Final = "the process that exports has ended"
_PACKAGES: Final = ("opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-http")


class Telemetry(asyncio.SubprocessProtocol):
    """One process that exports the attempts of one run. What goes wrong with it is told once, as a warning."""

    def __init__(self) -> None:
        self._transport: Any = None
        self._pipe: Any = None
        self._heard = b""
        self._told = self._done = 0
        self._trouble: str | None = None
        self._begun = self._warned = False
        self._moved = asyncio.Event()
        self._ended = asyncio.Event()

    @classmethod
    async def started(cls, subject: Subject) -> "Telemetry":
        """Raises JobError where the extra is not installed."""
        _refuse_without_extra()
        loop = asyncio.get_running_loop()
        telemetry = cls()
        await loop.subprocess_exec(
            lambda: telemetry,
            *module_command("batchroute.providers.telemetry"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(),
            start_new_session=True,  # a signal from the terminal is for the run
        )
        telemetry._pipe.write(opening(subject))
        return telemetry

    def tell(self, ended: Sequence[tuple[int, Attempt]]) -> None:
        """Export these attempts some time, beside the numbers of their records. Takes no longer than to encode them."""
        if not ended:
            return
        self._told += len(ended)
        try:
            if self._pipe.is_closing():
                self._warn(_GONE)
            elif self._pipe.get_write_buffer_size() > MOST_WAITING_BYTES:
                self._warn("attempts end faster than spans are taken")
            else:
                self._pipe.write(frame([attempt for _, attempt in ended]))
        except Exception as error:  # noqa: BLE001  whatever it is, it must not reach the run
            self._warn(f"{type(error).__name__}: {error}")

    async def finish(self, *, hurried: bool) -> None:
        """Wait for what is left, as long as it is being taken, and end the process."""
        self._pipe.close()
        try:
            async with asyncio.timeout(HURRIED_S if hurried else MOST_S):
                while not self._ended.is_set() and await self._moves(hurried=hurried):
                    pass
        except TimeoutError:
            pass
        finally:
            gone = self._ended.is_set()
            await self._end()
        if self._done < self._told or not gone:
            self._warn(_GONE if gone else "the run has ended before all was taken")

    async def _moves(self, *, hurried: bool) -> bool:
        self._moved.clear()
        patience_s = HURRIED_S if hurried or self._trouble else PATIENCE_S if self._begun else START_S
        try:
            async with asyncio.timeout(patience_s):
                await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def _end(self) -> None:
        if not self._ended.is_set():
            with suppress(ProcessLookupError, TimeoutError):
                self._transport.kill()
                async with asyncio.timeout(HURRIED_S):
                    await self._ended.wait()
        self._transport.close()

    def _warn(self, otherwise: str) -> None:
        """Say once why attempts are not exported, by what the process told last."""
        if not self._warned:
            self._warned = True
            LOG.warning(
                "--otel: %s. %s attempt(s) are not exported so far; the run does not depend on it",
                self._trouble or otherwise,
                f"{self._told - self._done:,}",
            )

    # What the event loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._pipe = self._transport.get_pipe_transport(0)

    def pipe_data_received(self, fd: int, data: bytes | str) -> None:  # noqa: ARG002  it has one pipe to write to
        assert isinstance(data, bytes)
        *lines, self._heard = (self._heard + data).split(b"\n")
        for line in lines:
            with suppress(msgspec.DecodeError):  # what some library prints
                self._hear(Word.read(line))
        self._moved.set()

    def process_exited(self) -> None:
        self._ended.set()
        self._moved.set()

    def _hear(self, word: Word) -> None:
        self._begun = True
        if word.trouble is None:
            self._done, self._trouble = max(self._done, word.done), None
            return
        self._trouble = word.trouble
        if not word.passing:
            self._warn(word.trouble)


def _refuse_without_extra() -> None:
    try:
        for package in _PACKAGES:
            version(package)
    except PackageNotFoundError as error:
        raise JobError(
            f"--otel needs {error.name}, which is not installed. "
            "Run: pip install 'batchroute[opentelemetry]' [otel_extra]"
        ) from None
