"""Answers that are refused, in whole runs: escalation, the best one kept, judges, and the last resort."""

import asyncio
import signal
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.errors import JobError
from batchroute.core.responses import ErrorType, Response
from batchroute.engine.pipeline import Options
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, always, answer, failure
from tests.laws.legs import Camera, travel
from tests.laws.worlds import Model, World

LONG = {"min_chars": 5}
JUDGED = {"judge": {"model": "j", "rubric": "Be good.", "threshold": 0.5}}
SORRY = {"text": "We will come back to you."}
GOOD, POOR, POORER = answer("a good answer"), answer("poor"), answer("bad")


def grading(**scores: str) -> Script:
    """A judge that goes by the answer that it is shown."""

    def script(sent: Sent) -> tuple[float, Response]:
        asked = sent.request.messages.decode().rpartition("<answer>")[2]
        return 0.1, answer(next(score for word, score in scores.items() if word in asked))

    return script


def ran(
    folder: Path, scripts: dict[str, Script], *checks: dict[str, Any], count: int = 1, **fields: Any
) -> Ran:
    """A run of some records over all these models but the judge j, with these checks."""
    if not (folder / "in.jsonl").exists():
        write_records(folder / "in.jsonl", records(count))
    of_route: dict[str, Any] = {
        key: fields.pop(key) for key in ("keep_best", "last_resort", "max_cost") if key in fields
    }
    route = {"models": [name for name in scripts if name != "j"], "checks": list(checks), **of_route}
    return run_virtually(
        folder,
        scripts=scripts,
        models={name: model(name, limits={"concurrency": 1}) for name in scripts},
        routes={"default": route},
        **fields,
    )


def path_of(run: Ran) -> list[tuple[str, str | None, str | None]]:
    """Model, verdict and error of each attempt."""
    return run.ledger.sort("record_id", "attempt").select("model", "verdict", "error_type").rows()


def the_result(run: Ran) -> dict[str, Any]:
    (row,) = run.results.rows(named=True)
    return row


