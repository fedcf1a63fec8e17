"""`batchroute classify`: labels of an input, and how right they are."""

import json
from pathlib import Path

import polars as pl

from tests.cli.jobs import write_job
from tests.cli.processes import batchroute

LINES = [
    {"id": "1", "text": "aa", "source": "shop", "true": "sell"},
    {"id": "2", "text": "ab", "source": "shop", "true": "buy"},
    {"id": "3", "text": "b", "source": "street", "true": "walk"},
    {"id": "4", "text": "c", "source": "street", "true": None},
    {"id": "5", "text": "d", "source": "street", "true": "walk"},
]
STAGES = [
    {"sql": "CASE WHEN source = 'shop' THEN 'sell' END"},
    {"python": "rules:label", "columns": ["text"], "threshold": 0.5},
]
RULES = """
def label(records):
    return [("walk", 0.9) if one["text"] == "b" else ("run", 0.2) for one in records]
"""


def job_at(folder: Path) -> Path:
    job = write_job(folder, count=1, classify=STAGES)
    (folder / "rules.py").write_text(RULES)
    (folder / "in.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES) + "no JSON\n")
    return job


def test_it_tells_what_each_stage_decided_and_how_rightly(tmp_path: Path) -> None:
    ran = batchroute("classify", job_at(tmp_path), "--truth", "true", "--json")
    told = json.loads(ran.stdout)

    assert (ran.returncode, told["records"], told["unreadable"], told["cost_usd"]) == (0, 5, 1, "0")
    assert told["tasks"] == {"sell": 2, "": 2, "walk": 1}
    assert told["confusion"] == {
        "records": 4,
        "right": 2,
        "accuracy": 0.5,
        "counts": {"buy": {"sell": 1}, "sell": {"sell": 1}, "walk": {"": 1, "walk": 1}},
    }
    decided = {(stage["stage"], stage["labels"]): stage["decided"] for stage in told["stages"]}
    assert decided == {
        ("sql", "task"): 2,
        ("python:rules:label", "task"): 1,
        ("python:rules:label", "complexity"): 0,
        ("builtin:complexity", "complexity"): 5,
    }
    assert [stage["confusion"]["accuracy"] for stage in told["stages"][:2]] == [0.5, 1.0]


def test_a_person_sees_tables(tmp_path: Path) -> None:
    ran = batchroute("classify", job_at(tmp_path), "--truth", "true")

    assert "5 records, 1 place unreadable" in ran.stdout
    assert "all stages: 2 of 4 right (50.0%)" in ran.stdout
    assert "  walk             .     1  1" in ran.stdout.splitlines()


def test_the_labels_are_written_and_nothing_else(tmp_path: Path) -> None:
    job, labels = job_at(tmp_path), tmp_path / "labels.parquet"
    before = {*tmp_path.iterdir()}

    assert batchroute("classify", job, "-o", labels, "--limit", "3").returncode == 0

    rows = pl.read_parquet(labels)
    assert rows.select("record_id", "task", "classified_by", "task_confidence").rows() == [
        ("1", "sell", "sql", None),
        ("2", "sell", "sql", None),
        ("3", "walk", "python:rules:label", 0.9),
    ]
    assert {path for path in tmp_path.iterdir() if path.name != "__pycache__"} - before == {labels}


def test_a_truth_that_no_record_has_is_refused(tmp_path: Path) -> None:
    ran = batchroute("classify", job_at(tmp_path), "--truth", "ture")

    assert (ran.returncode, ran.stdout) == (65, "")
    assert "no record has 'ture'" in ran.stderr
    assert "[input_no_truth]" in ran.stderr


def test_labels_that_cannot_be_written_are_an_output_error(tmp_path: Path) -> None:
    ran = batchroute("classify", job_at(tmp_path), "-o", tmp_path / "no" / "labels.parquet")

    assert ran.returncode == 74


def test_a_run_classifies_alike(tmp_path: Path) -> None:
    job = job_at(tmp_path)

    assert batchroute("run", job, "-q").returncode == 3
    results = pl.scan_parquet(tmp_path / "out" / "results" / "*.parquet").collect()

    by = dict(
        results.filter(pl.col("status") == "succeeded").select("record_id", "classified_by").iter_rows()
    )
    assert by == {"1": "sql", "2": "sql", "3": "python:rules:label", "4": None, "5": None}


def test_a_model_is_asked_for_what_rules_leave_undecided_and_its_cost_is_told() -> None:
    job = Path(__file__).parents[2] / "jobs/stages.yaml"
    told = json.loads(batchroute("classify", job, "--truth", "task", "--json", timeout_s=60).stdout)
    stage = next(stage for stage in told["stages"] if stage["stage"] == "llm:tiny")

    undecided = 741 - sum(
        other["decided"]
        for other in told["stages"]
        if other["labels"] == "task" and other["stage"] != stage["stage"]
    )
    assert stage["requests"] == -(-undecided // 20)
    assert stage["decided"] <= undecided
    assert 0 < float(stage["cost_usd"]) == float(told["cost_usd"]) < 0.01
    assert stage["confusion"]["records"] == stage["decided"]
    assert stage["records_per_s"] > 0
