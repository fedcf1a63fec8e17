"""Generated input and the job that reads it."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from batchroute.core.records import Record
from tests.benchmarks.stand_ins import MODEL

_DISTINCT = 1_000
_BEGINNINGS = (
    "Translate the following paragraph into French:",
    "Summarise this complaint in one sentence:",
    "Write a function in Python that reads",
    "Which of these departments should answer:",
    "Extract every date and amount from this note:",
    "Explain step by step why it follows that",
    "Is the tone of this review positive or negative?",
    "Good morning, I would like to know whether",
)
_WORDS = (
    "the parcel arrived on Tuesday with a torn label and nobody at the counter could say where the second box "
    "had gone although the invoice number was written twice on the form and the amount of 49.90 had been paid "
    "in advance by card last month please answer soon because the customer is waiting for it"
)

Models = Mapping[str, Mapping[str, Any]]
"""What a job declares of each model beside its provider and price."""


@dataclass(frozen=True)
class Workload:
    """A Parquet file of records and a job over it, both in `folder`.

    `tasks` labels the records in the order of the input; each model of that name is the route of its task, and
    without labels all models are one route, tried in order.
    """

    folder: Path
    records: int
    url: str
    models: Models
    tasks: Sequence[str] = ()
    equal: bool = False
    """Whether all records ask the same."""
    cached: bool = False
    """Whether answers are kept in a cache beside the output."""

    @property
    def job(self) -> Path:
        return self.folder / "job.yaml"

    @property
    def output(self) -> Path:
        return self.folder / "out"

    def write(self) -> "Workload":
        """Write both files; returns itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = pl.int_range(self.records, eager=True)
        columns = {
            "id": "r" + numbers.cast(pl.String),
            "text": pl.Series(texts()).gather(numbers * 0)
            if self.equal
            else pl.Series(texts()).gather(numbers % _DISTINCT) + numbers.cast(pl.String),
        }
        if self.tasks:
            columns["task"] = pl.Series(self.tasks)
        pl.DataFrame(columns).write_parquet(self.folder / "records.parquet")
        self.job.write_bytes(msgspec.json.encode(self._declared()))  # JSON is YAML, too
        return self

    def _declared(self) -> dict[str, Any]:
        common = {"provider": "stand-in", "timeout": "60s", "price": {"input": 0.15, "output": 0.6}}
        routes: dict[str, Any] = {
            task: {"when": {"task": task}, "models": [task]} for task in set(self.tasks)
        }
        return {
            "job": "bench",
            "input": {"path": "records.parquet", "id": "id", "text": "text"},
            "output": {"path": "out"},
            "prompt": {"user": "{{ text }}", "params": {"max_tokens": 64}},
            "classify": [{"column": "task"}] if self.tasks else [],
            "providers": {"stand-in": {"base_url": self.url}},
            "models": {name: {**common, **declared} for name, declared in self.models.items()},
            "routes": {**routes, "default": {"models": list(self.models)}},
            **({"cache": {"path": "cache"}} if self.cached else {}),
        }


def one_model(concurrency: int) -> Models:
    """The model of the stand-ins, without a limit but its slots."""
    return {MODEL: {"limits": {"concurrency": concurrency}}}


def texts() -> list[str]:
    """A thousand requests of about 200 characters, always the same."""
    dice, words = random.Random(20), _WORDS.split()
    return [
        f"{dice.choice(_BEGINNINGS)} {' '.join(dice.choices(words, k=dice.randint(20, 42)))}. No. "
        for _ in range(_DISTINCT)
    ]


def records(count: int) -> list[Record]:
    """The same texts as records, for what is measured without a run."""
    some = texts()
    return [
        Record(record_id=f"r{number}", file="f", line=number + 1, fields={"text": some[number % _DISTINCT]})
        for number in range(count)
    ]
