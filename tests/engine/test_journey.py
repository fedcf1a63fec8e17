"""The way of one record, told by its rows of the ledger."""

import asyncio
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs

from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine.pipeline import Options
from tests.builders import PROVIDER, model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, always, answer, failure

E = ErrorType
MODELS = {"a": model("a"), "b": model("b", provider="q")}
ACCOUNTS = {"p": PROVIDER, "q": PROVIDER}


def replies(*outcomes: Outcome, latency_s: float = 0.1) -> Script:
    """One after the other; the last one for good."""

    def script(sent: Sent) -> tuple[float, Outcome]:
        return latency_s, outcomes[min(sent.number, len(outcomes)) - 1]

    return script


def failing(*kinds: ErrorType, then: bool = True) -> Script:
    """These failures, and then answers."""
    failures: list[Outcome] = [failure(kind) for kind in kinds]
    return replies(*failures, answer()) if then else replies(*failures)


FINE = replies(answer())


def one_record(folder: Path, a: Script, b: Script = FINE, route: str = "ab", **fields: Any) -> Ran:
    """A run of one record over this route of models a, of provider p, and b, of provider q."""
    write_records(folder / "in.jsonl", records(1))
    routes = {"default": {"models": list(route)}}
    return run_virtually(
        folder, scripts={"a": a, "b": b}, models=MODELS, providers=ACCOUNTS, routes=routes, **fields
    )


def path_of(ran: Ran) -> list[str]:
    """Model and verdict of each attempt."""
    rows = ran.ledger.sort("attempt").select("model", "verdict").iter_rows()
    return [f"{model} {verdict}" for model, verdict in rows]


@pytest.mark.parametrize(
    ("a", "b", "route", "expected"),
    [
        pytest.param(FINE, FINE, "ab", ["a accept"], id="the first model answers"),
        pytest.param(FINE, FINE, "ba", ["b accept"], id="the route decides who is first"),
        pytest.param(
            failing(E.SERVER_ERROR), FINE, "ab", ["a failover", "b accept"], id="A71 the next model at once"
        ),
        pytest.param(
            failing(E.SERVER_ERROR), FINE, "a", ["a retry", "a accept"], id="no next model: the same again"
        ),
        pytest.param(
            failing(E.CONNECT_REFUSED),
            FINE,
            "ab",
            ["a retry", "a accept"],
            id="a passing fault of the network",
        ),
        pytest.param(
            failing(E.CONNECT_REFUSED, then=False),
            FINE,
            "ab",
            ["a retry", "a retry", "a failover", "b accept"],
            id="a lasting one",
        ),
        pytest.param(
            failing(E.ATTEMPT_TIMEOUT, then=False),
            FINE,
            "ab",
            ["a retry", "a failover", "b accept"],
            id="too slow twice",
        ),
        pytest.param(
            failing(E.EMPTY_ANSWER, then=False),
            FINE,
            "ab",
            ["a retry", "a escalate", "b accept"],
            id="an answer that is none escalates",
        ),
        pytest.param(
            failing(E.EMPTY_ANSWER, then=False),
            failing(E.EMPTY_ANSWER, then=False),
            "ab",
            ["a retry", "a escalate", "b retry", "b dead_letter"],
            id="and ends where nobody has one",
        ),
        pytest.param(
            failing(E.CONTEXT_EXCEEDED), FINE, "ab", ["a failover", "b accept"], id="too long for one model"
        ),
        pytest.param(
            failing(E.CONTEXT_EXCEEDED), FINE, "a", ["a dead_letter"], id="too long for the only one"
        ),
        pytest.param(failing(E.BAD_REQUEST), FINE, "ab", ["a dead_letter"], id="A50 the record's own fault"),
        pytest.param(
            failing(E.RATE_LIMITED), FINE, "ab", ["a wait", "a accept"], id="a short pause is waited for"
        ),
        pytest.param(
            replies(failure(E.RATE_LIMITED, retry_after_s=60.0)),
            FINE,
            "ab",
            ["a failover", "b accept"],
            id="a long one is not",
        ),
        pytest.param(
            replies(failure(E.RATE_LIMITED, retry_after_s=60.0), answer()),
            FINE,
            "a",
            ["a wait", "a accept"],
            id="but where there is nobody else",
        ),
        pytest.param(
            failing(E.MODEL_NOT_FOUND), FINE, "ab", ["a failover", "b accept"], id="A60 no such model"
        ),
        pytest.param(
            failing(E.AUTH_REJECTED), FINE, "ab", ["a failover", "b accept"], id="A56 a key that is refused"
        ),
        pytest.param(
            failing(E.EMPTY_ANSWER, then=False),
            failing(E.EMPTY_ANSWER, then=False),
            "ab",
            ["a retry", "a escalate", "b retry", "b dead_letter"],
            id="twice on each model",
        ),
        pytest.param(
            failing(E.EMPTY_ANSWER, then=False),
            FINE,
            "a",
            ["a retry", "a dead_letter"],
            id="twice on the only model",
        ),
        pytest.param(
            replies(*[failure(E.SERVER_ERROR)] * 6, answer()),
            FINE,
            "a",
            [*["a retry"] * 5, "a wait", "a accept"],
            id="as long as the only model may be down",
        ),
        pytest.param(
            replies(*[failure(E.RATE_LIMITED, retry_after_s=0.5)] * 7, answer()),
            FINE,
            "ab",
            [*["a wait"] * 7, "a accept"],
            id="rate limits count as no tries",
        ),
        pytest.param(
            replies(*[failure(E.RATE_LIMITED, retry_after_s=1.0)] * 99),
            FINE,
            "ab",
            [*["a wait"] * 5, "a failover", "b accept"],
            id="a model that only refuses is left for another",
        ),
        pytest.param(
            replies(failure(E.CONNECT_REFUSED, retry_after_s=60.0)),
            FINE,
            "ab",
            ["a failover", "b accept"],
            id="a long wish is not waited for beside an idle model",
        ),
    ],
)
def test_path(tmp_path: Path, a: Script, b: Script, route: str, expected: Sequence[str]) -> None:
    ran = one_record(tmp_path, a, b, route)

    assert path_of(ran) == expected
    assert len(ran.provider.log) == len(expected)
    [result] = ran.results.iter_rows(named=True)
    verdicts = [step.split()[1] for step in expected]
    assert result["status"] == ("succeeded" if verdicts[-1] == "accept" else "failed")
    assert result["model"] == expected[-1].split()[0]
    assert result["attempts"] == len(expected)
    assert (result["failovers"], result["escalations"]) == (
        verdicts.count("failover"),
        verdicts.count("escalate"),
    )


