"""Job files for tests: valid by default, with the sections under test written first, so that lines are known."""

import re
from pathlib import Path
from typing import Final

import pytest

from batchroute.core.errors import JobError
from batchroute.job.jobs import Job
from batchroute.job.loading import load_job

SECTIONS: Final = {
    "job": "job: test\n",
    "input": "input: {path: in/records.jsonl}\n",
    "output": "output: {path: out}\n",
    "prompt": 'prompt: {user: "{{ text }}"}\n',
    "providers": "providers: {here: {base_url: http://127.0.0.1:8000/v1}}\n",
    "models": "models: {mini: {provider: here}}\n",
    "routes": "routes: {default: {models: [mini]}}\n",
}
_CODE: Final = re.compile(r" \[[a-z_]+\]$")
ENVIRON: Final = {"KEY": "sentinel-1", "EMPTY": "", "BROKEN": "sentinel\n", "FOLDER": "spring"}


def text(first: str = "") -> str:
    """A valid job file in which the given sections stand first and replace those of the same name."""
    given = {line.partition(":")[0] for line in first.splitlines() if line and line[0].isalpha()}
    return first + "".join(section for name, section in SECTIONS.items() if name not in given)


def loaded(folder: Path, first: str = "", *overrides: str) -> Job:
    """The job of a file in this folder."""
    path = folder / "job.yaml"
    path.write_text(text(first), encoding="utf-8")
    return load_job(path, overrides=overrides, environ=ENVIRON)


def refused(folder: Path, written: str | bytes, *overrides: str) -> list[str]:
    """The lines of the error that loading this text raises, without the name of the folder and their words."""
    path = folder / "job.yaml"
    path.write_bytes(written.encode() if isinstance(written, str) else written)
    with pytest.raises(JobError) as caught:
        load_job(path, overrides=overrides, environ=ENVIRON)
    return [_CODE.sub("", line) for line in str(caught.value).replace(f"{folder}/", "").splitlines()]
