from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
import zstandard

from batchroute.core.responses import Usage
from batchroute.io.answers import Answers, Kept, packed, unpacked

SHORT = Kept("yes", "stop", Usage(input_tokens=12, output_tokens=1), "small-2026")
LONG = Kept("word " * 10_000, "stop", None, None)
VECTOR = Kept("", None, Usage(input_tokens=3, output_tokens=0), None, (bytes(range(256)) * 24,))


@pytest.mark.parametrize("kept", [SHORT, LONG, VECTOR])
def test_an_answer_comes_back_as_it_was_kept(kept: Kept, tmp_path: Path) -> None:
    answers = Answers(tmp_path)
    answers.keep([(b"key", kept)], at=10.0)
    found = answers.find([b"key", b"another"], since=10.0)
    assert {key: unpacked(payload) for key, payload in found.items()} == {b"key": kept}
    assert answers.find([b"key"], since=11.0) == {}
    answers.close()


@pytest.mark.parametrize(("since", "left"), [(0, 4), (20, 2), (21, 1), (31, 0)])
def test_what_is_too_old_is_dropped(tmp_path: Path, since: float, left: int) -> None:
    answers = Answers(tmp_path)
    keys = [b"a", b"b", b"c", b"d"]
    answers.keep([(b"a", SHORT), (b"b", SHORT), (b"c", SHORT)], at=10.0)
    answers.keep([(b"c", LONG)], at=20.0)
    answers.keep([(b"d", SHORT)], at=30.0)
    answers.prune(since, 1 << 30)
    assert len(answers.find(keys, since=0.0)) == left
    answers.close()


def test_only_a_long_answer_is_compressed() -> None:
    assert len(packed(LONG)) < 1_000
    assert b"yes" in packed(SHORT)


def test_answers_are_packed_and_read_in_several_threads_at_once() -> None:
    """One run writes in a thread what another one, or its own end, packs at the same time."""
    some = [Kept(f"{number} word " * 200_000, "stop", None, None) for number in range(60)]
    with ThreadPoolExecutor(4) as threads:
        read = list(threads.map(lambda kept: unpacked(packed(kept)), some))
    assert read == some


def test_an_answer_of_an_earlier_version_is_read() -> None:
    assert unpacked(zstandard.compress(msgspec.msgpack.encode(SHORT))) == SHORT


@pytest.mark.parametrize("kept", [SHORT, LONG, VECTOR])
def test_one_wrong_byte_anywhere_is_noticed(kept: Kept) -> None:
    whole = packed(kept)
    places = range(len(whole)) if len(whole) < 500 else range(0, len(whole), 61)
    for place in places:
        for wrong in (0, 0x5F, 0xFF):
            damaged = whole[:place] + bytes([wrong]) + whole[place + 1 :]
            assert damaged == whole or unpacked(damaged) is None


@pytest.mark.parametrize(
    "payload", ["text", 7, 1.5, None, b"", b"\0", b"(\xb5/\xfd", b"\x95", packed(SHORT)[:-1]]
)
def test_what_is_no_answer_is_none(payload: object) -> None:
    assert unpacked(payload) is None
