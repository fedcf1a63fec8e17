"""Whole runs whose classification asks a model, on the virtual clock."""

import json
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.attempts import NO_ROUTE
from batchroute.core.errors import NoModelError
from batchroute.core.responses import ErrorType, Usage
from batchroute.engine.inquiries import shared
from batchroute.engine.labellings import label
from batchroute.engine.pipeline import Options
from tests import virtual_clock
from tests.builders import attempt, job, model, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, ScriptedProvider, Sent, always, answer, failure
from tests.fakes import virtual_clock as clock

MODELS = {"a": model("a"), "b": model("b"), "c": model("c")}
ROUTES = {"code": {"when": {"task": "code"}, "models": ["b"]}, "default": {"models": ["a"]}}


def asked(sent: Sent) -> list[str]:
    """The texts that a request for labels is about."""
    lines = json.loads(sent.request.messages)[-1]["content"].splitlines()
    return [json.loads(line.partition(": ")[2]) for line in lines]


def labeller(sent: Sent) -> tuple[float, Any]:
    """Code is what says so; it costs what does not divide by the number of texts."""
    lines = [
        f"{number} | {'code' if 'code' in text else 'chat'} | 0.9"
        for number, text in enumerate(asked(sent), 1)
    ]
    return 0.1, answer("\n".join(lines), input_tokens=37, output_tokens=11)


def play(folder: Path, script: Script = labeller, count: int = 50, **fields: Any) -> Ran:
    if not (folder / "in.jsonl").exists():
        lines = [{"id": f"r{n}", "text": f"{'code' if n % 3 else 'talk'} {n}"} for n in range(count)]
        write_records(folder / "in.jsonl", lines)
    stage = {"model": "c", "labels": ["code", "chat"], "batch": 7, **fields.pop("llm", {})}
    fields = {
        "classify": [{"llm": stage}, *fields.pop("later", [])],
        "models": MODELS,
        "routes": ROUTES,
        **fields,
    }
    scripts = {"a": always(answer()), "b": always(answer()), "c": script}
    return run_virtually(folder, scripts=scripts, **fields)


def labels_of(ran: Ran) -> pl.DataFrame:
    return ran.ledger.filter(purpose="classify")


def assert_books_agree(ran: Ran) -> None:
    """Results, ledger and routes add up to the same, to the picodollar."""
    assert ran.results["cost_usd"].sum() == ran.ledger["cost_usd"].sum()
    assert ran.results["input_tokens"].sum() == ran.ledger["input_tokens"].sum()
    assert ran.results["output_tokens"].sum() == ran.ledger["output_tokens"].sum()
    assert ran.results["attempts"].sum() == (ran.ledger["attempt"] > 0).sum()


def test_a_model_that_is_on_no_route_labels_several_records_in_one_request(tmp_path: Path) -> None:
    ran = play(tmp_path)

    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 50)
    assert [len(asked(sent)) for sent in ran.provider.sent_to("c")] == [7] * 7 + [1]
    assert labels_of(ran).select("route", "model", "verdict").unique().rows() == [(NO_ROUTE, "c", "accept")]
    assert labels_of(ran).height == ran.provider.sent["c"] == 8
    found = ran.results.select("record_id", "task", "route", "model").rows()
    assert {row[1:] for row in found} == {("code", "code", "b"), ("chat", "default", "a")}
    assert all((int(name[1:]) % 3 > 0) == (task == "code") for name, task, _, _ in found)
    assert ran.results["classified_by"].unique().to_list() == ["llm:c"]


