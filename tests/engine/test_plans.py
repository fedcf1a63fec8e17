"""Plans beside the runs that they are of: known sums, and a ledger that says what was planned."""

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.requests import Request
from batchroute.core.responses import Response
from batchroute.engine.pipeline import Options
from batchroute.engine.plans import Count, Plan
from batchroute.engine.plans import plan as plan_job
from batchroute.report.observations import observed
from tests.builders import job, model, records, write_records
from tests.cli.jobs import write_job
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, answer


def cost(ran: Ran) -> Decimal:
    return sum(ran.ledger["cost_usd"].to_list(), Decimal(0))


ONE = {"default": {"models": ["a"]}}


def planned(
    folder: Path, *, counts: Mapping[str, Count] | None = None, sample: int | None = None, **fields: Any
) -> Plan:
    only, limit = fields.pop("only", ()), fields.pop("limit", None)
    made = job(folder, **fields)
    observe = partial(observed, made.output.path)
    return asyncio.run(plan_job(made, observe=observe, counts=counts, sample=sample, limit=limit, only=only))


def priced(name: str, paid: str, produced: str, **fields: Any) -> dict[str, Any]:
    return model(name, price={"input": Decimal(paid), "output": Decimal(produced)}, **fields)


def fixed(tokens: int) -> Count:
    """A model that counts as many tokens in every request."""
    return lambda _: tokens


def answering(paid: int, produced: int) -> Script:
    return lambda _: (0.1, answer(input_tokens=paid, output_tokens=produced))


@pytest.mark.parametrize(
    ("count", "paid", "produced", "price", "dollars"),
    [
        pytest.param(10_000, 500, 200, ("5", "25"), "75", id="a day of messages"),
        pytest.param(10_000, 500, 200, ("2.50", "15"), "42.50", id="the same, cheaper"),
        pytest.param(5_000, 1_000, 1_000, ("2.50", "10"), "62.50", id="five millions and five millions"),
    ],
)
def test_known_sums(
    tmp_path: Path, count: int, paid: int, produced: int, price: tuple[str, str], dollars: str
) -> None:
    write_records(tmp_path / "in.jsonl", records(count))

    found = planned(
        tmp_path,
        counts={"a": fixed(paid)},
        models={"a": priced("a", *price)},
        routes=ONE,
        prompt={"user": "{{ text }}", "params": {"max_tokens": produced}},
    )

    assert found.total.cost_usd.high == Decimal(dollars)
    assert (found.total.records, found.total.input_tokens) == (count, count * paid)


def test_a_hundred_thousand_documents_on_a_dear_model_and_on_a_cheap_one(tmp_path: Path) -> None:
    """1,000 tokens and 375: 100,000 x (1,000 x 2.50 + 375 x 10) and x (1,000 x 0.075 + 375 x 0.30), in millionths."""
    write_records(tmp_path / "in.jsonl", ({"id": str(n), "text": "a document"} for n in range(100_000)))

    found = planned(
        tmp_path,
        dedupe=False,
        counts={"dear": fixed(1_000), "cheap": fixed(1_000)},
        models={"dear": priced("dear", "2.50", "10"), "cheap": priced("cheap", "0.075", "0.30")},
        routes={"default": {"models": ["cheap"]}},
        prompt={"user": "{{ text }}", "params": {"max_tokens": 375}},
    )

    alone = {each.model: each.forecast.cost_usd.high for each in found.alternatives}
    assert alone == {"dear": Decimal(625), "cheap": Decimal("18.75")}
    assert found.total.cost_usd.high == Decimal("18.75") == Decimal(625) * Decimal("0.03")


SPLIT: dict[str, Any] = {
    "dedupe": False,  # the same texts again and again
    "models": {
        "cheap": priced("cheap", "0.075", "0.30"),
        "middle": priced("middle", "2.50", "10"),
        "premium": priced("premium", "5", "25"),
    },
    "routes": {
        "middle": {"when": {"task": "medium"}, "models": ["middle"]},
        "premium": {"when": {"task": "hard"}, "models": ["premium"]},
        "default": {"models": ["cheap"]},
    },
    "classify": [{"column": "kind"}],
    "prompt": {"user": "{{ text }}", "params": {"max_tokens": 200}},
}
PAID = {"cheap": 400, "middle": 500, "premium": 700}


