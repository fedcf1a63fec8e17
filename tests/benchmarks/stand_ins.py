"""A provider that answers every chat completion at once, so that the client is what is measured."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from batchroute.job.simulation import SimulatedModel, Simulation
from batchroute.providers.simulator.process import simulated
from tests.benchmarks.children import cores_allowed, pinned

MODEL = "bench"

ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1_790_000_000,
    "model": MODEL,
    "choices": [
        {
            "index": 0,
            "message": {"role": "assistant", "content": "Answered. " * 10, "refusal": None},
            "finish_reason": "stop",
        }
    ],
    "usage": {
        "prompt_tokens": 80,
        "completion_tokens": 20,
        "total_tokens": 100,
        "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    },
}
_AT_ONCE = Simulation(models={MODEL: SimulatedModel()})
TOKENS = 100
"""What one answer is counted as."""

_NGINX = """
daemon on;
worker_processes 1;
worker_rlimit_nofile 65536;
pid nginx.pid;
error_log error.log warn;
events {{ worker_connections 16384; }}
http {{
  access_log off;
  default_type application/json;
  keepalive_requests 100000000;
  keepalive_timeout 600s;
  client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  server {{
    listen 127.0.0.1:{port} backlog=8192;
    location / {{ return 200 '{answer}'; }}
  }}
}}
"""


@dataclass(frozen=True)
class StandIn:
    """Where it answers, and what it is, for the reader of the figures."""

    url: str
    kind: str


@contextlib.contextmanager
def stand_in(*, url: str | None = None, serve: str | None = None) -> Iterator[StandIn]:
    """The one that `serve` starts at `url`, one already running at `url`, nginx if installed, or the simulator."""
    if serve is not None:
        with _served(serve):
            yield StandIn(url or "http://127.0.0.1:9901/v1", Path(serve).name)
    elif url is not None:
        yield StandIn(url, "given")
    elif shutil.which("nginx") is not None:
        with nginx() as found:
            yield found
    else:
        with simulator() as found:
            yield found


@contextlib.contextmanager
def _served(script: str) -> Iterator[None]:
    cores = cores_allowed()
    subprocess.run([script, "start", *([str(cores[1])] if len(cores) > 1 else [])], check=True)
    try:
        yield
    finally:
        subprocess.run([script, "stop"], check=True)


@contextlib.contextmanager
def nginx() -> Iterator[StandIn]:
    """One worker on a core of its own, far faster than any client."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        port = _free_port()
        configuration = Path(folder, "nginx.conf")
        configuration.write_text(
            _NGINX.format(port=port, answer=msgspec.json.encode(ANSWER).decode()), encoding="utf-8"
        )
        command = ("nginx", "-p", folder, "-e", "error.log", "-c", str(configuration))
        # it listens before it goes to the background: no need to wait for it
        subprocess.run(pinned(command, "server"), check=True)
        try:
            yield StandIn(f"http://127.0.0.1:{port}/v1", "nginx")
        finally:
            subprocess.run([*command, "-s", "stop"], check=True)


@contextlib.contextmanager
def simulator(simulation: Simulation = _AT_ONCE) -> Iterator[StandIn]:
    """Our own. It shares the machine's cores as they come, and may be what limits the figures."""
    with asyncio.Runner() as runner:
        running = simulated(simulation)
        url = runner.run(running.__aenter__())
        try:
            yield StandIn(url, "simulator")
        finally:
            runner.run(running.__aexit__(None, None, None))


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port