def test_each_record_bears_its_share_and_the_books_agree_to_the_picodollar(tmp_path: Path) -> None:
    ran = play(tmp_path)

    assert_books_agree(ran)
    whole = 37 * 1_000_000 + 11 * 2_000_000
    own = 10 * 1_000_000 + 5 * 2_000_000
    told = ran.results.with_columns(((pl.col("cost_usd") * 10**12).cast(pl.Int64) - own).alias("borne"))
    borne = set(told["borne"].to_list())
    assert borne == {whole // 7, whole // 7 + 1, whole}  # the fiftieth was asked about alone


@pytest.mark.parametrize("count", [1, 2, 3, 7])
@pytest.mark.parametrize("cost", [0, 1, 6, 59_000_001])
def test_shares_add_up_to_nothing_and_differ_by_one_at_most(count: int, cost: int) -> None:
    row = attempt(cost=cost, usage=Usage(input_tokens=11, output_tokens=2))
    shares = shared(row, range(count))

    assert sum(share.cost or 0 for _, share in shares) == 0
    assert sum(share.input_tokens for _, share in shares) == 0
    borne = [(share.cost or 0) + (cost if seq == 0 else 0) for seq, share in shares]
    assert sum(borne) == (cost if count > 1 else 0)
    assert not borne or max(borne) - min(borne) <= 1


def test_equal_texts_are_asked_about_once(tmp_path: Path) -> None:
    lines = [{"id": f"r{n}", "text": f"code {n % 5}"} for n in range(3000)]  # some batches
    write_records(tmp_path / "in.jsonl", lines)
    ran = play(tmp_path)

    assert ran.ended.succeeded == 3000
    assert [len(asked(sent)) for sent in ran.provider.sent_to("c")] == [5]
    assert_books_agree(ran)


def test_a_model_is_shown_the_beginning_of_a_text_only(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": "r", "text": "x" * 400 + "y" * 400}])
    ran = play(tmp_path, llm={"max_chars": 450})
    assert asked(ran.provider.sent_to("c")[0]) == ["x" * 400 + "y" * 50]


@pytest.mark.parametrize(
    "script",
    [
        pytest.param(always(answer("I would rather talk about something else.")), id="unparsable"),
        pytest.param(always(answer("1 | poem | 0.9")), id="unknown-label"),
        pytest.param(always(failure(ErrorType.SERVER_ERROR)), id="fails"),
        pytest.param(always(failure(ErrorType.MODEL_NOT_FOUND)), id="disabled"),
        pytest.param(always(failure(ErrorType.RATE_LIMITED, retry_after_s=500.0)), id="closed"),
        pytest.param(always(answer(), latency_s=1000.0), id="hangs"),
    ],
)
def test_what_gives_no_label_leaves_the_record_to_the_next_stage(tmp_path: Path, script: Script) -> None:
    ran = play(tmp_path, script, later=[{"patterns": {"code": ["code"]}}])

    assert (ran.ended.exit_code, ran.ended.succeeded, ran.ended.pending) == (0, 50, 0)
    assert set(ran.results["classified_by"].to_list()) == {"patterns", None}
    assert labels_of(ran).height == ran.provider.sent["c"] > 0
    assert_books_agree(ran)


def test_only_what_earlier_stages_left_undecided_is_paid_for(tmp_path: Path) -> None:
    stages = [{"patterns": {"code": ["code"]}}, {"llm": {"model": "c", "labels": ["chat"]}}]
    ran = play(tmp_path, classify=stages)
    assert sorted(text for sent in ran.provider.sent_to("c") for text in asked(sent)) == sorted(
        f"talk {n}" for n in range(0, 50, 3)
    )


def test_what_the_model_is_not_sure_of_is_left_to_the_next_stage(tmp_path: Path) -> None:
    stage = {"model": "c", "labels": ["code"], "batch": 1}
    stages = [{"llm": stage, "threshold": 0.8}, {"patterns": {"chat": ["talk"]}}]
    unsure = always(answer("1 | code | 0.7"))
    ran = play(tmp_path, unsure, classify=stages)
    assert set(ran.results["classified_by"].to_list()) == {"patterns", None}


def test_labels_keep_to_the_slots_of_their_model(tmp_path: Path) -> None:
    models = {**MODELS, "c": model("c", limits={"concurrency": 3})}
    ran = play(tmp_path, models=models, llm={"batch": 1})
    assert ran.provider.most_in_flight["c"] == 3


@pytest.mark.parametrize(("pause_s", "by"), [(20.0, {"llm:c"}), (200.0, {None})])
def test_a_pause_is_waited_for_if_it_is_short(tmp_path: Path, pause_s: float, by: set[str | None]) -> None:
    def once(sent: Sent) -> tuple[float, Any]:
        if sent.number == 1:
            return 0.1, failure(ErrorType.RATE_LIMITED, retry_after_s=pause_s)
        return labeller(sent)

    models = {**MODELS, "c": model("c", limits={"concurrency": 1})}
    ran = play(tmp_path, once, models=models)
    assert ran.ended.succeeded == 50
    assert set(ran.results["classified_by"].to_list()) == by
    assert (ran.ended.duration_s > pause_s) is (pause_s == 20.0)


def test_a_retry_is_a_row_of_its_own(tmp_path: Path) -> None:
    def twice(sent: Sent) -> tuple[float, Any]:
        if sent.number == 1:
            return 0.1, failure(ErrorType.CONNECTION_LOST, sent=True)
        return labeller(sent)

    ran = play(tmp_path, twice, count=7)
    assert labels_of(ran).select("attempt", "outcome").sort("attempt").rows() == [(1, "error"), (2, "ok")]
    assert ran.results["classified_by"].unique().to_list() == ["llm:c"]
    assert_books_agree(ran)


def test_a_budget_is_never_passed_and_labels_alone_do_not_use_it_up(tmp_path: Path) -> None:
    limits = {"concurrency": 2}
    models = {name: model(name, limits=limits) for name in MODELS}
    ran = play(tmp_path, count=400, models=models, budget={"usd": 0.004})

    assert ran.ended.exit_code == 4
    assert ran.ledger["cost_usd"].sum() <= 0.004
    assert ran.ended.succeeded > 0

    rest = play(tmp_path, models=models, budget={"usd": 1})
    assert (rest.ended.exit_code, rest.ended.pending, rest.results.height) == (0, 0, 400)
    assert_books_agree(rest)


def test_no_label_is_bought_once_no_answer_can_be(tmp_path: Path) -> None:
    # Labels are cheaper than answers: what is left of the budget would buy labels for nothing.
    prompt = {"user": "{{ text }}", "params": {"max_tokens": 2000}}
    ran = play(tmp_path, count=3000, budget={"usd": 0.02}, prompt=prompt)
    assert (ran.ended.exit_code, ran.ended.succeeded > 100) == (4, True)
    assert ran.provider.sent["c"] == 147  # the first batch of 1,024


def test_a_run_that_is_stopped_while_it_asks_leaves_its_records_pending(tmp_path: Path) -> None:
    models = {**MODELS, "c": model("c", limits={"concurrency": 1})}
    first = play(tmp_path, models=models, options=Options(max_duration_s=0.5))
    assert (first.ended.exit_code, first.results.height) == (4, 0)
    assert 0 < first.provider.sent["c"] < 8

    rest = play(tmp_path, models=models)
    assert (rest.ended.exit_code, rest.results.height) == (0, 50)
    assert labels_of(rest).filter(outcome="ok").height == 8
    assert_books_agree(rest)


@pytest.mark.parametrize("endpoint", ["chat", "responses"])
def test_labels_and_judgements_are_asked_for_where_answers_are(tmp_path: Path, endpoint: str) -> None:
    # Both went to chat completions: a host without those was out at the first label.
    judge = {"judge": {"model": "b", "rubric": "Be good."}}
    routes = {"default": {"models": ["a"], "checks": [judge]}}
    ran = play(tmp_path, count=3, endpoint=endpoint, routes=routes)

    assert set(ran.ledger["purpose"]) == {"classify", "answer", "judge"}
    assert {sent.request.endpoint for sent in ran.provider.log} == {endpoint}


def test_a_model_that_answers_can_label_as_well(tmp_path: Path) -> None:
    def both(sent: Sent) -> tuple[float, Any]:
        return labeller(sent) if b"Labels: " in sent.request.messages else (0.1, answer())

    models = {"c": model("c", limits={"concurrency": 4})}
    ran = play(tmp_path, both, models=models, routes={"default": {"models": ["c"]}})
    assert (ran.ended.succeeded, ran.provider.sent["c"], ran.provider.most_in_flight["c"]) == (50, 58, 4)
    assert_books_agree(ran)


def test_an_answer_is_not_refused_for_what_labels_of_others_cost(tmp_path: Path) -> None:
    # A request about seven texts may cost 0.0011 USD; each record bears a seventh of it.
    ran = play(tmp_path, count=49, budget={"per_record_usd": 0.0004})
    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 49)
    assert set(ran.results["classified_by"].to_list()) == {"llm:c"}


@pytest.mark.parametrize("count", [1, 7])
def test_retries_of_a_request_for_labels_are_counted_together(tmp_path: Path, count: int) -> None:
    # Each retry was held against what a record may cost as if it were the first request for its label.
    lost = always(failure(ErrorType.CONNECTION_LOST, sent=True))
    for name in ("free", "bound"):
        (tmp_path / name).mkdir()
    free = play(tmp_path / "free", lost, count)
    bound = round(labels_of(free)["cost_usd"][0] * Decimal("2.5") / count, 6)

    ran = play(tmp_path / "bound", lost, count, budget={"per_record_usd": bound})

    assert (labels_of(free).height, labels_of(ran).height) == (3, 2)
    assert (ran.results["cost_usd"] <= bound).all()
    assert_books_agree(ran)


def killed_when(folder: Path, model_name: str, number: int) -> tuple[Path, Ran]:
    """The output as a kill would leave it while the `number`th request to a model is out."""
    image = folder / "killed"

    def copying(script: Script) -> Script:
        def send(sent: Sent) -> tuple[float, Any]:
            if (sent.model, sent.number) == (model_name, number):
                shutil.copytree(folder / "out", image / "out")
                shutil.copy(folder / "in.jsonl", image / "in.jsonl")
            return script(sent)

        return send

    stage = {"model": "c", "labels": ["code", "chat"], "batch": 7}
    lines = [{"id": f"r{n}", "text": f"{'code' if n % 3 else 'talk'} {n}"} for n in range(50)]
    write_records(folder / "in.jsonl", lines)
    image.mkdir()
    plain: Script = always(answer())
    scripts = {"a": copying(plain), "b": copying(plain), "c": copying(labeller)}
    models = {**MODELS, "c": model("c", limits={"concurrency": 2})}
    ran = run_virtually(folder, scripts=scripts, classify=[{"llm": stage}], models=models, routes=ROUTES)
    return image, ran


@pytest.mark.parametrize(
    ("model_name", "number"), [("c", 1), ("c", 4), ("c", 8), ("b", 1), ("b", 20), ("a", 5)]
)
def test_after_a_kill_no_label_is_lost_and_none_is_paid_for_twice_but_what_was_out(
    tmp_path: Path, model_name: str, number: int
) -> None:
    image, killed = killed_when(tmp_path, model_name, number)
    resumed = play(image)

    assert (resumed.ended.exit_code, resumed.results.height) == (0, 50)
    assert_books_agree(resumed)
    rows = labels_of(resumed)
    out = rows.filter(outcome="unknown")
    assert rows.height == 8 + out.height
    assert out.height <= 2
    assert out["cost_usd"].null_count() == 0
    assert rows.filter(outcome="ok").height == 8
    if model_name != "c":
        assert resumed.provider.sent["c"] == 0  # all labels were known
    assert resumed.results.sort("record_id")["task"].equals(killed.results.sort("record_id")["task"])


def test_a_finished_record_is_compared_without_asking(tmp_path: Path) -> None:
    play(tmp_path)
    again = play(tmp_path, prompt={"user": "Now: {{ text }}", "params": {"max_tokens": 16}})
    assert (again.ended.stale, again.provider.log) == (50, [])

    same = play(tmp_path, output={"path": str(tmp_path / "out"), "keep": ["text"]})
    assert (same.ended.stale, same.provider.log) == (0, [])


def test_a_refresh_asks_about_texts_that_are_new(tmp_path: Path) -> None:
    play(tmp_path)
    lines = [{"id": f"r{n}", "text": f"{'code' if n else 'new talk'} {n}"} for n in range(50)]
    write_records(tmp_path / "in.jsonl", lines)
    ran = play(tmp_path, options=Options(refresh_changed=True))

    assert ran.ended.stale == 0
    texts = [text for sent in ran.provider.sent_to("c") for text in asked(sent)]
    assert sorted(texts) == sorted(["new talk 0", *(f"code {n}" for n in range(3, 50, 3))])
    assert ran.results["cost_usd"].sum() == ran.ledger["cost_usd"].sum()


def test_records_that_cannot_be_sent_are_not_asked_about(tmp_path: Path) -> None:
    lines = [{"id": f"r{n}", "text": "code", "more": f"x{n}" if n % 2 else ""} for n in range(20)]
    write_records(tmp_path / "in.jsonl", lines)
    stages = [{"llm": {"model": "c", "labels": ["code"]}, "text": "more"}]
    ran = play(tmp_path, classify=stages, prompt={"user": "{{ more }}", "params": {"max_tokens": 16}})

    assert (ran.ended.succeeded, ran.ended.failed) == (10, 10)
    assert ran.provider.sent["c"] == 10


def test_an_input_that_is_mostly_bad_costs_no_label(tmp_path: Path) -> None:
    lines = [{"id": f"r{n}", "text": "" if n % 3 else f"code {n}"} for n in range(200)]
    write_records(tmp_path / "in.jsonl", lines)
    ran = play(tmp_path)
    assert (ran.ended.exit_code, ran.provider.log) == (65, [])


def test_the_run_ends_when_all_that_answers_is_out_though_the_labelling_model_is_well(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": "r", "text": "code"}])
    refused = always(failure(ErrorType.AUTH_REJECTED))
    provider = ScriptedProvider({"a": refused, "b": refused, "c": labeller})
    stage = {"model": "c", "labels": ["code"]}
    ran = run_virtually(tmp_path, provider=provider, classify=[{"llm": stage}], models=MODELS, routes=ROUTES)
    assert (ran.ended.exit_code, ran.ended.pending) == (5, 1)


class TestTrials:
    def trial(self, folder: Path, script: Script, **fields: Any) -> Any:
        lines = [{"id": f"r{n}", "text": f"code {n}", "true": "code" if n % 2 else "chat"} for n in range(30)]
        write_records(folder / "in.jsonl", lines)
        provider = ScriptedProvider({"c": script})
        stages = [{"llm": {"model": "c", "labels": ["code", "chat"], "batch": 10}}]
        asking: Callable[..., Any] = label
        found = asking(
            job(folder, classify=stages, models=MODELS, routes=ROUTES, **fields),
            truth="true",
            clock=clock(),
            connect=provider.connect,
        )
        return virtual_clock.run(found)

    def test_accuracy_requests_cost_and_speed_are_told(self, tmp_path: Path) -> None:
        told, labels = self.trial(tmp_path, labeller)
        stage = told.stages[0]
        assert (stage.stage, stage.decided, stage.requests, stage.unanswered) == ("llm:c", 30, 3, 0)
        assert str(stage.cost_usd) == str(told.cost_usd) == "0.000177000000"
        assert stage.confusion.accuracy == 0.5
        assert stage.records_per_s == pytest.approx(300, rel=0.2)
        assert labels["task_confidence"].to_list() == [0.9] * 30
        assert not (tmp_path / "out").exists()

    def test_a_budget_bounds_it_and_what_it_left_out_is_told(self, tmp_path: Path) -> None:
        told, _ = self.trial(tmp_path, labeller, budget={"per_run_usd": 0.0005})
        stage = told.stages[0]
        assert (told.cost_usd, stage.requests, stage.unanswered, stage.decided) == (0, 0, 30, 0)

    def test_a_model_that_is_out_is_an_error(self, tmp_path: Path) -> None:
        with pytest.raises(NoModelError, match="every model is out"):
            self.trial(tmp_path, always(failure(ErrorType.AUTH_REJECTED)))


@pytest.mark.parametrize(
    ("error_type", "lost"),
    [
        (ErrorType.AUTH_REJECTED, True),  # it is the account's, which answers too
        (ErrorType.PERMISSION_DENIED, True),
        (ErrorType.BILLING_EXHAUSTED, True),
        (ErrorType.MODEL_NOT_FOUND, False),
        (ErrorType.UNSUPPORTED_PARAMETER, False),
        (ErrorType.RATE_LIMITED, False),
        (ErrorType.SERVER_ERROR, False),
        (ErrorType.ATTEMPT_TIMEOUT, False),
        (ErrorType.BAD_REQUEST, False),
    ],
)
@pytest.mark.parametrize("asked_for", ["label", "judgement"])
def test_model_beside_the_answers_takes_those_of_its_provider_along_only_with_the_account(
    tmp_path: Path, asked_for: str, error_type: ErrorType, *, lost: bool
) -> None:
    judge = {"judge": {"model": "c", "rubric": "Be good."}}
    fields: dict[str, Any] = {}
    if asked_for == "judgement":
        fields = {"classify": [], "routes": {"default": {"models": ["a"], "checks": [judge]}}}
    ran = play(tmp_path, always(failure(error_type)), **fields)

    assert ran.provider.sent["c"] > 0
    # A judge is asked once there are answers: those that are out by then come back, and count.
    assert (ran.ended.succeeded < 50) is lost
    assert ran.ended.exit_code == (5 if lost else 0)