class TestEscalation:
    def test_refused_answer_goes_to_the_next_model_and_stays_in_the_totals(self, tmp_path: Path) -> None:
        run = ran(tmp_path, {"a": always(POOR), "b": always(GOOD)}, LONG)

        assert path_of(run) == [("a", "escalate", "check_min_chars"), ("b", "accept", None)]
        result = the_result(run)
        assert (result["response"], result["model"], result["flag"]) == (GOOD.content, "b", None)
        assert (result["attempts"], result["escalations"], result["failovers"]) == (2, 1, 0)
        assert result["cost_usd"] == run.ledger["cost_usd"].sum() == Decimal("0.00004")
        assert run.ended.errors == {"check_min_chars": 1}

    def test_record_that_every_model_answers_poorly_is_a_dead_letter_with_the_reason(
        self, tmp_path: Path
    ) -> None:
        names = "abcdefg"  # more than the tries that a record has for failures
        run = ran(tmp_path, dict.fromkeys(names, always(POOR)), LONG)

        verdicts = [verdict for _, verdict, _ in path_of(run)]
        assert verdicts == ["escalate"] * 6 + ["dead_letter"]
        result = the_result(run)
        assert (result["status"], result["error_type"]) == ("failed", "check_min_chars")
        assert result["error_message"] == "g: the answer has 4 characters and not 5"
        assert run.ended.exit_code == 3

    def test_refusal_is_not_held_against_the_model(self, tmp_path: Path) -> None:
        run = ran(tmp_path, {"a": always(POOR), "b": always(GOOD)}, LONG, count=200)

        assert run.provider.sent == {"a": 200, "b": 200}
        assert set(run.ledger["model_state"]) == {"closed"}
        assert run.ended.failed_over == 0

    def test_failures_and_refusals_may_mix(self, tmp_path: Path) -> None:
        scripts = {"a": always(failure(ErrorType.SERVER_ERROR)), "b": always(POOR), "c": always(GOOD)}
        run = ran(tmp_path, scripts, LONG)

        assert [f"{model} {verdict}" for model, verdict, _ in path_of(run)] == [
            "a failover", "b escalate", "c accept",
        ]  # fmt: skip

    def test_route_without_checks_takes_what_comes(self, tmp_path: Path) -> None:
        assert the_result(ran(tmp_path, {"a": always(POOR)}))["response"] == "poor"

    def test_function_beside_the_job_checks(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(tmp_path)
        Path("rules.py").write_text("def polite(text):\n    return 'good' in text or 'is rude'\n")
        run = ran(tmp_path, {"a": always(POOR), "b": always(GOOD)}, {"python": "rules:polite"})

        assert path_of(run) == [("a", "escalate", "check_python"), ("b", "accept", None)]


class TestKeepBest:
    @pytest.mark.parametrize(
        ("first", "second", "kept"),
        [
            pytest.param("four", "a TODO", "a TODO", id="as many refusals: the later model"),
            pytest.param("four", "TODO", "four", id="fewer refusals: the earlier one"),
        ],
    )
    def test_best_of_the_refused_answers_is_the_result(
        self, tmp_path: Path, first: str, second: str, kept: str
    ) -> None:
        scripts = {"a": always(answer(first)), "b": always(answer(second))}
        run = ran(tmp_path, scripts, LONG, {"placeholders": True}, keep_best=True)

        result = the_result(run)
        assert (result["status"], result["flag"], result["response"]) == ("succeeded", "kept_best", kept)
        assert result["model"] == ("a" if kept == first else "b")
        assert [verdict for _, verdict, _ in path_of(run)] == ["escalate", "kept_best"]
        assert run.ended.exit_code == 0

    def test_higher_score_counts_among_those_that_only_the_judge_refuses(self, tmp_path: Path) -> None:
        scripts = {"a": always(POOR), "b": always(POORER), "j": grading(poor="0.4", bad="0.1")}
        result = the_result(ran(tmp_path, scripts, JUDGED, keep_best=True))

        assert (result["model"], result["response"], result["escalations"]) == ("a", "poor", 1)

    def test_best_answer_stands_where_the_next_model_fails(self, tmp_path: Path) -> None:
        scripts = {"a": always(POOR), "b": always(failure(ErrorType.CONTEXT_EXCEEDED))}
        result = the_result(ran(tmp_path, scripts, LONG, keep_best=True))

        assert (result["status"], result["response"], result["error_type"]) == ("succeeded", "poor", None)


class TestJudge:
    def test_low_score_escalates_and_the_judge_is_in_the_ledger(self, tmp_path: Path) -> None:
        scripts = {"a": always(POOR), "b": always(GOOD), "j": grading(poor="0.2", good="0.9")}
        run = ran(tmp_path, scripts, JUDGED)
        rows = run.ledger.sort("attempt").select("model", "purpose", "verdict", "error_type").rows()

        assert rows == [
            ("a", "answer", "escalate", "check_judge"),
            ("j", "judge", None, None),
            ("b", "answer", "accept", None),
            ("j", "judge", None, None),
        ]
        result = the_result(run)
        assert (result["model"], result["attempts"], result["escalations"]) == ("b", 4, 1)
        assert result["cost_usd"] == run.ledger["cost_usd"].sum()

    def test_answer_that_a_check_refuses_is_not_judged(self, tmp_path: Path) -> None:
        scripts = {"a": always(POOR), "b": always(GOOD), "j": grading(good="0.9")}
        run = ran(tmp_path, scripts, LONG, JUDGED)

        assert run.provider.sent == {"a": 1, "b": 1, "j": 1}

    def test_judge_may_be_one_of_the_models_and_have_one_slot(self, tmp_path: Path) -> None:
        judged = {"judge": {"model": "a", "rubric": "Be good."}}
        run = ran(tmp_path, {"a": always(answer("0.9"))}, judged, count=30)

        assert run.ended.succeeded == 30
        assert run.provider.most_in_flight["a"] == 1

    @pytest.mark.parametrize(
        ("judge", "asked"),
        [
            pytest.param(always(answer("fine")), 1, id="no score"),
            pytest.param(always(failure(ErrorType.SERVER_ERROR)), 2, id="fails twice"),
            pytest.param(always(failure(ErrorType.AUTH_REJECTED)), 1, id="is out"),
            pytest.param(always(failure(ErrorType.RATE_LIMITED, retry_after_s=900.0)), 1, id="is away for long"),
        ],
    )  # fmt: skip
    def test_answer_counts_where_the_judge_does_not_say(
        self, tmp_path: Path, judge: Script, asked: int
    ) -> None:
        run = ran(tmp_path, {"a": always(POOR), "b": always(GOOD), "j": judge}, JUDGED)

        result = the_result(run)
        assert (result["status"], result["response"], result["flag"]) == ("succeeded", "poor", "unjudged")
        assert run.provider.sent == {"a": 1, "j": asked}

    def test_judge_that_fails_once_is_asked_again(self, tmp_path: Path) -> None:
        def judge(sent: Sent) -> Any:
            return 0.1, failure(ErrorType.SERVER_ERROR) if sent.number == 1 else answer("0.9")

        run = ran(tmp_path, {"a": always(GOOD), "j": judge}, JUDGED)

        assert [(number, flag) for number, flag in run.ledger.select("attempt", "flag").sort("attempt").rows()] == [
            (1, None), (2, None), (3, None),
        ]  # fmt: skip
        assert the_result(run)["flag"] is None

    def test_what_a_judge_is_shown_is_no_measure_of_what_the_answering_model_is_sent(
        self, tmp_path: Path
    ) -> None:
        # The judge's text counted for the answer's tokens, so that long records seemed to cost next to nothing.
        def counted(sent: Sent) -> Any:
            return 0.1, answer("good", input_tokens=len(sent.request.messages) // 4)

        long = [{"id": f"long{n}", "text": "rather long " * 400} for n in range(5)]
        write_records(tmp_path / "in.jsonl", [*records(60), *long])
        scripts = {"a": counted, "j": always(answer("0.9"))}
        run = ran(tmp_path, scripts, JUDGED, max_cost=Decimal("0.0005"), window=16)

        assert run.ended.succeeded == 60
        dead = run.results.filter(pl.col("status") == "failed")
        assert set(dead["error_type"]) == {"no_model_fits"}

    def test_judge_stays_within_the_budget_and_no_answer_is_lost(self, tmp_path: Path) -> None:
        scripts = {"a": always(GOOD), "j": grading(good="0.9")}
        run = ran(tmp_path, scripts, JUDGED, count=200, budget={"usd": 0.004})

        assert run.ledger["cost_usd"].sum() <= Decimal("0.004")
        assert run.ended.exit_code == 4
        answers = run.ledger.filter(purpose="answer")
        assert run.ended.succeeded == answers.height > 0
        assert run.ended.pending == 200 - answers.height
        assert set(run.results["flag"]) == {None, "unjudged"}, "towards the end only answers fit"
        assert run.results["cost_usd"].sum() == run.ledger["cost_usd"].sum()

    def test_many_records_that_wait_for_money_do_not_wait_for_one_another(self, tmp_path: Path) -> None:
        # Room for one judge at a time: whoever waits for it must hold no money itself.
        scripts = {"a": always(GOOD), "b": always(GOOD), "j": grading(good="0.9")}
        run = ran(tmp_path, scripts, JUDGED, count=50, budget={"usd": 0.006})

        assert run.ended.succeeded == 50
        assert run.ledger.filter(purpose="judge").height == 50

    def test_budget_wants_the_price_of_the_judge(self, tmp_path: Path) -> None:
        write_records(tmp_path / "in.jsonl", records(1))
        scripts = dict.fromkeys("aj", always(GOOD))
        unpriced = {"a": model("a"), "j": {"provider": "p", "model": "j"}}
        route = {"models": ["a"], "checks": [JUDGED]}
        with pytest.raises(JobError, match="no price is known for j"):
            run_virtually(
                tmp_path,
                scripts=scripts,
                models=unpriced,
                routes={"default": route},
                budget={"usd": 1},
            )

    def test_stop_takes_the_answer_that_waits_for_its_judge(self, tmp_path: Path) -> None:
        def judge(sent: Sent) -> Any:
            if sent.number == 1:
                asyncio.get_running_loop().call_soon(signal.raise_signal, signal.SIGTERM)
            return 1.0, answer("0.9")

        run = ran(tmp_path, {"a": always(GOOD), "j": judge}, JUDGED, count=5)

        assert run.ended.exit_code == 143
        assert run.ended.succeeded == run.ledger.filter(verdict="accept").height > 0
        assert run.ledger.filter(outcome="unknown").is_empty()


class TestLastResort:
    @pytest.mark.parametrize(
        "script",
        [
            pytest.param(always(POOR), id="refused by a check"),
            pytest.param(always(failure(ErrorType.EMPTY_ANSWER)), id="no answer"),
            pytest.param(always(failure(ErrorType.CONTENT_BLOCKED)), id="blocked"),
        ],
    )
    def test_record_without_an_answer_gets_the_text(self, tmp_path: Path, script: Script) -> None:
        run = ran(tmp_path, {"a": script, "b": script}, LONG, last_resort=SORRY)

        result = the_result(run)
        assert (result["status"], result["flag"]) == ("degraded", "last_resort")
        assert (result["response"], result["model"]) == (SORRY["text"], None)
        assert result["error_type"] == run.ledger.sort("attempt")["error_type"][-1]
        assert result["cost_usd"] == run.ledger["cost_usd"].sum()
        assert path_of(run)[-1][1] == "last_resort"
        assert (run.ended.exit_code, run.ended.degraded, run.ended.failed) == (0, 1, 0)

    def test_degraded_record_is_not_sent_again(self, tmp_path: Path) -> None:
        ran(tmp_path, {"a": always(POOR)}, LONG, last_resort=SORRY)
        again = ran(tmp_path, {"a": always(GOOD)}, LONG, last_resort=SORRY)

        assert (again.provider.log, again.ended.skipped) == ([], 1)

    def test_what_the_record_is_to_blame_for_stays_a_dead_letter(self, tmp_path: Path) -> None:
        scripts = {"a": always(failure(ErrorType.BAD_REQUEST))}
        run = ran(tmp_path, scripts, last_resort=SORRY)

        assert (the_result(run)["status"], run.ended.exit_code) == ("failed", 3)

    def test_record_still_waits_for_a_model_whose_key_is_wrong(self, tmp_path: Path) -> None:
        scripts = {"a": always(failure(ErrorType.AUTH_REJECTED))}
        run = ran(tmp_path, scripts, last_resort=SORRY)

        assert (run.ended.degraded, run.ended.pending, run.ended.exit_code) == (0, 1, 5)

    def test_best_answer_comes_before_the_last_resort(self, tmp_path: Path) -> None:
        run = ran(tmp_path, {"a": always(POOR)}, LONG, keep_best=True, last_resort=SORRY)

        assert the_result(run)["flag"] == "kept_best"


@pytest.mark.parametrize("moment", range(3, 40, 4))
def test_run_killed_among_its_escalations_goes_on_with_exact_totals(tmp_path: Path, moment: int) -> None:
    poor = frozenset(range(0, 12, 2))
    models = {"a": Model(poor=poor, latencies=(0.1, 0.3)), "b": Model(poor=frozenset({0, 4}))}
    world = World(count=12, models=models, routes=(("a", "b"),), keep_best=True, part_records=3)
    folder, image = tmp_path / "run", tmp_path / "image"
    for each in (folder, image):
        world.write(each)
    scripts = world.scripts()
    travel(world, folder, scripts, camera=Camera(folder / "out", image / "out", moment))
    resumed = travel(world, image, scripts, leg=1, options=Options())

    assert resumed.ended is not None
    assert resumed.ended.succeeded + resumed.ended.skipped == 12
    kept = {f"r{number}" for number in (0, 4)}
    assert set(resumed.results.filter(flag="kept_best")["record_id"]) == kept
    told = resumed.results.select("record_id", "attempts", "escalations", "cost_usd").sort("record_id")
    sums = resumed.ledger.group_by("record_id").agg(
        attempts=pl.len().cast(pl.Int32),
        escalations=(pl.col("verdict") == "escalate").sum().cast(pl.Int32),
        cost_usd=pl.col("cost_usd").sum(),
    )
    assert told.rows() == sums.sort("record_id").rows()
