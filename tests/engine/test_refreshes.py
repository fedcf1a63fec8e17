"""What a run does with records that were answered before: the rules of an output that is kept up to date."""

import datetime as dt
import os
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine import pipeline
from batchroute.engine.pipeline import Options
from batchroute.engine.tally import Progress
from batchroute.io.manifest import read_manifest
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, ScriptedProvider, Sent, always, answer, failure

REFRESH = Options(refresh_changed=True)
PROMPT = {"user": "{{ text }}", "params": {"max_tokens": 16, "temperature": 0}}


def says(what: str) -> dict[str, Script]:
    return {"a": always(answer(what)), "b": always(answer(what))}


def ran(folder: Path, what: str = "new", options: Options | None = None, **fields: Any) -> Ran:
    """A run over what folder/in.jsonl holds now, on models that say this."""
    return run_virtually(folder, scripts=says(what), options=options, **{"prompt": PROMPT, **fields})


def answered(folder: Path, count: int = 5, **fields: Any) -> list[str]:
    """A dataset of so many records, all answered "old". Returns their order in the results."""
    write_records(folder / "in.jsonl", records(count))
    done = ran(folder, "old", **fields)
    assert done.ended.succeeded == count
    return done.results["record_id"].to_list()


def change(folder: Path, *numbers: int, count: int = 5) -> None:
    """Let these records say something else."""
    changed = [{**each, "text": f"{each['text']} now"} for each in records(count)]
    write_records(
        folder / "in.jsonl",
        [changed[number] if number in numbers else each for number, each in enumerate(records(count))],
    )


def responses(done: Ran) -> dict[str, str]:
    return dict(done.results.select("record_id", "response").iter_rows())


def counts(folder: Path) -> tuple[dict[str, int], int]:
    manifest = read_manifest(folder / "out")
    assert manifest is not None
    return manifest.counts, manifest.stale


def assert_books_balance(done: Ran) -> None:
    """Every record once, its attempts numbered without gaps over all runs, and the sums agree."""
    results, ledger = done.results, done.ledger
    assert results["record_id"].is_unique().all()
    assert results["attempts"].sum() == ledger.height
    assert results["cost_usd"].sum() == ledger["cost_usd"].sum()
    assert results["input_tokens"].sum() == ledger["input_tokens"].sum()
    for numbers in ledger.group_by("record_id").agg(pl.col("attempt").sort())["attempt"].to_list():
        assert numbers == list(range(1, len(numbers) + 1))


# What the next run finds


def test_new_rows_of_a_grown_file_are_answered_and_nothing_else(tmp_path: Path) -> None:
    answered(tmp_path)
    write_records(tmp_path / "in.jsonl", records(8))
    done = ran(tmp_path)
    assert (done.ended.succeeded, done.ended.skipped, done.ended.stale) == (3, 5, 0)
    assert len(done.provider.log) == 3


def test_a_new_file_in_the_directory_is_answered_and_nothing_else(tmp_path: Path) -> None:
    source = {"path": str(tmp_path / "in"), "id": "id"}
    (tmp_path / "in").mkdir()
    write_records(tmp_path / "in/monday.jsonl", records(3))
    ran(tmp_path, "old", input=source)
    write_records(tmp_path / "in/tuesday.jsonl", records(5)[3:])
    done = ran(tmp_path, input=source)
    assert (done.ended.succeeded, done.ended.skipped, done.ended.stale) == (2, 3, 0)
    assert responses(done) == {"r0": "old", "r1": "old", "r2": "old", "r3": "new", "r4": "new"}


