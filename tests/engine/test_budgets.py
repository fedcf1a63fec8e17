"""Whole runs with a budget or a deadline, on the virtual clock."""

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from batchroute.core.errors import JobError
from batchroute.core.responses import ErrorType, Outcome, Usage
from batchroute.engine.pipeline import Options
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, always, answer, failure

PRICE = {"input": 1, "output": 2}
PROMPT = {"user": "{{ text }}", "params": {"max_tokens": 16}}


def play(
    folder: Path,
    script: Script,
    count: int = 200,
    *,
    budget: dict[str, Any] | None = None,
    options: Options | None = None,
    concurrency: int = 20,
    price: dict[str, Any] | None = None,
    **fields: Any,
) -> Ran:
    if not (folder / "in.jsonl").exists():
        write_records(folder / "in.jsonl", records(count))
    one = model("a", price=price or PRICE, limits={"concurrency": concurrency})
    fields.setdefault("models", {"a": one})
    fields.setdefault("routes", {"default": {"models": ["a"]}})
    fields.setdefault("prompt", PROMPT)
    return run_virtually(folder, scripts={"a": script, "b": script}, budget=budget, options=options, **fields)


def spent(ran: Ran) -> Decimal:
    return Decimal(ran.ledger["cost_usd"].sum())


USUAL = always(answer(input_tokens=10, output_tokens=5))
"""Costs 0.00002 USD; up to 0.000156 is set aside for it."""


def test_a_run_stops_at_its_budget_and_a_larger_one_goes_on(tmp_path: Path) -> None:
    first = play(tmp_path, USUAL, budget={"usd": 0.002})
    assert first.ended.exit_code == 4
    assert "budget.usd" in str(first.ended.reason)
    assert first.ended.event == "budget"
    assert Decimal("0.0018") <= spent(first) <= Decimal("0.002")
    assert first.ended.pending == 200 - first.ended.succeeded > 0

    again = play(tmp_path, USUAL, budget={"usd": 0.002})
    assert (again.ended.exit_code, again.ended.succeeded, again.provider.log) == (4, 0, [])

    rest = play(tmp_path, USUAL, budget={"usd": 1})
    assert (rest.ended.exit_code, rest.ended.pending) == (0, 0)
    assert rest.results.height == 200
    assert spent(rest) == Decimal("0.004")


def test_a_budget_of_a_run_is_there_again_for_the_next_one(tmp_path: Path) -> None:
    ran = [play(tmp_path, USUAL, budget={"per_run_usd": 0.002}) for _ in range(3)]
    assert [each.ended.exit_code for each in ran] == [4, 4, 0]
    assert ran[0].ended.succeeded == ran[1].ended.succeeded > 0


def test_what_is_set_aside_for_others_is_waited_for(tmp_path: Path) -> None:
    # Room for 28 upper bounds at a time, and for all answers.
    ran = play(tmp_path, USUAL, budget={"usd": 0.0044}, count=200, concurrency=200)
    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 200)
    assert ran.provider.most_in_flight["a"] <= 29


def test_the_budget_of_a_route_stops_that_route_alone(tmp_path: Path) -> None:
    kinds = [{**record, "kind": "dear" if n % 2 else "cheap"} for n, record in enumerate(records(200))]
    write_records(tmp_path / "in.jsonl", kinds)
    ran = play(
        tmp_path,
        USUAL,
        budget={"per_route": {"dear": 0.001}},
        classify=[{"column": "kind"}],
        routes={"dear": {"when": {"task": "dear"}, "models": ["a"]}, "default": {"models": ["a"]}},
    )
    dear = ran.ledger.filter(route="dear")["cost_usd"].sum()
    assert Decimal("0.0008") <= dear <= Decimal("0.001")
    assert ran.ledger.filter(route="default").height == 100
    assert ran.ended.exit_code == 4
    assert "budget.per_route.dear" in str(ran.ended.reason)


