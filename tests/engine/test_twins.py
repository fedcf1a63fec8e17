"""Records that ask the same: sent once, answered all."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace

from batchroute.core.money import usd
from batchroute.core.records import UNLABELLED
from batchroute.core.requests import Request
from batchroute.core.responses import ErrorType, Usage
from batchroute.core.results import Result, Status
from batchroute.engine.feed import RENDERED_AT_ONCE
from batchroute.engine.pipeline import Options
from batchroute.engine.trails import Admitted
from batchroute.engine.twins import Twins
from batchroute.io.store import Group, Store
from batchroute.job.endpoints import VECTOR
from tests.builders import model, records, result, write_records
from tests.engine.runs import run_virtually
from tests.engine.test_bundles import ASKED, ONE, embedding
from tests.fakes import Script, always, answer, failure

EQUAL = [{"id": f"r{number}", "text": "the same"} for number in range(20)]
TOLD = Usage(input_tokens=10, output_tokens=5)


def test_equal_records_are_sent_once_and_all_are_answered(tmp_path: Path) -> None:
    """One attempt is paid for; every record has its row with the one answer."""
    write_records(tmp_path / "in.jsonl", EQUAL)

    ran = run_virtually(tmp_path, scripts={"a": always(answer("once"))})

    assert len(ran.provider.log) == 1
    assert ran.results["response"].to_list() == ["once"] * 20
    assert ran.results["record_id"].n_unique() == 20
    assert sorted(ran.results["attempts"]) == [0] * 19 + [1]
    assert ran.results["cost_usd"].sum() == ran.ledger["cost_usd"].sum()
    assert ran.ended.repeated == 19
    assert ran.ended.succeeded == 20


def test_dedupe_false_sends_every_record(tmp_path: Path) -> None:
    """Whoever draws many answers to one prompt gets them."""
    write_records(tmp_path / "in.jsonl", EQUAL)

    ran = run_virtually(tmp_path, dedupe=False, scripts={"a": always(answer())})

    assert len(ran.provider.log) == 20
    assert ran.ended.repeated == 0


@pytest.mark.parametrize(
    ("error_type", "requests", "succeeded"),
    [
        pytest.param(ErrorType.BAD_REQUEST, 1, 0, id="the fault is the request's: nobody asks again"),
        pytest.param(ErrorType.EMPTY_ANSWER, 5, 18, id="it may have been chance: a second record asks"),
    ],
)
def test_a_follower_shares_the_dead_letter_only_where_the_request_is_at_fault(
    tmp_path: Path, error_type: ErrorType, requests: int, succeeded: int
) -> None:
    """Model a fails four times, as often as the first record asks; from then on it answers."""
    write_records(tmp_path / "in.jsonl", EQUAL[:19])
    script: Script = lambda sent: (0.1, failure(error_type) if sent.number <= 2 else answer())  # noqa: E731

    ran = run_virtually(tmp_path, scripts={"a": script, "b": always(failure(error_type))})

    assert ran.ended.succeeded == succeeded
    assert ran.results.height == 19
    assert len(ran.provider.log) == requests


def test_a_request_that_two_records_failed_with_is_not_sent_for_the_others(tmp_path: Path) -> None:
    """However many ask it: two opinions are enough, whatever they were."""
    write_records(tmp_path / "in.jsonl", EQUAL)

    ran = run_virtually(
        tmp_path,
        scripts=dict.fromkeys("ab", always(failure(ErrorType.EMPTY_ANSWER))),
    )

    assert ran.ended.failed == 20
    assert (ran.results["attempts"] > 0).sum() == 2


def test_answers_of_a_run_that_was_stopped_are_shared_by_the_next(tmp_path: Path) -> None:
    """What stands in parts already is found there: nothing is paid for twice."""
    texts = [{"id": f"r{number}", "text": f"question {number % 50}"} for number in range(200)]
    write_records(tmp_path / "in.jsonl", texts)

    first = run_virtually(tmp_path, options=Options(limit=50), scripts={"a": always(answer("once"))})
    second = run_virtually(tmp_path, scripts={"a": always(answer("again"))})

    assert len(first.provider.log) == 50
    assert second.provider.log == []
    assert second.results["response"].to_list() == ["once"] * 200
    assert second.ended.repeated == 150
    assert second.results["cost_usd"].sum() == second.ledger["cost_usd"].sum()


def test_records_of_different_routes_share_nothing(tmp_path: Path) -> None:
    """What a route asks of an answer may differ."""
    write_records(
        tmp_path / "in.jsonl", [{**each, "kind": f"{index % 2}"} for index, each in enumerate(EQUAL)]
    )

    ran = run_virtually(
        tmp_path,
        classify=[{"column": "kind"}],
        routes={"even": {"when": {"task": "0"}, "models": ["a"]}, "default": {"models": ["a"]}},
        scripts={"a": always(answer())},
    )

    assert len(ran.provider.log) == 2
    assert ran.results.group_by("route").len()["len"].to_list() == [10, 10]


def test_other_requests_go_on_while_many_wait_for_one(tmp_path: Path) -> None:
    """Records that wait for an equal one hold no place in the window."""
    many = [{"id": f"s{number}", "text": "slow"} for number in range(3000)]
    write_records(tmp_path / "in.jsonl", [*many, *records(100)])
    slow: Script = lambda sent: (50.0 if b"slow" in sent.request.messages else 0.1, answer())  # noqa: E731

    ran = run_virtually(tmp_path, scripts={"a": slow})

    assert len(ran.provider.log) == 101
    others = ran.results.filter(pl.col("record_id").str.starts_with("r"))
    done = ran.results.filter(pl.col("record_id") == "s0")["finished_at"][0]
    assert others["finished_at"].max() < done


@pytest.mark.parametrize(
    ("temperature", "dedupe", "sent"), [(0, None, 1), (0.7, None, 20), (0.7, True, 1), (0, False, 20)]
)
def test_a_temperature_draws_an_answer_for_each_record(
    tmp_path: Path, temperature: float, dedupe: bool | None, sent: int
) -> None:
    """Who asks for chance does not want the same twenty times; what the job says goes before that."""
    write_records(tmp_path / "in.jsonl", EQUAL)
    prompt = {"user": "{{ text }}", "params": {"max_tokens": 16, "temperature": temperature}}

    ran = run_virtually(tmp_path, prompt=prompt, dedupe=dedupe, scripts={"a": always(answer())})

    assert len(ran.provider.log) == sent


def test_a_shared_answer_has_a_line_in_the_ledger_that_costs_nothing(tmp_path: Path) -> None:
    """What was not spent stands beside it."""
    write_records(tmp_path / "in.jsonl", EQUAL)

    ran = run_virtually(tmp_path, scripts={"a": always(answer("once"))})

    asked, shared = ran.ledger.filter(pl.col("attempt") == 1), ran.ledger.filter(pl.col("attempt") == 0)
    assert (asked.height, shared.height) == (1, 19)
    assert set(shared["cost_basis"]) == {"shared"}
    assert set(shared["cost_usd"]) == {0}
    assert set(shared["spared_usd"]) == set(asked["cost_usd"])
    assert ran.ended.spared == 19 * ran.ended.cost


def test_an_equal_of_a_record_from_the_cache_spares_as_much(tmp_path: Path) -> None:
    first, second = tmp_path / "one", tmp_path / "two"
    for folder, count in ((first, 1), (second, 2 * RENDERED_AT_ONCE)):
        folder.mkdir()
        write_records(folder / "in.jsonl", [{"id": f"r{number}", "text": "same"} for number in range(count)])
    scripts, cache = {"a": always(answer())}, {"path": str(tmp_path / "cache")}

    asked = run_virtually(first, scripts=scripts, cache=cache).ledger
    found = run_virtually(second, scripts=scripts, cache=cache).ledger

    assert set(found["cost_basis"]) == {"cache", "shared"}
    assert set(found["spared_usd"]) == set(asked["cost_usd"])


FAILING_ONCE: Script = lambda sent: (  # noqa: E731
    0.1, replace(failure(ErrorType.EMPTY_ANSWER), usage=TOLD) if sent.number == 1 else replace(answer(), usage=TOLD)
)  # fmt: skip


@pytest.mark.parametrize("first", [20, 1], ids=["from memory", "from a part"])
@pytest.mark.parametrize(
    ("script", "spared", "by_totals"),
    [
        pytest.param(always(answer()), 20_000_000, True, id="one attempt at the price of its tokens"),
        pytest.param(FAILING_ONCE, 20_000_000, False, id="the failed attempt is not spared"),
        pytest.param(
            always(replace(answer(), usage=replace(TOLD, cached_tokens=8))),
            12_800_000,
            False,
            id="cached tokens cost less",
        ),
        pytest.param(always(replace(answer(), usage=None)), None, False, id="nobody knows what it took"),
    ],
)
def test_spared_is_what_the_answer_cost_or_unknown(
    tmp_path: Path, script: Script, spared: int | None, by_totals: bool, first: int
) -> None:
    """Of what stands in a part only the sums of its record are known, which may be more than the answer took."""
    write_records(tmp_path / "in.jsonl", EQUAL)
    price = {"input": Decimal(1), "cached": Decimal("0.1"), "output": Decimal(2)}
    asked: dict[str, Any] = {
        "models": {"a": model("a", price=price)},
        "routes": {"default": {"models": ["a"]}},
        "scripts": {"a": script},
    }

    run_virtually(tmp_path, options=Options(limit=first), **asked)
    ran = run_virtually(tmp_path, **asked)

    shared = ran.ledger.filter(pl.col("attempt") == 0)["spared_usd"].unique().to_list()
    known = spared is not None and (first == 20 or by_totals)
    assert shared == [usd(spared) if known and spared is not None else None]


@pytest.mark.parametrize("first", [21, 2], ids=["from memory", "from a part"])
def test_what_a_record_bears_of_its_label_is_not_spared_with_its_answer(tmp_path: Path, first: int) -> None:
    """The label is shared among several records, so that it is no attempt of all but one of them."""
    write_records(tmp_path / "in.jsonl", [{"id": "s0", "text": "the next"}, *EQUAL])
    asked: dict[str, Any] = {
        "classify": [{"llm": {"model": "b", "labels": ["chat", "code"], "batch": 2}}],
        "routes": {"default": {"models": ["a"]}},
        "scripts": {
            "a": always(answer()),
            "b": always(answer("1 | chat | 0.9\n2 | chat | 0.9", output_tokens=6)),
        },
    }

    run_virtually(tmp_path, options=Options(limit=first), **asked)
    ran = run_virtually(tmp_path, **asked)

    shared = ran.ledger.filter(pl.col("attempt") == 0)["spared_usd"].unique().to_list()
    assert shared == [usd(20_000_000) if first == 21 else None]


def test_an_answer_of_a_model_that_goes_by_another_name_now_has_its_line(tmp_path: Path) -> None:
    """It is still the answer to what the others ask. What that model cost is no longer known."""
    write_records(tmp_path / "in.jsonl", EQUAL)
    for name, limit in (("a", 1), ("alpha", None)):
        ran = run_virtually(
            tmp_path,
            models={name: model("theirs")},
            routes={"default": {"models": [name]}},
            options=Options(limit=limit),
            scripts={"theirs": always(answer())},
        )

    shared = ran.ledger.filter(pl.col("attempt") == 0)
    columns = ["model", "provider", "request_model", "cost_basis", "cost_usd", "price_input", "spared_usd"]
    assert (ran.ended.repeated, shared.height) == (19, 19)
    assert shared.select(columns).unique().rows() == [("a", "p", None, "shared", 0, None, None)]


@pytest.mark.parametrize("first", [20, 1], ids=["from memory", "from a part"])
def test_a_shared_answer_keeps_its_value(tmp_path: Path, first: int) -> None:
    """A part holds it as typed columns: it is read off the answer again."""
    write_records(tmp_path / "in.jsonl", EQUAL)
    form = {"schema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}}
    scripts = {"a": always(answer('{"n": 7}'))}

    run_virtually(tmp_path, response=form, options=Options(limit=first), scripts=scripts)
    ran = run_virtually(tmp_path, response=form, scripts={"a": always(answer("never"))})

    assert ran.provider.log == []
    assert ran.results["parsed"].to_list() == [{"n": 7}] * 20


@pytest.mark.parametrize("first", [20, 1], ids=["from memory", "from a part"])
def test_equal_texts_share_a_vector(tmp_path: Path, first: int) -> None:
    """In bundles, too, nothing is asked for twice."""
    write_records(tmp_path / "in.jsonl", EQUAL)
    asked = {**ASKED, **ONE, "scripts": {"a": embedding}}

    run_virtually(tmp_path, options=Options(limit=first), **asked)
    ran = run_virtually(tmp_path, **asked)

    assert len(ran.provider.log) == 0
    assert ran.results.height == 20
    assert len({tuple(vector) for vector in ran.results[VECTOR].to_list()}) == 1
    assert ran.results["input_tokens"].sum() == 4


def test_a_last_resort_is_no_answer_to_share_with_later_runs(tmp_path: Path) -> None:
    """In its own run, where two records had none, the others have none either; another day it is asked again."""
    write_records(tmp_path / "in.jsonl", EQUAL)
    routes = {"default": {"models": ["a"], "last_resort": {"text": "none"}}}
    empty = always(failure(ErrorType.EMPTY_ANSWER))

    first = run_virtually(tmp_path, routes=routes, options=Options(limit=10), scripts={"a": empty})
    second = run_virtually(tmp_path, routes=routes, scripts={"a": always(answer("fine"))})

    assert first.results["response"].to_list() == ["none"] * 10
    assert sorted(second.results["response"]) == ["fine"] * 10 + ["none"] * 10


def test_a_stale_answer_that_is_asked_for_again_is_shared_with_nobody(tmp_path: Path) -> None:
    """Two records trade their texts: each gets the answer to what it asks now, and the other one's is found."""
    texts = [{"id": "r1", "text": "one"}, {"id": "r2", "text": "two"}]
    script: Script = lambda sent: (0.1, answer(sent.request.messages.decode()))  # noqa: E731
    write_records(tmp_path / "in.jsonl", texts)
    run_virtually(tmp_path, scripts={"a": script})
    write_records(tmp_path / "in.jsonl", [{**texts[0], "text": "two"}, {**texts[1], "text": "one"}])

    ran = run_virtually(tmp_path, options=Options(refresh_changed=True), scripts={"a": script})

    answers = dict(ran.results.select("record_id", "response").iter_rows())
    assert "two" in answers["r1"]
    assert "one" in answers["r2"]


