"""Generated input and the job that reads it."""

import random
from dataclasses import dataclass
from pathlib import Path

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

_JOB = """\
job: bench
input: {{path: records.parquet, id: id, text: text}}
output: {{path: out}}
prompt:
  user: "{{{{ text }}}}"
  params: {{max_tokens: 64}}
providers:
  stand-in: {{base_url: "{url}"}}
models:
  {model}: {{provider: stand-in, limits: {{concurrency: {concurrency}}}, timeout: 60s, price: {{input: 0.15, output: 0.6}}}}
routes:
  default: {{models: [{model}]}}
"""


@dataclass(frozen=True)
class Workload:
    """A Parquet file of so many records and a job over it, both in `folder`."""

    folder: Path
    records: int
    url: str
    concurrency: int

    @property
    def job(self) -> Path:
        return self.folder / "job.yaml"

    def write(self) -> "Workload":
        """Write both files; returns itself."""
        self.folder.mkdir(parents=True, exist_ok=True)
        numbers = pl.int_range(self.records, eager=True)
        some = pl.Series(texts())
        pl.DataFrame(
            {
                "id": "r" + numbers.cast(pl.String),
                "text": some.gather(numbers % _DISTINCT) + numbers.cast(pl.String),
            }
        ).write_parquet(self.folder / "records.parquet")
        job = _JOB.format(url=self.url, model=MODEL, concurrency=self.concurrency)
        self.job.write_text(job, encoding="utf-8")
        return self


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