def test_changed_records_keep_their_answers_and_are_told_of_until_they_are_refreshed(tmp_path: Path) -> None:
    order = answered(tmp_path)
    change(tmp_path, 1, 3)
    for _ in range(2):  # the second run finds the file as the first one has compared it
        done = ran(tmp_path)
        assert done.provider.log == []
        assert (done.ended.exit_code, done.ended.skipped, done.ended.stale) == (0, 5, 2)
        assert any("2 finished record(s) are stale" in warning for warning in done.ended.warnings)
        assert set(responses(done).values()) == {"old"}
        assert counts(tmp_path) == ({"pending": 0, "succeeded": 5, "failed": 0, "degraded": 0}, 2)

    done = ran(tmp_path, options=REFRESH)
    assert (done.ended.exit_code, done.ended.succeeded, done.ended.skipped, done.ended.stale) == (0, 2, 3, 0)
    assert responses(done) == {"r0": "old", "r1": "new", "r2": "old", "r3": "new", "r4": "old"}
    assert done.results["record_id"].to_list() == order
    assert counts(tmp_path) == ({"pending": 0, "succeeded": 5, "failed": 0, "degraded": 0}, 0)
    assert [file.name for file in (tmp_path / "out/results").iterdir()] == ["part-00001.parquet"]
    assert_books_balance(done)

    done = ran(tmp_path, options=REFRESH)
    assert (done.provider.log, done.ended.warnings) == ([], ())


def params(**changed: Any) -> dict[str, Any]:
    return {"prompt": {**PROMPT, "params": {"max_tokens": 16, "temperature": 0, **changed}}}


@pytest.mark.parametrize(
    ("fields", "stale"),
    [
        pytest.param({"prompt": {**PROMPT, "user": "Say: {{ text }}"}}, 5, id="another prompt"),
        pytest.param({"prompt": {**PROMPT, "system": "Be brief."}}, 5, id="a system prompt"),
        pytest.param(params(temperature=1), 5, id="another parameter"),
        pytest.param(params(seed=7), 5, id="one parameter more"),
        pytest.param({"routes": {"default": {"models": ["b", "a"]}}}, 5, id="another first choice"),
        pytest.param({"routes": {"default": {"models": ["a"]}}}, 5, id="one choice less"),
        pytest.param({"models": {"a": model("a-2"), "b": model("b")}}, 5, id="another model behind the name"),
        pytest.param({"providers": {"p": {"base_url": "http://127.0.0.1:9/v2"}}}, 5, id="another provider"),
        pytest.param(
            {"prompt": {**PROMPT, "params": {"temperature": 0, "max_tokens": 16}}}, 0, id="parameters in another order"
        ),
        pytest.param({"prompt": {**PROMPT, "user": "{{ text | trim }}"}}, 0, id="the same prompt, spelled otherwise"),
        pytest.param({"models": {"a": model("a", timeout="5s"), "b": model("b")}}, 0, id="another timeout"),
        pytest.param(
            {"routes": {"code": {"when": {"task": "code"}, "models": ["b"]}, "default": {"models": ["a", "b"]}}},
            0,
            id="a route that none of them takes",
        ),
        pytest.param(
            {
                "models": {"first": model("a"), "b": model("b")},
                "routes": {"default": {"models": ["first", "b"]}},
            },
            0,
            id="a model of another name, and the same",
        ),
    ],
)  # fmt: skip
def test_what_a_job_may_change_without_making_its_answers_stale(
    tmp_path: Path, fields: dict[str, Any], stale: int
) -> None:
    answered(tmp_path)
    done = ran(tmp_path, **fields)
    assert (done.provider.log, done.ended.stale) == ([], stale)
    assert ran(tmp_path).ended.stale == 0  # the job is what it was


def test_a_record_that_vanished_keeps_its_result_and_is_not_stale(tmp_path: Path) -> None:
    answered(tmp_path)
    change(tmp_path, 4)
    assert ran(tmp_path).ended.stale == 1
    write_records(tmp_path / "in.jsonl", records(4))
    done = ran(tmp_path, options=REFRESH)
    assert (done.ended.total, done.ended.stale, done.provider.log) == (4, 0, [])
    assert responses(done) == dict.fromkeys(["r0", "r1", "r2", "r3", "r4"], "old")