def test_the_budget_of_a_route_holds_up_no_other_one(tmp_path: Path) -> None:
    # The records of one route waited at the head of a line that all of them shared.
    kinds = [{**record, "kind": "dear" if n < 4 else "cheap"} for n, record in enumerate(records(200))]
    write_records(tmp_path / "in.jsonl", kinds)
    slow = always(answer(input_tokens=10, output_tokens=5), 4.0)
    ran = run_virtually(
        tmp_path,
        scripts={"a": slow, "b": USUAL},
        budget={"per_route": {"dear": 0.0003}},  # room for one upper bound at a time
        classify=[{"column": "kind"}],
        models={name: model(name, price=PRICE, limits={"concurrency": 20}) for name in "ab"},
        routes={"dear": {"when": {"task": "dear"}, "models": ["a"]}, "default": {"models": ["b"]}},
    )

    assert (ran.ended.exit_code, ran.provider.most_in_flight["a"]) == (0, 1)
    assert ran.provider.sent_to("b")[-1].at < 4.0
    assert ran.ended.duration_s >= 16.0


def test_a_record_dearer_than_what_is_left_waits_and_the_others_go_on(tmp_path: Path) -> None:
    long = {"id": "long", "text": "x" * 5000}
    write_records(
        tmp_path / "in.jsonl", [*records(5), long, *({**r, "id": f"b{r['id']}"} for r in records(5))]
    )
    ran = play(tmp_path, USUAL, budget={"usd": 0.004}, concurrency=1)
    assert (ran.ended.exit_code, ran.ended.succeeded, ran.ended.pending) == (4, 10, 1)
    assert "long" not in ran.results["record_id"]


def test_a_record_that_may_cost_more_than_a_record_may_is_a_dead_letter(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [*records(3), {"id": "long", "text": "x" * 5000}])
    ran = play(tmp_path, USUAL, budget={"per_record_usd": 0.001})
    [letter] = ran.results.filter(status="failed").iter_rows(named=True)
    assert (letter["record_id"], letter["error_type"], letter["attempts"]) == ("long", "budget_record", 0)
    assert ran.ended.exit_code == 3


def test_attempts_of_a_record_are_counted_together(tmp_path: Path) -> None:
    lost = always(failure(ErrorType.BODY_TRUNCATED, sent=True))
    ran = play(tmp_path, lost, count=1, budget={"per_record_usd": 0.0004})
    assert ran.ledger.height == 2  # the third would pass it
    assert ran.results["error_type"].to_list() == ["body_truncated"]


def test_a_provider_that_exceeds_the_limit_of_output_is_set_aside_more_for(tmp_path: Path) -> None:
    greedy = always(answer(input_tokens=10, output_tokens=1600))
    ran = play(tmp_path, greedy, budget={"usd": 0.02}, concurrency=1)
    assert spent(ran) <= Decimal("0.02") + Decimal("0.00322")
    assert "usage_over_reservation" in ran.ledger["flag"].to_list()
    assert ran.ended.exit_code == 4


@pytest.mark.parametrize("served", ["priority", None])
def test_the_service_tier_of_a_record_counts_for_what_is_set_aside(
    tmp_path: Path, served: str | None
) -> None:
    # The reservation knew the job's parameters only: of an honest provider, it was passed.
    def body(number: int) -> dict[str, Any]:
        messages = [{"role": "user", "content": f"question {number}"}]
        return {"messages": messages, "service_tier": "priority" if number % 2 else "flex"}

    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "body": body(n)} for n in range(40)])

    def tiered(sent: Sent) -> tuple[float, Outcome]:
        tier = served if b"priority" in sent.request.params else "flex"
        return 0.1, structs.replace(answer(input_tokens=20, output_tokens=100), service_tier=tier)

    run = play(
        tmp_path,
        tiered,
        budget={"usd": 0.03, "per_record_usd": 0.01},
        prompt={"body": "body", "params": {"max_tokens": 100}},
        price={**PRICE, "priority": {"input": 20, "output": 40}, "flex": {"input": 0.5, "output": 1}},
    )

    assert run.ended.exit_code == 4
    assert Decimal("0.02") <= spent(run) <= Decimal("0.03")
    assert set(run.ledger["flag"]) == {None}
    dear = run.ledger.filter(pl.col("price_input") == 20)
    assert set(dear["cost_usd"]) == {Decimal("0.0044")}
    assert set(run.ledger.filter(pl.col("price_input") != 20)["cost_usd"]) == {Decimal("0.00011")}


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        pytest.param({"prompt": {"user": "{{ text }}"}}, "job_no_output_cap", id="no limit of output"),
        pytest.param({"models": {"a": {"provider": "p", "model": "a"}}}, "job_price", id="no price"),
    ],
)
def test_what_has_no_upper_bound_is_refused(tmp_path: Path, fields: dict[str, Any], word: str) -> None:
    with pytest.raises(JobError, match=word):
        play(tmp_path, USUAL, budget={"usd": 1}, **fields)