def test_the_last_tries_are_kept_for_models_that_were_not_tried_yet(tmp_path: Path) -> None:
    """Three and two would be all five, and the model that answers everybody would never be asked."""
    write_records(tmp_path / "in.jsonl", records(1))
    ran = run_virtually(
        tmp_path,
        scripts={
            "a": failing(E.CONNECT_REFUSED, then=False),
            "b": failing(E.CONNECT_REFUSED, then=False),
            "c": FINE,
        },
        models={name: model(name) for name in "abc"},
        routes={"default": {"models": list("abc")}},
    )

    assert path_of(ran) == ["a retry", "a retry", "a failover", "b failover", "c accept"]


def test_an_answered_record_has_its_answer_and_what_is_known_of_it(tmp_path: Path) -> None:
    said = structs.replace(
        answer("a reply"), response_model="a-2026", response_id="x1", service_tier="flex", flag="odd"
    )
    ran = one_record(tmp_path, replies(failure(E.CONNECT_REFUSED), said, latency_s=0.25))

    [result] = ran.results.iter_rows(named=True)
    assert (result["response"], result["finish_reason"], result["flag"]) == ("a reply", "stop", "odd")
    assert (result["error_type"], result["error_message"]) == (None, None)
    assert result["latency_s"] == pytest.approx(0.25)
    row = ran.ledger.sort("attempt").row(-1, named=True)
    assert (row["outcome"], row["response_model"], row["response_id"]) == ("ok", "a-2026", "x1")
    assert (row["service_tier"], row["flag"], row["error_type"]) == ("flex", "odd", None)
    assert (row["route"], row["purpose"], row["lane"]) == ("default", "answer", "online")


def test_a_dead_letter_names_its_last_failure_and_who_it_came_from(tmp_path: Path) -> None:
    ran = one_record(tmp_path, failing(E.SERVER_ERROR), failing(E.BAD_REQUEST))

    [result] = ran.results.iter_rows(named=True)
    assert (result["status"], result["response"], result["latency_s"]) == ("failed", None, None)
    assert (result["error_type"], result["error_message"]) == ("bad_request", "b: scripted bad_request")
    assert (result["model"], result["provider"]) == ("b", "q")
    first = ran.ledger.sort("attempt").row(0, named=True)
    assert (first["outcome"], first["error_type"], first["http_status"]) == ("error", "server_error", 500)


