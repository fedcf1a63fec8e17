"""Answers that outlive a run: found, kept, and never in the way."""

import sqlite3
import stat
from collections.abc import Callable
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from msgspec.structs import replace

from batchroute.core.responses import ErrorType
from batchroute.engine.pipeline import Options
from batchroute.io.answers import Answers, Kept
from batchroute.io.locks import locked
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.engine.test_bundles import ASKED, ONE, embedding
from tests.fakes import Script, always, answer, failure

SAID: Script = lambda sent: (0.1, answer(sent.model))  # noqa: E731
"""Every model answers with its name."""


def ran(folder: Path, out: str, content: str = "fine", **more: object) -> Ran:
    """One run with the cache in folder/cache, into an output directory of its own."""
    cache = {"path": str(folder / "cache"), **(more.pop("cache", {}))}  # type: ignore[dict-item]
    (folder / out).mkdir(exist_ok=True)
    write_records(folder / out / "in.jsonl", more.pop("records", records(30)))  # type: ignore[arg-type]
    return run_virtually(folder / out, cache=cache, scripts={"a": always(answer(content))}, **more)  # type: ignore[arg-type]


def test_what_one_run_was_answered_the_next_one_is_not_charged_for(tmp_path: Path) -> None:
    """A hit is a result like any other, and a line of the ledger that costs nothing."""
    first = ran(tmp_path, "one")
    second = ran(tmp_path, "two", "never asked")

    assert len(first.provider.log) == 30
    assert second.provider.log == []
    assert second.results["response"].to_list() == ["fine"] * 30
    assert set(second.results["status"]) == {"succeeded"}
    assert second.ledger["cost_basis"].to_list() == ["cache"] * 30
    assert second.ledger["cost_usd"].sum() == Decimal(0)
    assert second.ended.cached == 30


def test_no_cache_asks_anew_and_keeps_the_new_answers(tmp_path: Path) -> None:
    ran(tmp_path, "one")
    second = ran(tmp_path, "two", "newer", options=Options(use_cache=False))
    third = ran(tmp_path, "three", "never asked")

    assert len(second.provider.log) == 30
    assert third.results["response"].to_list() == ["newer"] * 30


