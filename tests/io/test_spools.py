import tempfile
from contextlib import closing
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.errors import OutputError
from batchroute.io import spools
from batchroute.io.spools import Spool


def spool(path: Path) -> Spool[str]:
    return Spool(
        path, encode=msgspec.msgpack.encode, decode=msgspec.msgpack.Decoder(list[str]).decode, size=len
    )


def test_values_come_out_in_the_order_they_went_in_however_many_spill(tmp_path: Path) -> None:
    values = [f"v{number}" for number in range(3 * spools.MEMORY_RECORDS)]
    queue = spool(tmp_path / "tmp/spool")
    for value in values:
        queue.append(value)
    assert (tmp_path / "tmp/spool").stat().st_size > 0
    assert len(queue) == len(values)

    assert [queue.take() for _ in values] == values
    assert len(queue) == 0
    assert (tmp_path / "tmp/spool").stat().st_size == 0
    queue.close()
    assert not (tmp_path / "tmp/spool").exists()


def test_large_values_spill_before_they_fill_the_memory(tmp_path: Path) -> None:
    queue = spool(tmp_path / "spool")
    for _ in range(600):
        queue.append("x" * 100_000)
    assert (tmp_path / "spool").stat().st_size >= 40_000_000
    assert [len(queue.take()) for _ in range(600)] == [100_000] * 600
    queue.close()


@pytest.mark.parametrize("content", [b"", b"\xc1" * 10_000])
def test_what_the_disk_has_lost_is_an_output_error(tmp_path: Path, content: bytes) -> None:
    queue = spool(tmp_path / "spool")
    for number in range(20_000):
        queue.append(str(number))
    (tmp_path / "spool").write_bytes(content)
    with closing(queue), pytest.raises(OutputError, match=r"spool.*run again"):
        [queue.take() for _ in range(20_000)]


def test_an_empty_spool_has_nothing_to_take(tmp_path: Path) -> None:
    with pytest.raises(IndexError):
        spool(tmp_path / "spool").take()


@given(st.lists(st.integers(0, 700), max_size=20))
def test_any_mixture_of_putting_and_taking_keeps_the_order(moves: list[int]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        mix(spool(Path(folder) / "spool"), moves)


def mix(queue: Spool[str], moves: list[int]) -> None:
    expected: list[str] = []
    put = 0
    for move in moves:
        if move % 2:
            for _ in range(move * 10):
                queue.append(str(put))
                expected.append(str(put))
                put += 1
        else:
            for _ in range(min(move * 7, len(expected))):
                assert queue.take() == expected.pop(0)
    assert len(queue) == len(expected)
    queue.close()
