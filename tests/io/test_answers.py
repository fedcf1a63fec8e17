from pathlib import Path

import pytest

from batchroute.core.responses import Usage
from batchroute.io.answers import Answers, Damage, Kept, packed, unpacked

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


@pytest.mark.parametrize("kept", [SHORT, LONG])
def test_a_torn_answer_is_damage(kept: Kept) -> None:
    with pytest.raises(Damage):
        unpacked(packed(kept)[:-2])