def kinds(count: int) -> list[dict[str, Any]]:
    """80 % easy, 15 % medium and 5 % hard."""
    return [
        {"id": f"r{n}", "text": "question", "kind": (["easy"] * 16 + ["medium"] * 3 + ["hard"])[n % 20]}
        for n in range(count)
    ]


def test_the_ledger_of_a_run_is_what_was_planned(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", kinds(400))
    counts = {name: fixed(tokens) for name, tokens in PAID.items()}

    before = planned(tmp_path, counts=counts, **SPLIT)
    ran = run_virtually(
        tmp_path, scripts={name: answering(tokens, 200) for name, tokens in PAID.items()}, **SPLIT
    )

    # 320 x (400 x 0.075 + 200 x 0.30) + 60 x (500 x 2.50 + 200 x 10) + 20 x (700 x 5 + 200 x 25), in millionths
    assert before.total.cost_usd.high == Decimal("0.3938")
    assert ran.ledger["cost_usd"].sum() == before.total.cost_usd.high
    by_route = dict(ran.ledger.group_by("route").agg(pl.col("cost_usd").sum()).iter_rows())
    assert {line.route: line.forecast.cost_usd.high for line in before.routes} == by_route
    assert {line.route: line.forecast.records for line in before.routes} == {
        "default": 320,
        "middle": 60,
        "premium": 20,
    }
    alone = {each.model: each.forecast.cost_usd.high for each in before.alternatives}
    # what is counted is each model's own: 400 x (700 x 5 + 200 x 25)
    assert alone["premium"] == Decimal("3.4")


def test_what_was_observed_is_what_is_expected_of_the_rest(tmp_path: Path) -> None:
    """Nothing is counted, and answers are shorter than allowed: the first half of a run tells what both take."""
    write_records(tmp_path / "in.jsonl", kinds(800))
    scripts = {name: answering(tokens, 70) for name, tokens in PAID.items()}
    first = run_virtually(tmp_path, scripts=scripts, options=Options(limit=400), **SPLIT)

    rest = planned(tmp_path, **SPLIT)
    ran = run_virtually(tmp_path, scripts=scripts, **SPLIT)

    assert (rest.records.done, rest.records.planned) == (400, 400)
    assert {line.forecast.output_by for line in rest.routes} == {"observed"}
    assert rest.total.cost_usd.expected == cost(ran) - cost(first)
    assert rest.total.duration.limited_by == "concurrency of cheap"


def test_answered_and_stale_records_are_counted_apart(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(60))
    fields: dict[str, Any] = {"models": {"a": priced("a", "1", "2")}, "routes": ONE}
    run_virtually(tmp_path, scripts={"a": answering(40, 8)}, options=Options(limit=50), **fields)
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "out").iterdir())

    rest = planned(tmp_path, **fields)
    changed = planned(tmp_path, **fields, prompt={"user": "again {{ text }}", "params": {"max_tokens": 16}})

    assert (rest.records.done, rest.records.planned, rest.records.stale) == (50, 10, 0)
    assert (changed.records.done, changed.records.planned, changed.records.stale) == (50, 10, 50)
    assert rest.routes[0].forecast.output_by == "observed"
    # 50 alike were told to have 40 tokens each, and answered in 8
    assert rest.total.input_tokens == pytest.approx(400, rel=0.05)
    assert rest.total.output_tokens == 80
    after = sorted((path.name, path.stat().st_mtime_ns) for path in (tmp_path / "out").iterdir())
    assert after == before


def test_a_sample_is_spread_over_the_whole_input(tmp_path: Path) -> None:
    half = [{"id": f"r{n}", "text": "x" * 50, "kind": "easy" if n < 5_000 else "hard"} for n in range(10_000)]
    write_records(tmp_path / "in.jsonl", half)

    found = planned(tmp_path, sample=500, **SPLIT)

    assert found.read == "systematic"
    assert 400 <= found.looked_at <= 700
    assert found.records.total == found.records.planned == 10_000
    shares = {line.route: line.forecast.records for line in found.routes}
    assert shares["default"] == pytest.approx(5_000, abs=50)
    assert shares["premium"] == pytest.approx(5_000, abs=50)