@pytest.mark.parametrize("left", [b"", b"no database", b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_cache_is_set_aside_and_fails_no_run(tmp_path: Path, left: bytes) -> None:
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "answers.db").write_bytes(left)

    first = ran(tmp_path, "one")

    assert first.ended.succeeded == 30
    assert any("set aside" in warning for warning in first.ended.warnings) == bool(left)
    assert ran(tmp_path, "two").ended.cached == 30


def garbage_in_the_middle(file: Path) -> None:
    with file.open("r+b") as stream:
        stream.seek(2 * 4096)  # past what a program looks at to open it
        stream.write(b"\xff" * (file.stat().st_size - 2 * 4096))


def another_table(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("alter table answers rename to others")


def a_text_that_is_none(file: Path) -> None:
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("update answers set payload = cast(x'ff' as text) where id = 7")


@pytest.mark.parametrize("harm", [garbage_in_the_middle, another_table, a_text_that_is_none])
def test_a_cache_that_turns_out_damaged_is_set_aside_and_a_new_one_begun(
    tmp_path: Path, harm: Callable[[Path], None]
) -> None:
    ran(tmp_path, "one", records=records(400))
    harm(tmp_path / "cache" / "answers.db")

    second = ran(tmp_path, "two", "newer")

    assert second.ended.succeeded == 30
    assert len(second.provider.log) + second.ended.cached == 30
    assert [warning for warning in second.ended.warnings if "set aside" in warning]
    assert (tmp_path / "cache" / "answers.db.damaged").exists()
    assert ran(tmp_path, "three", "newest").ended.cached == 30 - second.ended.cached


def test_damage_that_shows_as_the_cache_closes_is_told(tmp_path: Path) -> None:
    ran(tmp_path, "one", records=records(400))
    garbage_in_the_middle(tmp_path / "cache" / "answers.db")

    second = ran(tmp_path, "two", options=Options(use_cache=False), records=records(1, place="new"))

    assert [warning for warning in second.ended.warnings if "set aside" in warning]
    assert ran(tmp_path, "three", "never asked", records=records(1, place="new")).ended.cached == 1


def test_what_a_slow_disk_leaves_no_room_for_is_let_go_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as no_room:
        no_room.setattr("batchroute.engine.caches.KEPT_BYTES", 0)
        first = ran(tmp_path, "one")

    assert any("30 answers were not kept" in warning for warning in first.ended.warnings)
    assert ran(tmp_path, "two").ended.cached == 0
    assert ran(tmp_path, "three").ended.cached == 30


def test_a_damaged_answer_is_asked_for_anew_and_replaced(tmp_path: Path) -> None:
    ran(tmp_path, "one")
    with closing(sqlite3.connect(tmp_path / "cache" / "answers.db")) as db, db:
        db.execute(
            "update answers set payload = cast(substr(payload, 1, 9) || x'ff' || substr(payload, 11) as blob)"
            " where id % 2 = 0"
        )

    second = ran(tmp_path, "two", "newer")

    assert second.ended.cached == 15
    assert sorted(second.results["response"]) == ["fine"] * 15 + ["newer"] * 15
    assert sum("damaged" in warning for warning in second.ended.warnings) == 1
    assert ran(tmp_path, "three", "never asked").ended.cached == 30


def test_another_programs_database_is_never_written_to(tmp_path: Path) -> None:
    """It is set aside as it is."""
    (tmp_path / "cache").mkdir()
    path = tmp_path / "cache" / "answers.db"
    with closing(sqlite3.connect(path)) as db:
        db.execute("create table theirs(x)")

    ran(tmp_path, "one")

    with closing(sqlite3.connect(f"{path}.damaged")) as db:
        assert db.execute("select name from sqlite_master").fetchall() == [("theirs",)]


def test_a_cache_that_another_run_holds_is_done_without(tmp_path: Path) -> None:
    with locked(tmp_path / "cache"):
        first = ran(tmp_path, "one")

    assert first.ended.succeeded == 30
    assert len([warning for warning in first.ended.warnings if "[cache]" in warning]) == 1


def test_answers_too_old_are_asked_for_anew_and_dropped(tmp_path: Path) -> None:
    ran(tmp_path, "one")
    with closing(sqlite3.connect(tmp_path / "cache" / "answers.db")) as db, db:
        db.execute("update answers set at = at - 3601 where id <= 10")

    second = ran(tmp_path, "two", "newer", cache={"ttl": "1h"})

    assert len(second.provider.log) == 10
    assert second.ended.cached == 20


def test_only_complete_answers_are_kept(tmp_path: Path) -> None:
    """One that was cut off, or that something was odd about, is asked for again."""
    cut = replace(answer(), finish_reason="length")
    write_records(tmp_path / "in.jsonl", records(3))
    cache = {"path": str(tmp_path / "cache")}

    run_virtually(tmp_path, cache=cache, scripts={"a": always(cut)})

    with closing(sqlite3.connect(tmp_path / "cache" / "answers.db")) as db:
        assert db.execute("select count(*) from answers").fetchone() == (0,)


def test_the_cache_is_for_the_owner_alone(tmp_path: Path) -> None:
    ran(tmp_path, "one")

    assert stat.S_IMODE((tmp_path / "cache").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "cache" / "answers.db").stat().st_mode) == 0o600


def test_a_record_that_no_model_answers_gets_an_old_answer_as_the_last_resort(tmp_path: Path) -> None:
    """Whatever its age, and of whichever model of its route; the failure stays in the ledger."""
    ran(tmp_path, "one")
    with closing(sqlite3.connect(tmp_path / "cache" / "answers.db")) as db, db:
        db.execute("update answers set at = 0")
    (tmp_path / "two").mkdir()
    write_records(tmp_path / "two" / "in.jsonl", [*records(30), {"id": "new", "text": "never asked"}])

    second = run_virtually(
        tmp_path / "two",
        cache={"path": str(tmp_path / "cache"), "ttl": "1h"},
        routes={"default": {"models": ["a", "b"], "last_resort": {"cache": True}}},
        scripts=dict.fromkeys("ab", always(failure(ErrorType.EMPTY_ANSWER))),
    )

    assert (second.ended.degraded, second.ended.failed) == (30, 1)
    degraded = second.results.filter(second.results["status"] == "degraded")
    assert set(degraded["flag"]) == {"last_resort"}
    assert set(degraded["response"]) == {"fine"}


def test_what_is_too_much_goes_oldest_first(tmp_path: Path) -> None:
    with closing(Answers(tmp_path)) as answers:
        for start in range(0, 6000, 1000):
            kept = Kept(token_hex(500), "stop", None, None)
            answers.keep([(f"{start + n:016}".encode(), kept) for n in range(1000)], start)
        before = answers.bytes
        answers.prune(0, before // 2)

        assert answers.bytes <= before // 2
        assert answers.find([f"{0:016}".encode()], 0) == {}
        assert len(answers.find([f"{5999:016}".encode()], 0)) == 1


@pytest.mark.parametrize(
    "demand",
    [
        {"response": {"labels": ["yes", "no"]}},
        {"routes": {"default": {"models": ["a"], "checks": [{"contains": "^yes"}]}}},
        {"routes": {"default": {"models": ["a"], "checks": [{"judge": {"model": "b", "rubric": "good"}}]}}},
    ],
    ids=["form", "check", "judge"],
)
def test_a_cached_answer_has_to_be_what_the_route_demands(tmp_path: Path, demand: dict[str, Any]) -> None:
    """Another job was content with it. What no judge of this route has accepted is not known to be good."""
    ran(tmp_path, "one", "fine")
    (tmp_path / "two").mkdir()
    write_records(tmp_path / "two" / "in.jsonl", records(30))

    second = run_virtually(
        tmp_path / "two",
        cache={"path": str(tmp_path / "cache")},
        scripts={"a": always(answer("yes")), "b": always(answer("1.0"))},
        **demand,
    )

    assert second.ended.cached == 0
    assert second.results["response"].to_list() == ["yes"] * 30


def test_a_cached_answer_has_its_value(tmp_path: Path) -> None:
    labels: dict[str, Any] = {"response": {"labels": ["fine", "not so"]}}
    ran(tmp_path, "one", **labels)
    second = ran(tmp_path, "two", "never asked", **labels)

    assert second.ended.cached == 30
    assert second.results["parsed"].cast(str).to_list() == ["fine"] * 30


def test_vectors_are_kept_and_found(tmp_path: Path) -> None:
    both = []
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        write_records(tmp_path / out / "in.jsonl", records(30))
        cache = {"path": str(tmp_path / "cache")}
        both.append(run_virtually(tmp_path / out, cache=cache, scripts={"a": embedding}, **{**ASKED, **ONE}))

    first, second = both
    assert len(first.provider.log) == 4
    assert (len(second.provider.log), second.ended.cached) == (0, 30)
    vectors = [dict(done.results.select("record_id", "vector").iter_rows()) for done in both]
    assert vectors[0] == vectors[1]


def test_an_old_answer_goes_before_the_text_of_the_last_resort(tmp_path: Path) -> None:
    """The text is for those that nobody ever answered."""
    ran(tmp_path, "one")
    (tmp_path / "two").mkdir()
    write_records(tmp_path / "two" / "in.jsonl", [*records(3), {"id": "new", "text": "never asked"}])

    second = run_virtually(
        tmp_path / "two",
        cache={"path": str(tmp_path / "cache"), "ttl": "1h"},
        routes={"default": {"models": ["b", "a"], "last_resort": {"cache": True, "text": "sorry"}}},
        scripts=dict.fromkeys("ab", always(failure(ErrorType.EMPTY_ANSWER))),
    )

    assert second.ended.degraded == 4
    assert sorted(second.results["response"]) == ["fine"] * 3 + ["sorry"]


@pytest.mark.parametrize(("wished", "cached"), [("east", 0), ("west", 1), ("auto", 1), ("auto-cheap", 1)])
def test_only_what_the_record_itself_would_ask_first_is_looked_up(
    tmp_path: Path, wished: str, cached: int
) -> None:
    """A model that it names is its first choice, and none of those that stand for that one on its route."""
    both = []
    for out, name in (("one", "west"), ("two", wished)):
        (tmp_path / out).mkdir()
        path = write_records(tmp_path / out / "in.jsonl", records(1, model=name))
        both.append(
            run_virtually(
                tmp_path / out,
                input={"path": str(path), "id": "id", "model": "model"},
                models={name: model(name) for name in ("east", "west", "back")},
                routes={"default": {"models": [["east", "west"], "back"]}},
                cache={"path": str(tmp_path / "cache")},
                scripts=dict.fromkeys(("east", "west", "back"), SAID),
            )
        )

    _, second = both
    assert second.ended.cached == cached
    assert second.results["response"].to_list() == ["west" if cached else "east"]


def test_a_record_that_asks_for_the_cheapest_model_finds_its_own_answer(tmp_path: Path) -> None:
    """Although its route lists none but a dear one."""
    dear = {"input": Decimal(50), "output": Decimal(50)}
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        path = write_records(tmp_path / out / "in.jsonl", records(1, model="auto-cheap"))
        ran = run_virtually(
            tmp_path / out,
            input={"path": str(path), "id": "id", "model": "model"},
            models={"large": model("large", price=dear), "small": model("small")},
            routes={"default": {"models": ["large"]}},
            cache={"path": str(tmp_path / "cache")},
            scripts=dict.fromkeys(("large", "small"), SAID),
        )

    assert ran.results["response"].to_list() == ["small"]
    assert (ran.provider.log, ran.ended.cached) == ([], 1)


@pytest.mark.parametrize(
    ("temperature", "dedupe", "cached"), [(0, None, 30), (0.7, None, 0), (0.7, True, 30), (0, False, 0)]
)
def test_only_what_equal_records_share_is_looked_up(
    tmp_path: Path, temperature: float, dedupe: bool | None, cached: int
) -> None:
    """Who draws an answer for each record does not want the same one for all of them, whoever got it; and is told."""
    prompt = {"user": "{{ text }}", "params": {"max_tokens": 16, "temperature": temperature}}
    for out in ("one", "two"):
        second = ran(tmp_path, out, prompt=prompt, dedupe=dedupe)

    assert second.ended.cached == cached
    assert any("[job_cache]" in warning for warning in second.ended.warnings) == (not cached)


def test_what_a_run_has_kept_itself_is_for_later_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would depend on how soon an answer is written which records of other routes are sent."""
    monkeypatch.setattr("batchroute.engine.openings.BATCH_RECORDS", 16)
    asked: dict[str, Any] = {
        "records": [
            {**each, "id": f"{kind}{each['id']}", "kind": kind} for kind in "xy" for each in records(200)
        ],
        "classify": [{"column": "kind"}],
        "routes": {"x": {"when": {"task": "x"}, "models": ["a"]}, "default": {"models": ["a"]}},
        "window": 16,
    }

    assert [len(ran(tmp_path, out, **asked).provider.log) for out in ("one", "two")] == [400, 0]


def test_an_answer_that_cost_more_than_it_could_is_not_kept(tmp_path: Path) -> None:
    """It has its flag in the results, which the cache would forget."""
    dear = {"a": always(answer(input_tokens=5000))}
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        write_records(tmp_path / out / "in.jsonl", records(3))
        second = run_virtually(tmp_path / out, cache={"path": str(tmp_path / "cache")}, scripts=dear)

    assert second.ended.cached == 0
    assert set(second.results["flag"]) == {"usage_over_reservation"}


@pytest.mark.parametrize(("max_tokens", "cached"), [(16, 0), (32, 1)])
def test_an_answer_that_needed_more_room_is_the_answer_to_a_request_with_more_room(
    tmp_path: Path, max_tokens: int, cached: int
) -> None:
    cut = failure(ErrorType.OUTPUT_TRUNCATED, sent=True)
    script: Script = lambda sent: (0.1, cut if b":16" in sent.request.params else answer())  # noqa: E731
    for out, room in (("one", 16), ("two", max_tokens)):
        (tmp_path / out).mkdir()
        write_records(tmp_path / out / "in.jsonl", records(1))
        second = run_virtually(
            tmp_path / out,
            prompt={"user": "{{ text }}", "params": {"max_tokens": room}},
            cache={"path": str(tmp_path / "cache")},
            scripts={"a": script},
        )

    assert second.ended.succeeded == 1
    assert second.ended.cached == cached


def test_what_a_judge_has_accepted_is_found_where_the_same_one_judges(tmp_path: Path) -> None:
    judged: dict[str, Any] = {
        "routes": {"default": {"models": ["a"], "checks": [{"judge": {"model": "b", "rubric": "good"}}]}}
    }
    for out in ("one", "two"):
        (tmp_path / out).mkdir()
        write_records(tmp_path / out / "in.jsonl", records(3))
        second = run_virtually(
            tmp_path / out,
            cache={"path": str(tmp_path / "cache")},
            scripts={"a": always(answer()), "b": always(answer("1.0"))},
            **judged,
        )

    assert (second.provider.log, second.ended.cached) == ([], 3)
