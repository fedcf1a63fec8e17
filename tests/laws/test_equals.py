"""Records that ask the same, in any order, killed at any moment: each has one result, each request is paid for once."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.responses import ErrorType
from batchroute.engine import pipeline
from batchroute.engine.runs import run
from batchroute.report.scans import scan_ledger, scan_results
from tests.builders import job, write_records
from tests.fakes import Script, ScriptedProvider, Sent, answer, failure, virtual_clock
from tests.laws.laws import MEMORY, SCALE, examples
from tests.laws.legs import Camera, ThreadsTakeTime

pytestmark = pytest.mark.timeout(180 * SCALE)


def scripts(poisoned: int, unlucky: int, camera: Camera) -> dict[str, Script]:
    """Models a and b: one text is refused, another one gets nothing but empty answers."""

    def script(sent: Sent) -> tuple[float, object]:
        camera.moment()
        if b"text %d!" % poisoned in sent.request.messages:
            return 0.1, failure(ErrorType.BAD_REQUEST)
        if b"text %d!" % unlucky in sent.request.messages:
            return 0.1, failure(ErrorType.EMPTY_ANSWER)
        return 0.1 + sent.number % 3, answer(sent.request.messages.decode())

    return {"a": script, "b": script}  # type: ignore[dict-item]


def travelled(folder: Path, provider: ScriptedProvider, camera: Camera, seed: int) -> None:
    async def go() -> None:
        await run(
            job(folder, window=16),
            pipeline.Options(),
            conclude=lambda ended: ended,
            clock=virtual_clock(seed),
            connect=provider.connect,
        )

    loop = ThreadsTakeTime(seed, camera)
    try:
        loop.run_until_complete(go())
    finally:
        loop.close()


@examples(20)
@given(
    texts=st.lists(st.integers(0, 6), min_size=1, max_size=60),
    moment=st.integers(1, 60),
    part_records=st.integers(1, 20),
    seed=st.integers(0, 9),
)
def test_equal_records_share_one_paid_answer_whenever_the_run_is_killed(
    texts: list[int], moment: int, part_records: int, seed: int
) -> None:
    with (
        tempfile.TemporaryDirectory(dir=MEMORY) as name,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(pipeline, "PART_RECORDS", part_records)
        folder, image = Path(name) / "run", Path(name) / "image"
        for each in (folder, image):
            each.mkdir()
            write_records(
                each / "in.jsonl",
                [{"id": f"r{number}", "text": f"text {text}!"} for number, text in enumerate(texts)],
            )
        camera = Camera(folder / "out", image / "out", moment)
        first = ScriptedProvider(scripts(0, 1, camera))
        travelled(folder, first, camera, seed)
        again = ScriptedProvider(scripts(0, 1, Camera(folder, folder, 0)))
        if camera.taken_at is not None:
            travelled(image, again, Camera(folder, folder, 0), seed)

        assert_each_has_one_result(folder, texts)
        sent = [log.request.messages for log in first.log]
        good = [messages for messages in sent if b"text 0!" not in messages and b"text 1!" not in messages]
        assert len(good) == len(set(good)) == len(set(texts) - {0, 1})
        if camera.taken_at is not None:
            assert_each_has_one_result(image, texts)
            answered = {log.request.messages for log in first.log if log.at < camera.taken_at - 4}
            assert not {log.request.messages for log in again.log} & answered & set(good)


def assert_each_has_one_result(folder: Path, texts: list[int]) -> None:
    results, ledger = scan_results(folder / "out").collect(), scan_ledger(folder / "out").collect()
    by_id = {row["record_id"]: row for row in results.iter_rows(named=True)}
    assert len(by_id) == results.height == len(texts)
    assert results["cost_usd"].sum() == ledger["cost_usd"].sum()
    assert results["attempts"].sum() == (ledger["attempt"] > 0).sum()
    for number, text in enumerate(texts):
        row = by_id[f"r{number}"]
        assert row["status"] == ("failed" if text in (0, 1) else "succeeded")
        assert text in (0, 1) or f"text {text}!" in row["response"]