def adversary(seed: int) -> Script:
    """Usages up to what was allowed, none at all, failures that may have been billed, at any speed."""
    random = Random(seed)

    def script(sent: Sent) -> tuple[float, Outcome]:
        bound = len(sent.request.messages) + len(sent.request.params)
        kind = random.random()
        usage = Usage(input_tokens=random.randint(0, bound), output_tokens=random.randint(0, 16))
        outcome: Outcome = structs.replace(answer(), usage=usage)
        if kind < 0.1:
            outcome = structs.replace(answer(), usage=None)
        elif kind < 0.2:
            outcome = failure(ErrorType.CONNECTION_LOST, sent=True)
        elif kind < 0.25:
            outcome = failure(ErrorType.SERVER_ERROR)
        elif kind < 0.27:
            outcome = failure(ErrorType.RATE_LIMITED)
        return random.choice([0.001, 0.1, 3.0]), outcome

    return script


@given(seed=st.integers(0, 10**6), usd=st.decimals("0.0005", "0.08", places=6))
@settings(max_examples=8, deadline=None)
def test_a_budget_is_never_passed_whatever_comes_back(
    tmp_path_factory: pytest.TempPathFactory, seed: int, usd: Decimal
) -> None:
    folder = tmp_path_factory.mktemp("budget")
    for raised in (1, 2):
        ran = play(
            folder, adversary(seed + raised), count=600, budget={"usd": float(usd * raised)}, concurrency=500
        )
        assert spent(ran) <= usd * raised
        assert ran.results["cost_usd"].sum() <= spent(ran)
        assert ran.ended.exit_code in {0, 3, 4}
        assert (ran.ended.pending > 0) == (ran.ended.exit_code == 4)


def test_a_deadline_ends_the_run_with_everything_back(tmp_path: Path) -> None:
    ran = play(tmp_path, always(answer(), 2.0), count=1000, options=Options(max_duration_s=60.0))
    assert (ran.ended.exit_code, ran.ended.event) == (4, "failure")
    assert 55.0 <= ran.ended.duration_s <= 60.5
    assert ran.ended.errors == {}
    assert ran.ended.pending == 1000 - ran.ended.succeeded > 0

    rest = play(tmp_path, always(answer(), 2.0))
    assert (rest.ended.exit_code, rest.results.height) == (0, 1000)


def test_what_is_still_out_at_the_deadline_is_cut_off(tmp_path: Path) -> None:
    def late(sent: Sent) -> tuple[float, Outcome]:
        return (0.5 if sent.at < 59.0 else 1.9), answer()

    ran = play(tmp_path, late, count=3000, options=Options(max_duration_s=60.0))
    assert 59.9 <= ran.ended.duration_s <= 60.1
    assert ran.ended.errors == {"cancelled_by_run": 20}


def test_a_time_of_day_is_a_deadline(tmp_path: Path) -> None:
    ran = play(tmp_path, always(answer(), 2.0), count=1000, deadline="08:01 UTC")  # it begins at eight
    assert ran.ended.exit_code == 4
    assert 55.0 <= ran.ended.duration_s <= 60.5


def test_a_moment_that_has_passed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="has passed"):
        play(tmp_path, USUAL, deadline="2026-01-01T06:00:00Z")


def test_record_that_waited_for_money_goes_on_where_its_model_went_out_meanwhile(tmp_path: Path) -> None:
    def fails(sent: Sent) -> tuple[float, Outcome]:
        return 0.1, answer() if sent.model == "b" else failure(ErrorType.MODEL_NOT_FOUND)

    models = {name: model(name, price=PRICE, limits={"concurrency": 8}) for name in "ab"}
    routes = {"default": {"models": ["a", "b"]}}
    ran = play(tmp_path, fails, 20, budget={"usd": 0.0008}, models=models, routes=routes)

    assert ran.ended.succeeded == 20
    assert ran.ended.duration_s < 60
