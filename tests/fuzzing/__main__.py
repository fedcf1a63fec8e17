"""`python -m tests.fuzzing lines -max_total_time=60`: feed a target with what a fuzzer makes up, until it fails.

Further arguments are libFuzzer's: a folder to keep the corpus in, -runs=N, or a file that showed a fault.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["batchroute", "ruamel", "jinja2"]):
    from tests.fuzzing.targets import SEEDS, TARGETS


def main() -> None:
    """Fuzz the target that the first argument names."""
    name, *options = sys.argv[1:] or [""]
    if name not in TARGETS:
        sys.exit(f"Name one of {', '.join(TARGETS)}.")
    with tempfile.TemporaryDirectory() as seeds:
        for number, seed in enumerate(SEEDS[name]):
            Path(seeds, str(number)).write_bytes(seed)
        # the corpus that grows comes first, the seeds after it
        folders = [option for option in options if not option.startswith("-")]
        flags = [option for option in options if option.startswith("-")]
        alone = any(Path(folder).is_file() for folder in folders)
        atheris.Setup([sys.argv[0], *flags, *folders, *(() if alone else (seeds,))], TARGETS[name])
        atheris.Fuzz()


if __name__ == "__main__":
    main()