@pytest.mark.parametrize("pending", [False, True])
def test_what_was_entered_when_an_export_began_is_known_until_its_part_is_there(
    tmp_path: Path, pending: bool
) -> None:
    """A result whose commit comes after the export of its time is moved by the next one."""
    given: list[Result] = []
    entered: list[Result] = []
    twins = twins_of(tmp_path, given, entered)
    answered = result("first", fingerprint=7, tail=8)
    assert twins.unshared([asking("first", fingerprint=7, tail=8)])[0]
    if pending:
        twins.exporting()
    twins.committed(Group([], [], [(1, answered)]))
    twins.exporting()
    if not pending:
        twins.exporting()

    left, perhaps = twins.unshared([asking("second", fingerprint=7, tail=8)])

    assert (left, given) == ([], [answered] if pending else [])
    assert len(perhaps) == (not pending)


def test_an_answer_is_known_before_it_is_committed(tmp_path: Path) -> None:
    given: list[Result] = []
    answered = result("first", fingerprint=7, tail=8)
    twins = twins_of(tmp_path, given, [answered])
    first, second = (asking(name, fingerprint=7, tail=8) for name in ("first", "second"))

    assert twins.unshared([first]) == ([first], [])
    assert twins.unshared([second]) == ([], [])
    assert given == [answered]


