"""The exporting process, and what its end is to the run."""

import asyncio
import logging
import time

import pytest

from batchroute.core.attempts import Attempt
from batchroute.core.conventions import Subject
from batchroute.providers.telemetry.frames import Frames, Word, frame, opening
from batchroute.providers.telemetry.process import Telemetry
from tests.builders import attempt
from tests.cli.receivers import Reply, always, receiving

SUBJECT = Subject(job="test", places={}, vectors=False)
ATTEMPTS = [(number, attempt(f"r{number}")) for number in range(600)]


@pytest.mark.parametrize("size", [1, 3, 4, 5, 1_000])
def test_frames_are_put_together_from_pieces_of_any_size(size: int) -> None:
    groups = [[attempt("x")], [], [attempt("y"), attempt("z")]]
    sent = opening(SUBJECT) + b"".join(map(frame, groups))
    frames, found = Frames(), list[list[Attempt]]()

    for start in range(0, len(sent), size):
        found += frames.attempts(sent[start : start + size])

    assert frames.subject == SUBJECT
    assert found == groups


def test_a_word_is_a_line() -> None:
    word = Word(trouble="no\nluck", passing=True)

    assert word.line().count(b"\n") == 1
    assert Word.read(word.line().strip()) == word


async def test_what_is_told_is_exported_before_the_process_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    with receiving(always(Reply())) as receiver:
        monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", receiver.url)
        telemetry = await Telemetry.started(SUBJECT)
        telemetry.tell(ATTEMPTS)
        await telemetry.finish(hurried=False)

    sent = b"".join(each.body for each in receiver.received if each.path == "/v1/traces")
    assert all(f"r{number}".encode() in sent for number, _ in ATTEMPTS)
    assert receiver.received[-1].path == "/v1/metrics"


async def test_a_process_that_dies_is_told_of_once_and_holds_nobody_up(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    telemetry = await Telemetry.started(SUBJECT)
    telemetry._transport.kill()
    await telemetry._ended.wait()

    with caplog.at_level(logging.WARNING, "batchroute"):
        for _ in range(50):
            telemetry.tell(ATTEMPTS)
            await asyncio.sleep(0)
        began = time.monotonic()
        await telemetry.finish(hurried=False)

    assert time.monotonic() - began < 1
    (line,) = caplog.messages
    assert "the process that exports has ended" in line


async def test_more_than_may_wait_is_let_go_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    """Nobody reads while the loop does not turn, so that all of it waits."""
    telemetry = await Telemetry.started(SUBJECT)

    with caplog.at_level(logging.WARNING, "batchroute"):
        for _ in range(200):
            telemetry.tell(ATTEMPTS)
        await telemetry.finish(hurried=True)

    (line,) = caplog.messages
    assert "attempts end faster than spans are taken" in line