def test_a_record_that_can_be_sent_no_more_is_stale_and_keeps_its_answer_when_refreshed(
    tmp_path: Path,
) -> None:
    answered(tmp_path)
    write_records(tmp_path / "in.jsonl", [{"id": "r0"}, *records(5)[1:]])
    assert ran(tmp_path).ended.stale == 1
    done = ran(tmp_path, options=REFRESH)
    assert (done.ended.exit_code, done.ended.failed, done.ended.stale) == (3, 1, 1)
    assert responses(done) == dict.fromkeys(["r0", "r1", "r2", "r3", "r4"], "old")


def test_a_file_that_was_only_touched_is_up_to_date(tmp_path: Path) -> None:
    answered(tmp_path)
    os.utime(tmp_path / "in.jsonl", (1, 1))
    assert ran(tmp_path).ended.stale == 0


def test_a_refresh_compares_although_size_and_time_are_the_same(tmp_path: Path) -> None:
    answered(tmp_path)
    file = tmp_path / "in.jsonl"
    before = file.stat()
    with file.open("r+") as stream:
        stream.write(file.read_text().replace("question 2", "question 7"))
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert ran(tmp_path).ended.stale == 0  # nothing tells
    done = ran(tmp_path, options=REFRESH)
    assert responses(done) == {**dict.fromkeys(["r0", "r1", "r3", "r4"], "old"), "r2": "new"}


# Refreshing


def test_a_refresh_in_vain_keeps_the_answer_and_counts_what_it_has_cost(tmp_path: Path) -> None:
    order = answered(tmp_path)
    change(tmp_path, 2)
    refused = always(failure(ErrorType.CONTENT_BLOCKED, sent=True))
    done = run_virtually(tmp_path, scripts={"a": refused, "b": refused}, options=REFRESH, prompt=PROMPT)
    assert (done.ended.exit_code, done.ended.failed, done.ended.stale) == (3, 1, 1)
    row = done.results.row(by_predicate=pl.col("record_id") == "r2", named=True)
    assert (row["status"], row["response"], row["error_type"]) == ("succeeded", "old", None)
    assert row["attempts"] == 1 + len(done.provider.log) > 1
    assert done.results["record_id"].to_list() == order
    assert counts(tmp_path) == ({"pending": 0, "succeeded": 5, "failed": 0, "degraded": 0}, 1)
    assert_books_balance(done)

    done = ran(tmp_path, options=REFRESH)
    assert responses(done)["r2"] == "new"
    assert_books_balance(done)


def test_every_part_is_replaced_where_its_answers_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pipeline, "PART_RECORDS", 20)
    answered(tmp_path, 100, models={"a": model("a", limits={"concurrency": 4}), "b": model("b")})
    before = {file.name: pl.read_parquet(file) for file in (tmp_path / "out/results").iterdir()}
    changed = range(0, 100, 7)
    change(tmp_path, *changed, count=100)
    done = ran(tmp_path, options=REFRESH)

    assert len(before) >= 4
    after = {file.name: pl.read_parquet(file) for file in (tmp_path / "out/results").iterdir()}
    assert {name: part["record_id"].to_list() for name, part in after.items()} == {
        name: part["record_id"].to_list() for name, part in before.items()
    }
    assert {name for name, said in responses(done).items() if said == "new"} == {f"r{n}" for n in changed}
    assert_books_balance(done)


def test_what_only_one_of_the_runs_kept_is_null_in_the_rows_of_the_other(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(2, source="mail", lang="en"))
    ran(tmp_path, "old", output={"path": str(tmp_path / "out"), "keep": ["source"]})
    write_records(tmp_path / "in.jsonl", [{**each, "text": each["text"] + "?" * (each["id"] == "r1")}
                                          for each in records(2, source="mail", lang="en")])  # fmt: skip
    done = ran(tmp_path, options=REFRESH, output={"path": str(tmp_path / "out"), "keep": ["lang"]})
    assert done.results.select("record_id", "source", "lang").sort("record_id").rows() == [
        ("r0", "mail", None),
        ("r1", None, "en"),
    ]


