"""How near estimates of tokens come to what is counted in all, once two hundred records were answered."""

import json
import random
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median

import polars as pl

import batchroute
from batchroute.core.requests import Request
from batchroute.io.tokenizers import exact_counts
from batchroute.planning import plan
from batchroute.routing.estimates import Estimator, sent_tokens
from tests.benchmarks.children import finish_python
from tests.benchmarks.measures import COMMAND, Figure

ROOT = Path(__file__).parents[2]
VOCABULARIES = {"o200k_base": "gpt-5.4-mini", "cl100k_base": "gpt-4"}
ORDERS = 20
GOAL = "<= 0.05"

Count = Callable[[Request], int]


def estimates(*, learned: int = 200) -> list[Figure]:
    """Input tokens of the sample requests in two vocabularies of OpenAI (with the extra `tokens`), and a whole plan."""
    asked = sample_requests()
    figures = []
    for vocabulary, count in exact_counts(VOCABULARIES).items():
        errors = [error_after(learned, shuffled(asked, seed), count) for seed in range(ORDERS)]
        told = f"error of estimates, {vocabulary}"
        figures += [
            Figure(f"{told}, nothing learned", total_error(asked, count), ""),
            Figure(f"{told}, after {learned}, median of {ORDERS} orders", median(errors), "", GOAL),
            Figure(f"{told}, after {learned}, the worst of them", max(errors), ""),
        ]
    return [*figures, *planned_tokens(learned=learned)]


def sample_requests() -> list[Request]:
    lines = (ROOT / "sample_data/requests.jsonl").read_text(encoding="utf-8").splitlines()
    texts = [json.loads(line)["text"] for line in lines]
    chats = [[{"role": "user", "content": text}] for text in texts]
    return [Request(messages=json.dumps(chat, ensure_ascii=False).encode()) for chat in chats]


def shuffled(asked: Sequence[Request], seed: int) -> list[Request]:
    return random.Random(seed).sample(asked, len(asked))


def total_error(asked: Sequence[Request], count: Count, estimate: Count = sent_tokens) -> float:
    """The share by which the sum of all estimates is too high or too low."""
    counted = sum(map(count, asked))
    return abs(sum(map(estimate, asked)) - counted) / counted


def error_after(learned: int, asked: Sequence[Request], count: Count) -> float:
    """The same over the others, when these were answered and told their tokens."""
    estimator = Estimator()
    for request in asked[:learned]:
        estimator.learn(request, count(request))
    return total_error(asked[learned:], count, estimator.input_tokens)


def planned_tokens(*, learned: int) -> list[Figure]:
    """The sample job on the simulator: what is planned for the others when so many were answered, beside what they took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(ROOT / "jobs", folder / "jobs")
        (folder / "sample_data").symlink_to(ROOT / "sample_data")
        job, output = folder / "jobs/classify.yaml", folder / "out/classify"
        finish_python("-m", COMMAND, "run", str(job), "--limit", str(learned), "--quiet")
        before, planned = _answered(output), plan(job).total
        finish_python("-m", COMMAND, "run", str(job), "--quiet")
        taken = {kind: count - before[kind] for kind, count in _answered(output).items()}
    errors = {kind: abs(getattr(planned, kind) - count) / count for kind, count in taken.items()}
    return [
        Figure(f"error of a plan after {learned}, {kind.replace('_', ' ')}", error, "", GOAL)
        for kind, error in errors.items()
    ]


def _answered(output: Path) -> dict[str, int]:
    """Tokens of accepted answers: a plan is of a run in which every request succeeds at once."""
    accepted = batchroute.scan_ledger(output).filter(pl.col("verdict") == "accept")
    return accepted.select(pl.col("input_tokens", "output_tokens").sum()).collect().row(0, named=True)