def twins_of(directory: Path, given: list[Result], entered: list[Result]) -> Twins:
    """Twins that note in `given` whose answer is shared."""
    return Twins(
        directory=directory,
        store=Store(directory),
        entered=lambda: entered,
        give=lambda _, known: given.append(known),
        forms={},
        vectors=False,
    )


def asking(record_id: str, *, fingerprint: int, tail: int) -> Admitted:
    return Admitted(
        seq=1,
        record_id=record_id,
        labels=UNLABELLED,
        route="default",
        models=("a",),
        head="a",
        request=Request(messages=b"[]", params=b"", max_output_tokens=None),
        kept={},
        fingerprint=fingerprint,
        tail=tail,
    )


def test_what_a_record_may_no_longer_cost_is_no_matter_of_its_equals(tmp_path: Path) -> None:
    """It depends on what it has cost already."""
    given: list[Result] = []
    failed = result("first", status=Status.FAILED, error_type="budget_record", fingerprint=7, tail=8)
    twins = twins_of(tmp_path, given, [failed])
    leader = asking("first", fingerprint=7, tail=8)
    assert twins.unshared([leader])[0]
    assert twins.sets_out(leader)
    assert twins.arrived(leader, failed)

    assert twins.unshared([asking("second", fingerprint=7, tail=8)])[0]
    assert given == []