def test_unknown_cost_of_an_earlier_answer_stays_unknown(tmp_path: Path) -> None:
    unpriced: dict[str, Any] = {"models": {"a": model("a", price=None), "b": model("b", price=None)}}
    answered(tmp_path, **unpriced)
    change(tmp_path, 0)
    done = ran(tmp_path, options=REFRESH)
    assert done.results["cost_usd"].null_count() == 5
    assert done.results.sort("record_id")["attempts"].to_list() == [2, 1, 1, 1, 1]


def test_what_was_refreshed_and_stopped_half_way_goes_on_with_the_same_command(tmp_path: Path) -> None:
    slots: dict[str, Any] = {"models": {"a": model("a", limits={"concurrency": 2}), "b": model("b")}}
    answered(tmp_path, 20, **slots)
    change(tmp_path, *range(20), count=20)

    def breaks_down(sent: Sent) -> tuple[float, Outcome]:
        return 0.1, answer("new") if sent.number <= 7 else failure(ErrorType.AUTH_REJECTED)

    provider = ScriptedProvider({"a": breaks_down, "b": always(failure(ErrorType.AUTH_REJECTED))})
    done = run_virtually(tmp_path, provider=provider, options=REFRESH, prompt=PROMPT, **slots)
    assert done.ended.exit_code == 5
    assert sorted(responses(done).values()) == ["new"] * 7 + ["old"] * 13
    assert counts(tmp_path)[1] == done.ended.stale

    done = ran(tmp_path, options=REFRESH, **slots)
    assert (done.ended.succeeded, done.ended.stale) == (13, 0)
    assert set(responses(done).values()) == {"new"}
    assert_books_balance(done)


# Failed records


def with_a_dead_letter(folder: Path) -> None:
    write_records(folder / "in.jsonl", [*records(3), {"id": "r3"}])
    assert ran(folder, "old").ended.failed == 1


@pytest.mark.parametrize("options", [Options(), REFRESH])
def test_failed_records_are_tried_again(tmp_path: Path, options: Options) -> None:
    with_a_dead_letter(tmp_path)
    write_records(tmp_path / "in.jsonl", records(4))
    done = ran(tmp_path, options=options)
    assert (done.ended.succeeded, done.ended.skipped) == (1, 3)
    assert responses(done)["r3"] == "new"


def test_failed_records_that_are_left_alone_are_not_stale(tmp_path: Path) -> None:
    with_a_dead_letter(tmp_path)
    write_records(tmp_path / "in.jsonl", records(4))
    done = ran(tmp_path, options=Options(retry_failed=False, refresh_changed=True))
    assert (done.provider.log, done.ended.stale, done.ended.exit_code) == ([], 0, 3)


# Only some of them

ROUTES: dict[str, Any] = {
    "classify": [{"column": "task"}],
    "routes": {"code": {"when": {"task": "code"}, "models": ["a"]}, "default": {"models": ["b"]}},
}


def mixed(folder: Path) -> None:
    tasks = ["code", "chat", "code", "extract", "chat"]
    write_records(
        folder / "in.jsonl", [{**each, "task": task} for each, task in zip(records(5), tasks, strict=True)]
    )


@pytest.mark.parametrize(
    ("only", "taken"),
    [
        (["route=code"], {"r0", "r2"}),
        (["task=chat"], {"r1", "r4"}),
        (["task=chat", "task=extract"], {"r1", "r3", "r4"}),
        (["route=default", "task=extract"], {"r3"}),
        (["route=code", "task=chat"], set()),
    ],
)
def test_only_the_records_that_are_asked_for_are_answered_and_the_others_stay_pending(
    tmp_path: Path, only: list[str], taken: set[str]
) -> None:
    mixed(tmp_path)
    done = ran(tmp_path, options=Options(only=tuple(only)), **ROUTES)
    assert set(done.results["record_id"]) == taken
    assert (done.ended.exit_code, done.ended.reason, done.ended.pending) == (0, None, 5 - len(taken))
    assert any("took none" in warning for warning in done.ended.warnings) is (not taken)

    assert ran(tmp_path, **ROUTES).results.height == 5


