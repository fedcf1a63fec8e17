"""Files of a dataset."""

import subprocess
import sys
from pathlib import Path


def test_a_write_that_a_full_disk_cut_short_has_failed(tmp_path: Path) -> None:
    """A limit on the file's size cuts it as a full disk does, without a word."""
    source = (
        "import os, resource; from batchroute.io.files import write_at; "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4, 4)); "
        f"write_at(os.open({str(tmp_path / 'file')!r}, os.O_RDWR | os.O_CREAT), b'12345678', 0)"
    )
    ended = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=30
    )

    assert "No space left on device" in ended.stderr
    assert (tmp_path / "file").read_bytes() == b"1234"
