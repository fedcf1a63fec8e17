"""Requests that begin alike go to one of several equal models, near in time."""

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType
from batchroute.report.scans import scan_ledger
from tests.builders import model, write_records
from tests.cli.processes import batchroute
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, always, answer, failure

MANUAL = " ".join(f"Article {number} says what to do about pumps." for number in range(120))
"""Some 1,300 tokens."""
FEW_SLOTS = {"concurrency": 8}
FINE = always(answer(), 0.2)
EAST_WEST: dict[str, Any] = {"models": [["east", "west"]]}


def manual_of(request: Request) -> int:
    """Which manual a request is about."""
    found = re.search(rb"Manual (\d+)", request.messages)
    assert found is not None
    return int(found[1])


def ran(
    folder: Path,
    *,
    manuals: int = 60,
    questions: int = 5,
    manual: str = MANUAL,
    scripts: dict[str, Script] | None = None,
    **route: Any,
) -> Ran:
    """A run over so many questions about so many manuals, the first question about each of them first."""
    asked = [(number, question) for question in range(questions) for number in range(manuals)]
    write_records(
        folder / "in.jsonl",
        [
            {"id": f"r{number}-{question}", "text": f"Manual {number}. {manual} Question {question}?"}
            for number, question in asked
        ],
    )
    scripts = scripts or dict.fromkeys(("east", "west"), FINE)
    return run_virtually(
        folder,
        scripts=scripts,
        models={name: model(name, limits=FEW_SLOTS) for name in scripts},
        routes={"default": route or EAST_WEST},
    )


def readings(run: Ran) -> int:
    """How often a model was asked about a manual that it had not been asked about before."""
    return len({(sent.model, manual_of(sent.request)) for sent in run.provider.log})


def test_questions_about_a_manual_go_to_one_model(tmp_path: Path) -> None:
    run = ran(tmp_path)

    assert len(run.provider.log) == 300
    assert readings(run) <= 75, "of 60 manuals and two models"
    answered = Counter(run.results["model"].to_list())
    assert answered["east"] == pytest.approx(150, abs=40)


def test_short_prompts_are_balanced_as_ever(tmp_path: Path) -> None:
    run = ran(tmp_path, manual="")

    assert readings(run) > 100
    assert len({manual_of(sent.request) for sent in run.provider.log[:50]}) == 50, "in the order of the input"


def test_weights_keep_their_shares(tmp_path: Path) -> None:
    weights = {"east": 3, "west": 1}
    run = ran(tmp_path, models=["east", "west"], strategy="weighted", weights=weights)

    answered = Counter(run.results["model"].to_list())
    assert answered["east"] == pytest.approx(225, abs=40)
    assert readings(run) <= 80


def test_one_manual_for_all_overloads_no_model(tmp_path: Path) -> None:
    run = ran(tmp_path, manuals=1, questions=400)

    assert dict(run.provider.most_in_flight) == {"east": 8, "west": 8}
    assert min(Counter(run.results["model"].to_list()).values()) > 150


def test_lost_model_leaves_its_manuals_to_the_others(tmp_path: Path) -> None:
    lost = always(failure(ErrorType.MODEL_NOT_FOUND))
    run = ran(
        tmp_path,
        scripts={"east": FINE, "west": lost, "north": FINE},
        models=[["east", "west", "north"]],
    )

    assert run.ended.succeeded == 300
    assert len(run.provider.sent_to("west")) < 60
    answered = {(sent.model, manual_of(sent.request)) for sent in run.provider.log if sent.model != "west"}
    assert len(answered) <= 75, "each still with one of them"


def test_model_that_is_paused_leaves_its_manuals_to_another_one(tmp_path: Path) -> None:
    paused = always(failure(ErrorType.RATE_LIMITED, retry_after_s=600.0), 0.05)
    scripts = {"east": FINE, "west": paused, "north": FINE}
    run = ran(tmp_path, scripts=scripts, models=[["east", "west", "north"]])

    assert run.ended.succeeded == 300
    answered = {(sent.model, manual_of(sent.request)) for sent in run.provider.log if sent.model != "west"}
    assert len(answered) <= 75


def test_manual_is_known_again_though_others_were_read_in_between(tmp_path: Path) -> None:
    run = ran(tmp_path, manuals=400, questions=4)

    assert readings(run) <= 650, "of 400 manuals and two models, each first asked of any of them"


def test_questions_follow_once_the_first_one_about_their_manual_is_answered(tmp_path: Path) -> None:
    run = ran(tmp_path, manuals=50, questions=3, models=["east"])
    times: dict[int, list[float]] = {}
    for sent in run.provider.log:
        times.setdefault(manual_of(sent.request), []).append(sent.at)

    assert sum(later[0] + 0.2 > later[1] for later in times.values()) <= 3, (
        "sent before the first answer came"
    )
    assert max(later[2] - later[1] for later in times.values()) <= 1.0, "in a run of four seconds"


def test_every_record_is_answered_once_whatever_the_order(tmp_path: Path) -> None:
    run = ran(tmp_path, manuals=7, questions=40)

    assert run.ended.succeeded == 280
    assert run.results["record_id"].n_unique() == 280
    assert run.results["cost_usd"].sum() == run.ledger["cost_usd"].sum()


def test_shipped_job_pays_less_for_what_is_known_again(tmp_path: Path) -> None:
    path = Path(__file__).parents[2] / "jobs" / "prefixes.yaml"
    ran = batchroute("run", path, "--limit", "200", "--set", f"output.path={tmp_path / 'out'}", "--quiet")
    assert ran.returncode == 0, ran.stderr
    ledger = scan_ledger(tmp_path / "out").collect()

    assert 5 * int(ledger["cached_tokens"].sum()) > 2 * int(ledger["input_tokens"].sum())
    for row in ledger.iter_rows(named=True):
        read, known, written = (row[name] for name in ("input_tokens", "cached_tokens", "output_tokens"))
        assert row["cost_usd"] == Decimal(10 * (read - known) + known + 40 * written) / 10**7
