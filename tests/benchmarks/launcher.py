"""Runs a command and writes what it took: `launcher.py REPORT COMMAND...` ends with the command's exit code.

A script of its own, with small memory: Linux counts what a process occupied between fork and exec into the peak
memory of the child, so that the child of a large test process would look large.
"""

import json
import resource
import subprocess
import sys
import time
from pathlib import Path


def main() -> int:
    report, *command = sys.argv[1:]
    began = time.perf_counter()
    code = subprocess.call(command)
    wall = time.perf_counter() - began
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    kibibytes = used.ru_maxrss if sys.platform == "linux" else used.ru_maxrss / 1024
    took = {
        "exit_code": code,
        "wall_s": wall,
        "cpu_s": used.ru_utime + used.ru_stime,
        "peak_mib": kibibytes / 1024,
    }
    Path(report).write_text(json.dumps(took), encoding="utf-8")
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