def test_only_the_stale_records_that_are_asked_for_are_refreshed(tmp_path: Path) -> None:
    mixed(tmp_path)
    ran(tmp_path, "old", **ROUTES)
    changed = {**PROMPT, "user": "Say: {{ text }}"}
    done = ran(
        tmp_path, options=Options(refresh_changed=True, only=("route=code",)), prompt=changed, **ROUTES
    )
    assert {name for name, said in responses(done).items() if said == "new"} == {"r0", "r2"}
    assert done.ended.stale == 3


# Only some files


def age(file: Path, hours: float) -> None:
    """Let a file have been modified so long before the virtual present."""
    at = 1_800_000_000 - hours * 3600
    os.utime(file, (at, at))


def test_only_files_that_were_modified_since_are_read(tmp_path: Path) -> None:
    source = {"path": str(tmp_path / "in"), "id": "id"}
    (tmp_path / "in").mkdir()
    age(write_records(tmp_path / "in/old.jsonl", [*records(3), {"id": "bad"}]), 48)
    ran(tmp_path, "old", input=source)
    age(write_records(tmp_path / "in/old.jsonl", [{"id": "r0", "text": "changed"}]), 48)
    age(write_records(tmp_path / "in/new.jsonl", records(5)[3:]), 1)

    done = ran(tmp_path, options=Options(since=dt.timedelta(hours=24)), input=source)
    assert (done.ended.total, done.ended.succeeded, done.ended.stale) == (2, 2, 0)
    assert counts(tmp_path)[0]["failed"] == 1  # the dead letter of the file that was not read stays
    moment = dt.datetime.fromtimestamp(1_800_000_000 - 1800, dt.UTC)
    done = ran(tmp_path, options=Options(since=moment), input=source)
    assert (done.ended.exit_code, done.ended.total) == (0, 0)
    assert any("nothing was read" in warning for warning in done.ended.warnings)
    assert ran(tmp_path, input=source).ended.stale == 1  # a run without it reads all, and compares


# With a budget


def test_a_refresh_that_no_money_is_left_for_keeps_the_answers_and_goes_on_when_there_is(
    tmp_path: Path,
) -> None:
    answered(tmp_path)
    change(tmp_path, 1, 3)
    done = ran(tmp_path, options=REFRESH, budget={"usd": 0.0001})
    assert (done.ended.exit_code, done.ended.pending, done.ended.stale) == (4, 2, 2)
    assert (done.provider.log, set(responses(done).values())) == ([], {"old"})

    done = ran(tmp_path, options=REFRESH, budget={"usd": 0.01})
    assert (done.ended.exit_code, done.ended.succeeded, done.ended.stale) == (0, 2, 0)
    assert_books_balance(done)


def test_an_answer_that_is_too_dear_to_refresh_stays(tmp_path: Path) -> None:
    answered(tmp_path)
    change(tmp_path, 1)
    done = ran(tmp_path, options=REFRESH, budget={"per_record_usd": 0.00001})
    assert (done.ended.exit_code, done.ended.failed, done.ended.stale) == (3, 1, 1)
    assert (done.provider.log, responses(done)["r1"]) == ([], "old")


def test_the_budget_of_a_record_is_for_one_answer_however_often_it_is_refreshed(tmp_path: Path) -> None:
    first = answered(tmp_path)
    one = Decimal(ran(tmp_path).results["cost_usd"][0])
    bound = Decimal("0.0002")  # room for one request, not for it and three answers
    for night in range(4):
        write_records(
            tmp_path / "in.jsonl", [{**each, "text": f"{each['text']}, night {night}"} for each in records(5)]
        )
        done = ran(tmp_path, f"{night}", options=REFRESH, budget={"per_record_usd": bound})
        assert responses(done) == dict.fromkeys(first, f"{night}")
        assert done.results["cost_usd"].to_list() == [(night + 2) * one] * 5
        assert_books_balance(done)


