"""What a bad input is and what must come of it: files made on the spot, with exact counts."""

import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from ruamel.yaml import YAML

from batchroute.cli.main import batchroute
from batchroute.report.scans import scan_results

Make = Callable[[Path], object]
GOOD = b'{"id":"%d","text":"question %d"}\n'


@dataclass(frozen=True, kw_only=True)
class Expected:
    """How a run over the input must end. `word` is that of the refusal, `dead` those of the dead letters."""

    answered: int = 0
    dead: Mapping[str, int] = field(default_factory=dict)
    exit_code: int = 0
    word: str | None = None
    warning: str | None = None


@dataclass(frozen=True, kw_only=True)
class Case:
    """A folder that `make` fills, the keys of the job that differ from the usual ones, and the end."""

    make: Make
    job: Mapping[str, Any]
    expected: Expected


@dataclass(frozen=True)
class Told:
    """What a command said."""

    exit_code: int
    summary: dict[str, Any]
    errors: str

    @property
    def attempts(self) -> int:
        return int(self.summary.get("attempts", 0))


def good(count: int, first: int = 0) -> bytes:
    """Lines that are as they should be."""
    return b"".join(GOOD % (number, number) for number in range(first, first + count))


def write_job(folder: Path, base_url: str, **fields: Any) -> Path:
    """A job over folder/in.jsonl into folder/out, on one model behind this URL."""
    job = {
        "job": "test",
        "input": {"path": "in.jsonl", "id": "id"},
        "output": {"path": "out"},
        "prompt": {"user": "{{ text }}", "params": {"max_tokens": 16}},
        "providers": {"p": {"base_url": base_url}},
        "models": {"small": {"provider": "p", "price": {"input": 1, "output": 2}}},
        "routes": {"default": {"models": ["small"]}},
        "dedupe": False,  # each record that can be sent is one attempt
        **fields,
    }
    path = folder / "job.yaml"
    with path.open("w", encoding="utf-8") as file:
        YAML(typ="safe").dump(json.loads(json.dumps(job)), file)
    return path


def told_by(*arguments: str | Path) -> Told:
    """Run a command in this process, through the real command line."""
    ran = CliRunner().invoke(batchroute, [*map(str, arguments)])
    if ran.exception is not None and not isinstance(ran.exception, SystemExit):
        raise ran.exception
    summary = json.loads(ran.stdout) if ran.stdout.startswith("{") else {}
    return Told(ran.exit_code, summary, ran.stderr)


def check(case: Case, folder: Path, base_url: str) -> Told:
    """Run the job over the case's files and hold it against what is expected."""
    case.make(folder)
    told = told_by("run", write_job(folder, base_url, **case.job), "--json")
    expected = case.expected
    reason = f"{told.summary.get('reason')} {told.errors}"
    assert told.exit_code == expected.exit_code, reason
    if expected.word is not None:
        assert f"[{expected.word}]" in reason
    if expected.exit_code in {0, 3}:
        records = told.summary["records"]
        assert (records["succeeded"], records["failed"]) == (expected.answered, sum(expected.dead.values()))
        assert (records["pending"], told.attempts) == (0, expected.answered)
    assert words_in(folder) == expected.dead
    warnings = [warning for warning in told.summary.get("warnings", ()) if "cannot be sent" not in warning]
    if expected.exit_code == 3:
        assert len(warnings) < len(told.summary["warnings"])  # more than 1 % is bad, and it is said
    assert len(warnings) == (expected.warning is not None), warnings
    assert (expected.warning or "") in "".join(warnings)
    return told


def words_in(folder: Path) -> dict[str, int]:
    """Dead letters by their word."""
    rows = scan_results(folder / "out").collect() if (folder / "out/manifest.json").exists() else None
    return {} if rows is None else dict(Counter(rows["error_type"].drop_nulls()))
