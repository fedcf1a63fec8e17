"""The process that exports: attempts come by stdin, and what became of them is told on stdout, a line each.

It is nobody's business but the run's that started it, gives way to it, and ends when its stdin does.
"""

import logging
import os
import select
import signal
import time
from collections.abc import Callable

from batchroute.core.attempts import Attempt
from batchroute.providers.redaction import Redactor, secrets_of_url
from batchroute.providers.telemetry.exporters import Exporters
from batchroute.providers.telemetry.frames import Frames, Word

_FROM_THE_RUN, _TO_THE_RUN = 0, 1
_NICENESS = 10
_BATCH = 256
_SPANS_EVERY_S = 1.0
_METRICS_EVERY_S = 60.0
_CHUNK_BYTES = 1 << 20
_LONGEST = 300
_LEFT_S = 30

_Say = Callable[[Word], None]


class _Troubles(logging.Handler):
    """Tells on stdout what the SDK writes to its log."""

    def __init__(self, say: _Say) -> None:
        super().__init__(logging.WARNING)
        self._say = say
        secrets = [
            secret
            for name, value in os.environ.items()
            if name.startswith("OTEL_EXPORTER_OTLP") and name.endswith("ENDPOINT")
            for secret in secrets_of_url(value)
        ]
        self._redactor = Redactor(secrets)

    def emit(self, record: logging.LogRecord) -> None:
        told = self._redactor.clean(record.getMessage())[:_LONGEST]
        self._say(Word(trouble=told, passing=record.levelno < logging.ERROR))


class _Export:
    """Gathers attempts, and sends them in batches."""

    def __init__(self, frames: Frames, say: _Say) -> None:
        self._frames = frames
        self._say = say
        self._exporters: Exporters | None = None
        self._waiting: list[Attempt] = []
        self._done = 0
        self._spans_at = self._metrics_at = time.monotonic()
        self._metrics_every_s = _metrics_every_s()

    def take(self, piece: bytes) -> None:
        for attempts in self._frames.attempts(piece):
            self._waiting += attempts

    def send(self, *, all_of_it: bool = False) -> None:
        """Send what is due."""
        now = time.monotonic()
        due = all_of_it or now - self._spans_at >= _SPANS_EVERY_S
        while len(self._waiting) >= _BATCH or (due and self._waiting):
            self._send_batch()
        if all_of_it or now - self._metrics_at >= self._metrics_every_s:
            self._metrics_at = now
            if self._exporters is not None:
                self._exporters.send_metrics()

    def _send_batch(self) -> None:
        assert self._frames.subject is not None
        self._exporters = self._exporters or Exporters(self._frames.subject)
        batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
        self._exporters.count(batch)
        if self._exporters.send_spans(batch):
            self._done += len(batch)
            self._say(Word(done=self._done))
        self._spans_at = time.monotonic()


def _export(export: _Export) -> None:
    while True:
        if select.select([_FROM_THE_RUN], [], [], _SPANS_EVERY_S)[0]:
            piece = os.read(_FROM_THE_RUN, _CHUNK_BYTES)
            if not piece:
                signal.alarm(_LEFT_S)  # whoever waits has given up by then
                export.send(all_of_it=True)
                return
            export.take(piece)
        export.send()


def _metrics_every_s() -> float:
    try:
        return float(os.environ["OTEL_METRIC_EXPORT_INTERVAL"]) / 1_000
    except (KeyError, ValueError):
        return _METRICS_EVERY_S


def main() -> None:
    """Export until stdin ends, then the rest."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.nice(_NICENESS)

    def say(word: Word) -> None:
        os.write(_TO_THE_RUN, word.line())

    logging.getLogger("opentelemetry").addHandler(_Troubles(say))
    logging.getLogger("opentelemetry").propagate = False
    say(Word())
    try:
        _export(_Export(Frames(), say))
    except Exception as error:  # noqa: BLE001  told to the run, which goes on
        say(Word(trouble=f"{type(error).__name__}: {error}"[:_LONGEST]))


if __name__ == "__main__":
    main()
