"""Jobs and records that are valid by default: override what the test is about."""

import json
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.core.responses import Usage
from batchroute.core.results import Result, Status, Totals
from batchroute.job.jobs import Job

PROVIDER = {"base_url": "http://127.0.0.1:9/v1"}
PRICE = {"input": Decimal(1), "output": Decimal(2)}


def write_records(path: Path, records: Iterable[Mapping[str, Any]]) -> Path:
    """A JSONL file of these records."""
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def records(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Records r0, r1, ... with a text each."""
    return [{"id": f"r{number}", "text": f"question {number}", **fields} for number in range(count)]


def model(name: str = "m", **fields: Any) -> dict[str, Any]:
    """A model of provider p."""
    return {"provider": "p", "model": name, "price": PRICE, **fields}


def job(folder: Path, *, name: str = "test", **fields: Any) -> Job:
    """A job over folder/in.jsonl into folder/out, on models a and b of one provider, in this order."""
    return Job.model_validate(
        {
            "job": name,
            "input": {"path": str(folder / "in.jsonl"), "id": "id"},
            "output": {"path": str(folder / "out")},
            "prompt": {"user": "{{ text }}", "params": {"max_tokens": 16}},
            "providers": {"p": PROVIDER},
            "models": {"a": model("a"), "b": model("b")},
            "routes": {"default": {"models": ["a", "b"]}},
            **fields,
        }
    )


def attempt(record_id: str = "r0", **fields: Any) -> Attempt:
    """An answered attempt of model a."""
    defaults: dict[str, Any] = {
        "run_id": "run",
        "record_id": record_id,
        "attempt": 1,
        "purpose": "answer",
        "task": "chat",
        "complexity": "simple",
        "route": "default",
        "model": "a",
        "provider": "p",
        "request_model": "a",
        "response_model": "a",
        "response_id": None,
        "started_at": 1_800_000_000.0,
        "queued_s": 0.0,
        "latency_s": 0.1,
        "outcome": "ok",
        "verdict": "accept",
        "error_type": None,
        "flag": None,
        "http_status": 200,
        "finish_reason": "stop",
        "usage": Usage(input_tokens=10, output_tokens=5),
        "cost": 20_000_000,
        "cost_basis": CostBasis.USAGE,
        "price_input": 1_000_000,
        "price_output": 2_000_000,
        "price_cached": 1_000_000,
        "price_cache_write": 1_000_000,
        "service_tier": None,
    }
    return Attempt(**{**defaults, **fields})


def result(record_id: str = "r0", **fields: Any) -> Result:
    """The result of a record that model a answered at the first attempt."""
    defaults: dict[str, Any] = {
        "record_id": record_id,
        "status": Status.SUCCEEDED,
        "task": "chat",
        "complexity": "simple",
        "classified_by": "builtin:tasks",
        "route": "default",
        "model": "a",
        "provider": "p",
        "response": "fine",
        "finish_reason": "stop",
        "flag": None,
        "error_type": None,
        "error_message": None,
        "totals": Totals(attempts=1, input_tokens=10, output_tokens=5, cost=20_000_000),
        "latency_s": 0.1,
        "run_id": "run",
        "finished_at": 1_800_000_000.5,
        "kept": {},
    }
    return Result(**{**defaults, **fields})
