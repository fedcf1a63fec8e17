"""Whole runs over real HTTP, by both transports, against the simulator: chat, responses and vectors."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.engine.endings import Ended
from batchroute.engine.pipeline import Options
from batchroute.engine.runs import run
from batchroute.io.parts import DEAD_LETTERS
from batchroute.job.simulation import Simulation
from batchroute.providers.simulator.server import serve
from batchroute.report.scans import scan_ledger, scan_results
from tests.builders import job, model, write_records

TEXTS = [
    "the sea is calm today",
    "today the sea is calm",
    "prices rose by three percent",
    "a recipe for soup",
]
VECTORS = {
    "endpoint": "embeddings",
    "prompt": {"user": "{{ text }}"},
    "embeddings": {"batch": 3, "dimensions": 64},
}


@asynccontextmanager
async def simulated(transport: str, **members: Any) -> AsyncIterator[dict[str, Any]]:
    """The providers of a job whose models are simulated ones."""
    described = Simulation.model_validate({"models": {"a": members, "b": {}}})
    async with serve(described) as url:
        yield {"p": {"base_url": url, "transport": transport}}


async def finished(folder: Path, **fields: Any) -> Ended:
    ended: Ended = await run(job(folder, **fields), conclude=lambda ended: ended)
    return ended


@pytest.mark.parametrize("transport", ["wire", "sdk"])
async def test_an_answer_is_the_same_by_either_api(tmp_path: Path, transport: str) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "text": text} for n, text in enumerate(TEXTS)])
    prompt = {"system": "Be brief.", "user": "{{ text }}", "params": {"max_tokens": 5}}
    found = {}
    for endpoint in ("chat", "responses"):
        async with simulated(transport) as providers:
            output = tmp_path / endpoint
            there = {"path": str(output)}
            ended = await finished(
                tmp_path, endpoint=endpoint, output=there, prompt=prompt, providers=providers
            )
            assert ended.exit_code == 0
            columns = ["record_id", "response", "finish_reason", "flag", "input_tokens", "output_tokens"]
            found[endpoint] = scan_results(output).select(columns).sort("record_id").collect()

    assert found["chat"].equals(found["responses"])
    assert set(found["chat"]["finish_reason"]) == {"length"}


@pytest.mark.parametrize("transport", ["wire", "sdk"])
async def test_labels_and_judgements_come_by_the_responses_api(tmp_path: Path, transport: str) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "text": text} for n, text in enumerate(TEXTS)])
    judge = {"judge": {"model": "a", "rubric": "Is an answer.", "threshold": 0.01}}
    async with simulated(transport) as providers:
        ended = await finished(
            tmp_path,
            endpoint="responses",
            providers=providers,
            classify=[{"llm": {"model": "b", "labels": ["chat", "code"], "batch": 2}}],
            routes={"default": {"models": ["a"], "checks": [judge]}},
        )

    rows, ledger = scan_results(tmp_path / "out").collect(), scan_ledger(tmp_path / "out").collect()
    assert ended.exit_code == 0
    assert "unjudged" not in set(rows["flag"])
    assert set(rows["classified_by"]) == {"llm:b"}
    assert dict(ledger["purpose"].value_counts().rows()) == {"classify": 2, "answer": 4, "judge": 4}


@pytest.mark.parametrize("transport", ["wire", "sdk"])
@pytest.mark.parametrize("encoding", ["base64", "float"])
async def test_vectors_come_over_http_and_like_texts_have_like_ones(
    tmp_path: Path, transport: str, encoding: str
) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "text": text} for n, text in enumerate(TEXTS)])
    asked = {**VECTORS, "embeddings": {"batch": 3, "dimensions": 64, "encoding": encoding}}
    async with simulated(transport) as providers:
        ended = await finished(tmp_path, providers=providers, **asked)

    rows = scan_results(tmp_path / "out").sort("record_id").collect()
    sea, same, prices, _ = rows["vector"].to_list()
    assert ended.exit_code == 0
    assert {len(vector) for vector in rows["vector"]} == {64}
    assert _cosine(sea, same) > 0.99
    assert _cosine(sea, prices) < 0.5
    assert rows["cost_usd"].sum() == scan_ledger(tmp_path / "out").collect()["cost_usd"].sum()


def _cosine(one: list[float], other: list[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


async def test_a_text_that_is_too_long_is_the_only_one_refused(tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(20)]
    texts[7] = "word " * 9000
    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "text": text} for n, text in enumerate(texts)])
    async with simulated("wire") as providers:
        ended = await finished(tmp_path, **{**VECTORS, "embeddings": {"batch": 20}}, providers=providers)

    assert (ended.succeeded, ended.failed) == (19, 1)
    dead = pl.read_parquet(tmp_path / "out" / DEAD_LETTERS)
    assert dead.select("record_id", "error_type", "vector").rows() == [("r7", "context_exceeded", None)]


async def test_a_model_that_fails_now_and_then_loses_no_vector(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "text": f"text {n}"} for n in range(100)])
    errors = {"server_error": 0.2, "rate_limit": 0.1, "disconnect": 0.1, "malformed": 0.1}
    models = {"a": model("a", limits={"concurrency": 2}), "b": model("b")}
    async with simulated("wire", errors=errors) as providers:
        ended = await finished(
            tmp_path, **{**VECTORS, "embeddings": {"batch": 4}}, models=models, providers=providers
        )

    rows, ledger = scan_results(tmp_path / "out").collect(), scan_ledger(tmp_path / "out").collect()
    assert ended.exit_code == 0
    assert rows["vector"].null_count() == 0
    assert rows["record_id"].n_unique() == rows.height == 100
    assert ledger.height > 100
    assert rows["cost_usd"].sum() == ledger["cost_usd"].sum()


async def test_a_change_of_dimensions_puts_longer_vectors_in_the_places_of_the_shorter(
    tmp_path: Path,
) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "text": text} for n, text in enumerate(TEXTS)])
    async with simulated("wire") as providers:
        await finished(tmp_path, providers=providers, **VECTORS)
        write_records(tmp_path / "in.jsonl", [{"id": "r0", "text": "quite another text"}])
        asked: dict[str, Any] = {**VECTORS, "embeddings": {"batch": 3, "dimensions": 128}}
        longer = job(tmp_path, providers=providers, **asked)
        await run(longer, Options(refresh_changed=True), conclude=lambda ended: ended)

    rows = scan_results(tmp_path / "out").sort("record_id").collect()
    assert [len(vector) for vector in rows["vector"]] == [128, 64, 64, 64]
    assert rows.schema["vector"] == pl.List(pl.Float32)
