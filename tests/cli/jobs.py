"""Job files on the simulator, for processes."""

import json
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from tests.builders import records, write_records


def write_job(
    folder: Path, *, count: int = 200, latency: str = "5ms", concurrency: int = 16, **fields: Any
) -> Path:
    """A job over `count` records on one simulated provider with models small and large, both ideal."""
    write_records(folder / "in.jsonl", records(count))
    simulated = {"latency": {"p50": latency, "p95": latency}, "price": {"input": 1, "output": 2}}
    limits = {"concurrency": concurrency}
    job = {
        "job": "test",
        "input": {"path": "in.jsonl", "id": "id"},
        "output": {"path": "out"},
        "prompt": {"user": "{{ text }}", "params": {"max_tokens": 32}},
        "providers": {
            "sim": {"kind": "simulator", "simulation": {"models": {"small": simulated, "large": simulated}}}
        },
        "models": {
            name: {"provider": "sim", "limits": limits, "timeout": "5s"} for name in ("small", "large")
        },
        "routes": {"default": {"models": ["small", "large"]}},
        "baseline": "large",
        **fields,
    }
    path = folder / "job.yaml"
    with path.open("w") as file:
        YAML(typ="safe").dump(json.loads(json.dumps(job)), file)
    return path
