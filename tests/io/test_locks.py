import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from batchroute.core.errors import OutputError, OutputLockedError
from batchroute.io.locks import LOCK_NAME, is_locked, locked

HOLDER = """
import sys
from pathlib import Path
from batchroute.io.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def hold_elsewhere(folder: Path) -> subprocess.Popen[str]:
    """Another process that holds the lock until its input ends, or it does."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    return holder


def test_a_second_run_is_refused_at_once_with_the_remedy(tmp_path: Path) -> None:
    with (
        locked(tmp_path),
        pytest.raises(OutputLockedError, match="Wait for it, or stop it"),
        locked(tmp_path),
    ):
        pytest.fail("two runs hold one directory")


def test_the_lock_is_seen_while_it_is_held_and_looking_takes_nothing(tmp_path: Path) -> None:
    assert not is_locked(tmp_path)
    with locked(tmp_path):
        assert is_locked(tmp_path)
        assert is_locked(tmp_path)
    assert not is_locked(tmp_path)


def test_looking_is_no_run(tmp_path: Path) -> None:
    assert not is_locked(tmp_path / "nowhere")
    assert not (tmp_path / "nowhere").exists()


def test_the_lock_is_free_after_an_error(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError), locked(tmp_path):
        raise RuntimeError
    with locked(tmp_path):
        assert is_locked(tmp_path)


def test_two_directories_are_two_locks(tmp_path: Path) -> None:
    with locked(tmp_path / "x"), locked(tmp_path / "y"):
        assert is_locked(tmp_path / "x")
        assert is_locked(tmp_path / "y")


@pytest.mark.parametrize("end", ["leaves", "is killed"])
def test_another_process_holds_it_until_it_ends_however_it_does(tmp_path: Path, end: str) -> None:
    with hold_elsewhere(tmp_path) as holder:
        assert is_locked(tmp_path)
        with pytest.raises(OutputLockedError), locked(tmp_path):
            pytest.fail("two processes hold one directory")
        if end == "is killed":
            holder.send_signal(signal.SIGKILL)
        else:
            holder.communicate("")
        holder.wait(10)
    with locked(tmp_path):
        assert (tmp_path / LOCK_NAME).exists()


def test_the_directory_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        with locked(tmp_path / "new/out"):
            pass
    finally:
        os.umask(old)
    assert (tmp_path / "new/out").stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "new/out" / LOCK_NAME).stat().st_mode & 0o777 == 0o600


def test_a_file_where_the_directory_should_be_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="Name a directory"), locked(tmp_path / "out"):
        pytest.fail("a file was locked")
    assert not is_locked(tmp_path / "out")


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / LOCK_NAME).symlink_to(victim)
    with pytest.raises(OutputError), locked(tmp_path / "out"):
        pytest.fail("a link was locked")
    assert victim.read_text() == "mine"


@pytest.mark.parametrize("below", ["", "more"])
def test_a_link_to_nothing_is_named_with_what_it_links_to(tmp_path: Path, below: str) -> None:
    link = tmp_path / "out"
    link.symlink_to(tmp_path / "gone")
    said = f"{link} is a link to {tmp_path / 'gone'}, which does not exist"
    with pytest.raises(OutputError, match=said), locked(link / below):
        pass
    assert not (tmp_path / "gone").exists()