def test_a_record_whose_models_are_all_out_waits_for_another_run(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": "x", "text": "t"}, {"id": "y", "text": "t", "kind": "late"}])
    ran = run_virtually(
        tmp_path,
        scripts={"a": failing(E.MODEL_NOT_FOUND), "b": replies(answer(), latency_s=5.0)},
        models={"a": model("a", limits={"concurrency": 1}), "b": model("b")},
        classify=[{"column": "kind"}],
        routes={"late": {"when": {"task": "late"}, "models": ["a"]}, "default": {"models": ["a", "b"]}},
    )
    found = {row["record_id"]: row for row in ran.results.iter_rows(named=True)}
    assert found["x"]["model"] == "b"
    assert "y" not in found
    assert (ran.ended.exit_code, ran.ended.pending) == (5, 1)
    assert "a: scripted model_not_found" in str(ran.ended.reason)
    assert ran.ledger.filter(record_id="y").is_empty()


PROMPT_BYTES = len(b'[{"role":"user","content":"question 0"}],"max_tokens":16') + 64
UPPER_BOUND = Decimal(PROMPT_BYTES + 2 * 16) / 10**6
UNTOLD = structs.replace(answer(), usage=None)
BILLED = structs.replace(
    failure(E.EMPTY_ANSWER, sent=True), usage=answer(input_tokens=3, output_tokens=1).usage
)


@pytest.mark.parametrize(
    ("outcome", "basis", "cost"),
    [
        pytest.param(answer(), "usage", Decimal("0.00002"), id="an answer with its usage"),
        pytest.param(UNTOLD, "upper_bound", UPPER_BOUND, id="an answer without"),
        pytest.param(BILLED, "usage", Decimal("0.000005"), id="a useless answer costs as much"),
        pytest.param(failure(E.RATE_LIMITED), "none", Decimal(0), id="refused before it was sent on"),
        pytest.param(failure(E.CONNECTION_LOST, sent=True), "upper_bound", UPPER_BOUND, id="nobody knows"),
    ],
)
def test_cost_of_an_attempt(tmp_path: Path, outcome: Outcome, basis: str, cost: Decimal) -> None:
    ran = one_record(tmp_path, replies(outcome, answer()))
    first = ran.ledger.sort("attempt").row(0, named=True)
    assert (first["cost_basis"], first["cost_usd"]) == (basis, cost)
    assert ran.results["cost_usd"].sum() == ran.ledger["cost_usd"].sum()


def test_without_a_limit_of_output_there_is_no_upper_bound(tmp_path: Path) -> None:
    lost = replies(failure(E.CONNECTION_LOST, sent=True), answer())
    ran = one_record(tmp_path, lost, prompt={"user": "{{ text }}"})
    assert ran.ledger.sort("attempt")["cost_usd"].to_list() == [None, Decimal("0.00002")]
    assert ran.results["cost_usd"].to_list() == [None]


@pytest.mark.parametrize(
    ("wish_s", "least_s"), [pytest.param(None, 0.0, id="no wish"), pytest.param(4.0, 4.0, id="a wish")]
)
def test_a_retry_waits_as_long_as_the_provider_wishes(
    tmp_path: Path, wish_s: float | None, least_s: float
) -> None:
    ran = one_record(tmp_path, replies(failure(E.CONNECT_REFUSED, retry_after_s=wish_s), answer()))
    first, second = (sent.at for sent in ran.provider.log)
    assert first + 0.1 + least_s <= second + 1e-6
    assert second <= first + 0.1 + max(least_s, 0.5) + 1e-6


def test_a_retry_waits_without_a_slot(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(2))
    one_slot = {"a": model("a", limits={"concurrency": 1}), "b": model("b")}
    refused_first = replies(failure(E.CONNECT_REFUSED, retry_after_s=4.0), answer())
    ran = run_virtually(tmp_path, scripts={"a": refused_first, "b": FINE}, models=one_slot)
    first, second, third = (sent.at for sent in ran.provider.log)
    assert second - first < 1.0
    assert third - first >= 4.0


def test_the_time_in_the_queue_is_in_the_ledger(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(3))
    one_slot = {"a": model("a", limits={"concurrency": 1}), "b": model("b")}
    ran = run_virtually(tmp_path, scripts={"a": always(answer(), 2.0), "b": FINE}, models=one_slot)
    queued = sorted(ran.ledger["queued_s"])
    assert [round(seconds, 2) for seconds in queued] == [0.0, 2.0, 4.0]


def test_an_attempt_is_in_the_store_before_it_is_sent(tmp_path: Path) -> None:
    """A provider that never answers, and a run that is cut off: the next one finds the attempt."""
    write_records(tmp_path / "in.jsonl", records(1))

    def cut_off(sent: Sent) -> tuple[float, Outcome]:
        for task in asyncio.all_tasks():
            task.cancel()
        return 1.0, answer()

    with pytest.raises(asyncio.CancelledError):
        one_record(tmp_path, cut_off)
    ran = one_record(tmp_path, FINE, seed=1)
    unknown, answered = ran.ledger.sort("attempt").iter_rows(named=True)
    assert (unknown["error_type"], unknown["cost_usd"], unknown["verdict"]) == (
        "unknown_outcome",
        UPPER_BOUND,
        "retry",
    )
    assert (unknown["outcome"], answered["outcome"]) == ("unknown", "ok")
    assert unknown["run_id"] != answered["run_id"]
    assert ran.results["attempts"].to_list() == [2]


def test_numbers_go_on_where_an_earlier_run_has_ended(tmp_path: Path) -> None:
    one_record(tmp_path, failing(E.BAD_REQUEST))
    left = one_record(tmp_path, FINE, options=Options(retry_failed=False))
    assert left.provider.log == []
    ran = one_record(tmp_path, FINE)
    assert path_of(ran) == ["a dead_letter", "a accept"]
    assert ran.ledger["attempt"].to_list() == [1, 2]
