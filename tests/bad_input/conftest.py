"""One simulator for all cases: starting one for each would take longer than the cases."""

import subprocess
from collections.abc import Iterator

import pytest

from tests.cli import jobs
from tests.cli.processes import COMMAND, environment


@pytest.fixture(scope="session")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where it listens."""
    job = jobs.write_job(tmp_path_factory.mktemp("simulator"), count=0, latency="1ms")
    command = [*COMMAND, "simulate", str(job), "--port", "0"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment()) as server:
        assert server.stderr is not None
        try:
            yield server.stderr.readline().split(" on ")[1].split(";")[0]
        finally:
            server.terminate()