def test_attempts_of_one_refresh_are_counted_together(tmp_path: Path) -> None:
    answered(tmp_path, 1)
    change(tmp_path, 0, count=1)
    lost = always(failure(ErrorType.BODY_TRUNCATED, sent=True))
    for attempts in (1 + 2, 1 + 2 + 2):  # the third of a refresh would pass it
        done = run_virtually(
            tmp_path,
            scripts={"a": lost, "b": lost},
            options=REFRESH,
            prompt=PROMPT,
            budget={"per_record_usd": 0.0004},
        )
        assert done.ledger.height == attempts
        assert_books_balance(done)


def test_records_that_were_left_out_wait_for_no_budget(tmp_path: Path) -> None:
    mixed(tmp_path)
    done = ran(
        tmp_path, options=Options(only=("route=code",)), budget={"per_route": {"code": 0.00001}}, **ROUTES
    )
    assert (done.ended.exit_code, done.ended.event, done.ended.pending) == (4, "budget", 5)
    assert "2 records wait for a larger budget" in str(done.ended.reason)


def test_what_is_left_to_do_is_what_was_asked_for(tmp_path: Path) -> None:
    tasks = ["code"] * 30 + ["chat"] * 270
    write_records(
        tmp_path / "in.jsonl",
        [{**each, "task": task} for each, task in zip(records(300), tasks, strict=True)],
    )
    seen = list[Progress]()
    run_virtually(
        tmp_path,
        scripts={"a": always(answer(), 1.0), "b": always(answer(), 1.0)},
        options=Options(only=("route=code",)),
        watch=seen.append,
        models={name: model(name, limits={"concurrency": 1}) for name in "ab"},
        **ROUTES,
    )
    told = [each.elapsed_s + each.left_s for each in seen if each.left_s is not None and each.elapsed_s > 5]
    assert told
    assert max(told) < 40  # thirty of a second each


LONG, LACKS = {"min_chars": 2}, {"lacks": "^poor"}
RUBRIC = {"rubric": "Be good.", "threshold": 0.5}


def checked(*checks: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"routes": {"default": {"models": ["a"], "checks": list(checks)}}, **fields}


@pytest.mark.parametrize(
    ("before", "after", "stale"),
    [
        ((), (LONG,), 5),
        ((LONG,), (), 5),
        ((LONG,), ({"min_chars": 3},), 5),
        ((LONG, LACKS), (LACKS, LONG), 0),
        (({"judge": {"model": "b", **RUBRIC}},), ({"judge": {"model": "b", **RUBRIC, "threshold": 0.6}},), 5),
        (({"judge": {"model": "b", **RUBRIC}},), ({"judge": {"model": "again", **RUBRIC}},), 0),
    ],
)
def test_answers_that_were_held_against_other_checks_are_stale(
    tmp_path: Path, before: tuple[dict[str, Any], ...], after: tuple[dict[str, Any], ...], stale: int
) -> None:
    declared = {"a": model("a"), "b": model("b"), "again": model("b")}
    scripts = {"a": always(answer("old")), "b": always(answer("0.9"))}
    write_records(tmp_path / "in.jsonl", records(5))
    run_virtually(tmp_path, scripts=scripts, prompt=PROMPT, models=declared, **checked(*before))

    told = run_virtually(tmp_path, scripts=scripts, prompt=PROMPT, models=declared, **checked(*after))
    assert (told.ended.stale, told.provider.log) == (stale, [])
    assert counts(tmp_path)[1] == stale
    done = run_virtually(
        tmp_path, scripts=scripts, options=REFRESH, prompt=PROMPT, models=declared, **checked(*after)
    )
    assert len(done.provider.sent_to("a")) == stale
    assert (done.ended.stale, done.ended.exit_code) == (0, 0)