def test_what_cannot_be_sent_is_told_with_its_reason(tmp_path: Path) -> None:
    rows = [
        *records(6),
        {"id": "r0", "text": "again"},
        {"id": "null", "text": None},
        {"id": "x", "text": "y" * 900},
    ]
    write_records(tmp_path / "in.jsonl", rows)
    routes = {"default": {"models": ["a"], "max_cost": Decimal("0.0001")}}

    found = planned(tmp_path, routes=routes, models={"a": priced("a", "1", "2")})

    assert (found.records.planned, found.records.unsendable) == (6, 3)
    assert {each.error_type: each.records for each in found.faults} == {
        "id_duplicate": 1,
        "field_null": 1,
        "no_model_fits": 1,
    }
    examples = {each.error_type: each.example for each in found.faults}
    assert examples["id_duplicate"].endswith("id 'r0' was read before, at in.jsonl:1")
    assert "a is expected to cost 0.000" in examples["no_model_fits"]
    assert found.warnings == ()


def test_a_plan_says_that_a_run_would_stop_at_its_input(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": "same", "text": "a"}] * 150)

    found = planned(tmp_path)
    ran = run_virtually(tmp_path)

    (said,) = found.warnings
    assert said == f"a run would stop: {str(ran.ended.reason).removesuffix(' [input_mostly_bad]')}".replace(
        """: '{"id": "same", "text": "a"}'""", ""
    )


def test_only_and_limit_plan_what_they_run(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", kinds(400))

    hard = planned(tmp_path, only=("route=premium",), **SPLIT)
    few = planned(tmp_path, limit=100, **SPLIT)

    assert (hard.records.planned, hard.records.left_out) == (20, 380)
    assert (few.records.total, few.records.planned) == (100, 100)


@pytest.mark.parametrize(
    ("limits", "seconds", "limited_by"),
    [
        pytest.param({"rpm": 60, "tpm": 1_000_000}, 600.0, "rpm", id="requests a minute"),
        pytest.param({"rpm": 6_000, "tpm": 1_000}, 900.0, "tpm", id="tokens a minute"),
        pytest.param({"concurrency": 4}, None, None, id="nothing says how long an answer takes"),
    ],
)
def test_duration_is_that_of_the_limit_that_binds(
    tmp_path: Path, limits: dict[str, int], seconds: float | None, limited_by: str | None
) -> None:
    write_records(tmp_path / "in.jsonl", records(600))

    found = planned(
        tmp_path,
        counts={"a": fixed(17)},  # and 8 of output: 15,000 tokens
        models={"a": priced("a", "1", "2", limits=limits)},
        routes=ONE,
    )

    assert found.routes[0].forecast.duration.seconds == seconds
    assert found.routes[0].forecast.duration.limited_by == limited_by


def test_an_unknown_price_is_null_and_named(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(10))

    found = planned(tmp_path, models={"a": {"provider": "p"}}, routes=ONE)

    assert found.unpriced == ("a",)
    assert json.loads(found.json())["total"]["cost_usd"] == {"low": None, "expected": None, "high": None}


def test_a_batch_costs_what_the_price_says_of_it(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(10))
    price = {"input": 2, "output": 8, "batch": {"input": 1, "output": 4}}

    found = planned(tmp_path, counts={"a": fixed(100)}, models={"a": model("a", price=price)}, routes=ONE)

    assert found.total.cost_usd.expected == 2 * (found.total.batch_usd or 0) == Decimal("0.00264")


def test_long_requests_are_planned_at_their_price(tmp_path: Path) -> None:
    from batchroute.core.money import Price, Rates, Threshold
    from batchroute.routing.forecasts import Declared, Forecaster, Load, Observed

    above = (Threshold(input_tokens=1_000, price=Price(input=Decimal(2), output=Decimal(4))),)
    rates = Rates.of(Price(input=Decimal(1), output=Decimal(2), above=above))
    declared = Declared(
        name="a", rates=rates, concurrency=1, rpm=None, tpm=None, cap=100, latency_s=lambda _: None
    )
    load = Load("default", ("a",))
    for tokens in (1_000, 1_001):
        load.add(tokens, 100, {})

    found = Forecaster({"a": declared}, Observed()).at("a", [(load, 1)])

    # 1,000 x 1 + 100 x 2 + 1,001 x 2 + 100 x 4
    assert found.cost_usd.high == Decimal("0.003602")


def test_what_an_equal_record_was_answered_by_an_earlier_run_is_not_planned(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "text": f"question {n % 7}"} for n in range(100)]
    write_records(tmp_path / "in.jsonl", rows)
    scripts = {"a": answering(40, 8)}
    run_virtually(tmp_path, scripts=scripts, options=Options(limit=5), routes=ONE)

    rest = planned(tmp_path, routes=ONE)
    own = planned(tmp_path, routes=ONE, dedupe=False)
    ran = run_virtually(tmp_path, scripts=scripts, routes=ONE)

    assert (rest.records.done, rest.records.planned, rest.records.repeated) == (5, 2, 93)
    assert (ran.ended.repeated, len(ran.provider.log)) == (93, 2)
    assert (own.records.planned, own.records.repeated) == (95, 0)


def test_vectors_have_no_output_and_share_requests(tmp_path: Path) -> None:
    """They were planned with 256 tokens of output for each record, and a request of its own."""
    write_records(tmp_path / "in.jsonl", records(640))

    found = planned(
        tmp_path,
        endpoint="embeddings",
        embeddings={"batch": 64},
        prompt={"user": "{{ text }}"},
        counts={"a": fixed(100)},
        models={"a": priced("a", "1", "2", limits={"rpm": 60})},
        routes=ONE,
    )

    cost = found.total.cost_usd
    assert found.total.output_tokens == 0
    assert cost.low == cost.expected == cost.high == Decimal("0.064")
    assert (found.total.duration.seconds, found.total.duration.limited_by) == (10, "rpm of a")


def test_a_record_without_a_limit_of_its_output_has_no_upper_bound(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(4))

    found = planned(tmp_path, prompt={"user": "{{ text }}"}, routes=ONE)

    assert (found.total.output_tokens, found.total.cost_usd.high) == (4 * 256, None)


def test_planning_imports_no_client_of_any_provider(tmp_path: Path) -> None:
    program = (
        "import sys, batchroute; print(batchroute.plan(sys.argv[1]).records.planned, 'openai' in sys.modules)"
    )
    path = write_job(tmp_path, count=3)

    done = subprocess.run(
        [sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=True
    )

    assert done.stdout == "3 False\n"
    assert not (tmp_path / "out").exists()


def test_counts_are_asked_with_the_request_as_it_was_rendered(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(2))
    asked: list[Request] = []

    def count(request: Request) -> int:
        asked.append(request)
        return 1

    planned(tmp_path, counts={"a": count}, routes=ONE)

    assert [json.loads(request.messages)[0]["content"] for request in asked] == ["question 0", "question 1"]


LABELLED: dict[str, Any] = {
    "models": {"a": priced("a", "1", "2"), "tiny": priced("tiny", "0.1", "0.4")},
    "routes": ONE,
    "classify": [{"llm": {"model": "tiny", "labels": ["chat", "code"], "batch": 20}}],
}


def labelling(_: object) -> tuple[float, Response]:
    lines = "\n".join(f"{number} | code | 0.9" for number in range(1, 21))
    return 0.1, answer(lines, input_tokens=300, output_tokens=100)


def test_labels_by_a_model_are_planned_as_they_are_asked(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [*records(50), {"id": "again", "text": "question 7"}])

    first = planned(tmp_path, limit=30, **LABELLED)
    ran = run_virtually(
        tmp_path, scripts={"tiny": labelling, "a": answering(9, 9)}, options=Options(limit=30), **LABELLED
    )
    rest = planned(tmp_path, **LABELLED)
    unlabelled = planned(tmp_path, **{**LABELLED, "classify": []})

    (line,) = first.beside
    assert (line.purpose, line.model, line.forecast.records) == ("classify", "tiny", 2)
    assert ran.ledger.filter(purpose="classify").height == 2
    assert line.forecast.output_by == "share"
    # of the others 20 texts are new, one request, and one was told of by the first run
    (line,) = rest.beside
    assert (line.forecast.records, line.forecast.output_tokens) == (1, 100)
    assert line.forecast.output_by == "observed"
    assert unlabelled.beside == ()


def test_what_a_model_has_said_of_a_text_picks_its_route_in_a_plan(tmp_path: Path) -> None:
    routes = {"code": {"when": {"task": "code"}, "models": ["a"]}, **ONE}
    write_records(tmp_path / "in.jsonl", records(20))
    run_virtually(
        tmp_path, scripts={"tiny": labelling, "a": answering(9, 9)}, **{**LABELLED, "routes": routes}
    )
    write_records(tmp_path / "in.jsonl", [{"id": f"new{n}", "text": f"question {n}"} for n in range(20)])

    found = planned(tmp_path, dedupe=False, **{**LABELLED, "routes": routes})

    assert [(line.route, line.forecast.records) for line in found.routes] == [("code", 20)]
    assert found.beside == ()


def test_equal_records_are_planned_once_as_they_are_sent_once(tmp_path: Path) -> None:
    """So are their judges."""
    judge = {"judge": {"model": "grader", "rubric": "Is right.", "threshold": 0.5}}
    fields: dict[str, Any] = {
        "models": {"a": priced("a", "1", "2"), "grader": priced("grader", "1", "2")},
        "routes": {"default": {"models": ["a"], "checks": [judge]}},
    }
    write_records(tmp_path / "in.jsonl", ({"id": f"r{n}", "text": f"question {n % 10}"} for n in range(40)))

    before = planned(tmp_path, counts={"a": fixed(9)}, **fields)
    scripts: dict[str, Script] = {"a": answering(9, 9), "grader": lambda _: (0.1, answer("1"))}
    ran = run_virtually(tmp_path, scripts=scripts, **fields)

    assert (before.records.total, before.records.planned, before.records.repeated) == (40, 10, 30)
    assert (before.total.records, before.total.input_tokens) == (10, 90)
    assert before.beside[0].forecast.records == 10
    assert dict(ran.ledger.filter(pl.col("attempt") > 0)["purpose"].value_counts().iter_rows()) == {
        "answer": 10,
        "judge": 10,
    }


@pytest.mark.parametrize(
    "asked",
    [
        {"dedupe": False},
        {"prompt": {"user": "{{ text }}", "params": {"max_tokens": 16, "temperature": 0.7}}},
        {"sample": 40},
    ],
    ids=["each is asked", "answers are drawn", "a part of them is looked at"],
)
def test_equal_records_are_planned_one_by_one_where(tmp_path: Path, asked: dict[str, Any]) -> None:
    write_records(tmp_path / "in.jsonl", ({"id": f"r{n}", "text": "question"} for n in range(40)))

    found = planned(tmp_path, routes=ONE, **asked).records
    assert (found.planned, found.repeated) == (40, 0)


def test_a_judge_is_planned_for_every_record_of_its_route(tmp_path: Path) -> None:
    judge = {"judge": {"model": "grader", "rubric": "Is right.", "threshold": 0.5}}
    fields: dict[str, Any] = {
        "models": {"a": priced("a", "1", "2"), "grader": priced("grader", "1", "2")},
        "routes": {"default": {"models": ["a"], "checks": [judge]}},
    }
    write_records(tmp_path / "in.jsonl", records(40))
    scripts: dict[str, Script] = {
        "a": answering(9, 9),
        "grader": lambda _: (0.1, answer("1", input_tokens=90, output_tokens=3)),
    }

    ran = run_virtually(tmp_path, scripts=scripts, options=Options(limit=25), **fields)
    rest = planned(tmp_path, **fields)

    assert ran.ledger.filter(purpose="judge").height == 25
    (line,) = rest.beside
    assert (line.purpose, line.model, line.forecast.records) == ("judge", "grader", 15)
    assert line.forecast.output_tokens == 15 * 3
    assert line.forecast.input_tokens > rest.total.input_tokens + rest.total.output_tokens
    assert rest.total.records == 15
