import itertools
from collections import Counter
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from msgspec import structs

from batchroute.core.errors import InputError, NoRoomError, OutputError
from batchroute.core.responses import ErrorType, Outcome, RateLimits, Usage
from batchroute.engine import pipeline
from batchroute.engine.pipeline import Options
from batchroute.engine.tally import Progress
from batchroute.io import files
from batchroute.io.manifest import read_manifest
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Sent, always, answer, failure

FINE = always(answer())
CAPPED = {"user": "{{ text }}", "params": {"max_tokens": 100}}
DOWN = always(failure(ErrorType.SERVER_ERROR))
BLOCKED = failure(ErrorType.CONTENT_BLOCKED)


def assert_books_balance(ran: Ran, expected: int) -> None:
    """Every record has one result, every request one row, and the sums agree."""
    results, ledger = ran.results, ran.ledger
    assert results.height == expected
    assert results["record_id"].n_unique() == expected
    assert results["attempts"].sum() == ledger.height
    assert results["cost_usd"].sum() == ledger["cost_usd"].sum()
    last = pl.col("attempt") == pl.col("attempt").max().over("record_id")
    assert set(ledger.filter(last)["verdict"]) <= {"accept", "dead_letter"}
    assert "accept" not in set(ledger.filter(~last)["verdict"])
    assert ledger.filter(last).height == results.filter(pl.col("attempts") > 0).height


def test_every_record_is_answered_once(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(300))
    ran = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})

    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 300)
    assert len(ran.provider.log) == 300
    assert {sent.model for sent in ran.provider.log} == {"a"}
    assert ran.provider.closed
    assert_books_balance(ran, 300)


@pytest.mark.parametrize(
    ("stage", "told"),
    [
        pytest.param("raise ValueError('odd')", "python:rules:label raised ValueError", id="error"),
        pytest.param("raise SystemExit(0)", "python:rules:label raised SystemExit", id="exit"),
        pytest.param("return []", "python:rules:label gave 0 answers", id="too few answers"),
    ],
)
def test_a_stage_that_fails_later_lets_what_is_in_flight_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stage: str, told: str
) -> None:
    # What was out was cut off and booked at its upper bound, and sys.exit(0) ended the run as if all were well.
    monkeypatch.chdir(tmp_path)
    Path("rules.py").write_text(f"""
def label(records):
    if any(record["text"] == "last" for record in records):
        {stage}
    return ["chat"] * len(records)
""")
    long = [{"id": f"r{n}", "text": f"{n} {'long ' * 4000}"} for n in range(400)]
    write_records(tmp_path / "in.jsonl", [*long, {"id": "last", "text": "last"}])
    ran = run_virtually(
        tmp_path,
        scripts={"a": FINE, "b": FINE},
        classify=[{"python": "rules:label", "columns": ["text"]}],
        window=16,
    )

    assert ran.ended.exit_code == InputError.exit_code
    assert told in str(ran.ended.reason)
    assert 0 < ran.ended.succeeded == len(ran.provider.log) < 400
    assert_books_balance(ran, ran.ended.succeeded)


def test_a_second_run_sends_nothing(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(50))
    run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    before = {file: file.read_bytes() for file in (tmp_path / "out/results").iterdir()}

    again = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    assert again.provider.log == []
    assert (again.ended.exit_code, again.ended.skipped) == (0, 50)
    assert {file: file.read_bytes() for file in (tmp_path / "out/results").iterdir()} == before


def test_a_failing_models_records_go_to_the_next_model(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(300))
    ran = run_virtually(tmp_path, scripts={"a": DOWN, "b": FINE})

    assert ran.ended.exit_code == 0
    assert ran.results["model"].unique().to_list() == ["b"]
    assert (
        len(ran.provider.sent_to("a")) <= 32 + 5
    )  # what was in flight when it was ejected, and then nothing
    assert_books_balance(ran, 300)


def test_an_ejected_model_is_probed_once_after_its_cooldown_and_used_again(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(8000))

    def down_for_20_s(sent: Sent) -> tuple[float, Outcome]:
        return (0.1, failure(ErrorType.SERVER_ERROR) if sent.at < 20 else answer())

    ran = run_virtually(tmp_path, scripts={"a": down_for_20_s, "b": always(answer(), 0.2)})
    times = [sent.at for sent in ran.provider.sent_to("a")]
    ejected = [at for at in times if at < 1]
    probes = [at for at in times if 1 <= at < 36.2]
    assert len(ejected) <= 64
    assert 30 <= probes[0] <= 36.1
    assert [at for at in times if probes[0] <= at < probes[0] + 0.1] == [probes[0]]
    assert len(times) > 1000
    assert_books_balance(ran, 8000)


def test_when_every_model_is_down_records_wait_and_none_is_lost(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(100))

    def down_for_10_minutes(sent: Sent) -> tuple[float, Outcome]:
        return (0.1, failure(ErrorType.OVERLOADED) if sent.at < 600 else answer())

    script = {"a": down_for_10_minutes, "b": down_for_10_minutes}
    ran = run_virtually(tmp_path, scripts=script)
    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 100)
    waiting = [sent for sent in ran.provider.log if 1 < sent.at < 600]
    assert len(waiting) < 20  # probes alone
    assert_books_balance(ran, 100)


def test_in_flight_never_exceeds_the_slots(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(400))
    models = {"a": model("a", limits={"concurrency": 7}), "b": model("b", limits={"concurrency": 3})}
    flaky = {
        "a": lambda sent: (0.1, answer() if sent.number % 3 else failure(ErrorType.OVERLOADED)),
        "b": FINE,
    }
    ran = run_virtually(tmp_path, scripts=flaky, models=models)

    assert ran.provider.most_in_flight == Counter({"a": 7, "b": 3})
    assert_books_balance(ran, 400)


def test_a_rate_limited_model_is_paused_for_as_long_as_it_asks(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(100))

    def limited_once(sent: Sent) -> tuple[float, Outcome]:
        return (0.1, failure(ErrorType.RATE_LIMITED, retry_after_s=3.0) if sent.number == 40 else answer())

    ran = run_virtually(tmp_path, scripts={"a": limited_once, "b": FINE})
    times = sorted(sent.at for sent in ran.provider.sent_to("a"))
    paused_at = next(sent.at for sent in ran.provider.log if sent.number == 40) + 0.1
    moment = 0.001  # what had its slot when the refusal came goes out with it
    assert not [at for at in times if paused_at + moment < at < paused_at + 3.0]
    assert len(ran.provider.sent_to("a")) == 101
    assert ran.provider.sent_to("b") == []
    assert_books_balance(ran, 100)


def test_a_long_pause_sends_the_records_to_the_next_model(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(200))
    limited = always(failure(ErrorType.RATE_LIMITED, retry_after_s=600.0))
    ran = run_virtually(tmp_path, scripts={"a": limited, "b": FINE})

    assert ran.ended.succeeded == 200
    assert ran.ended.duration_s < 60
    assert_books_balance(ran, 200)


def test_requests_per_minute_are_kept(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(120))
    models = {"a": model("a", limits={"concurrency": 50, "rpm": 60}), "b": model("b")}
    ran = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, models=models)

    times = [sent.at for sent in ran.provider.log]
    assert 118 <= ran.ended.duration_s <= 126
    assert max(sum(start <= at < start + 60 for at in times) for start in times) <= 61


def test_tokens_per_minute_are_kept(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(200))
    models = {"a": model("a", limits={"tpm": 6000}), "b": model("b")}
    tokens = always(answer(input_tokens=80, output_tokens=20))
    ran = run_virtually(tmp_path, scripts={"a": tokens, "b": tokens}, models=models)

    assert ran.ended.duration_s == pytest.approx(200 * 100 / 100, rel=0.05)  # 100 tokens a second
    assert ran.provider.sent_to("b") == []


def test_a_refused_key_disables_the_provider_and_without_another_the_run_stops(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(500))
    ran = run_virtually(tmp_path, scripts={"a": always(failure(ErrorType.AUTH_REJECTED)), "b": FINE})

    assert ran.ended.exit_code == 5
    assert set(ran.ended.disabled) == {"a", "b"}  # one account
    assert ran.ended.reason is not None
    assert "scripted auth_rejected" in ran.ended.reason
    assert len(ran.provider.log) <= 32
    assert (ran.ended.pending, ran.results.height) == (500, 0)


def test_a_model_that_is_not_found_leaves_the_others_of_its_provider(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(100))
    ran = run_virtually(tmp_path, scripts={"a": always(failure(ErrorType.MODEL_NOT_FOUND)), "b": FINE})

    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 100)
    assert list(ran.ended.disabled) == ["a"]
    assert_books_balance(ran, 100)


def test_a_bad_request_is_a_dead_letter_and_ejects_nobody(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(100))
    refused = always(failure(ErrorType.BAD_REQUEST))
    ran = run_virtually(
        tmp_path, scripts={"a": lambda sent: (FINE if sent.number == 1 else refused)(sent), "b": FINE}
    )

    assert (ran.ended.exit_code, ran.ended.failed) == (3, 99)
    assert ran.provider.sent_to("b") == []
    assert set(ran.results.filter(status="failed")["error_type"]) == {"bad_request"}
    assert_books_balance(ran, 100)


def test_a57_a_model_that_refuses_its_first_twenty_requests_is_out(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(100))
    ran = run_virtually(tmp_path, scripts={"a": always(failure(ErrorType.UNPROCESSABLE)), "b": FINE})

    asked = len(ran.provider.sent_to("a"))
    assert 20 <= asked < 40  # and what was out by then
    assert (ran.ended.failed, ran.ended.succeeded) == (asked, 100 - asked)
    assert "20 requests in a row failed alike" in ran.ended.disabled["a"]

    mended = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    assert (mended.ended.exit_code, mended.ended.succeeded) == (0, asked)


def test_a66_a_firewall_that_lets_nothing_through_is_left_alone_and_then_out(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(10))
    blocked = always(failure(ErrorType.WAF_BLOCKED))
    ran = run_virtually(
        tmp_path,
        scripts={"a": blocked},
        models={"a": model("a", limits={"concurrency": 1})},
        routes={"default": {"models": ["a"]}},
    )

    times = [sent.at for sent in ran.provider.log]
    assert len(times) == 3
    assert all(late - early >= 60.0 for early, late in itertools.pairwise(times))
    assert (ran.ended.exit_code, ran.ended.pending) == (5, 10)


def test_a_refusal_that_names_two_times_is_believed_the_longer_one(tmp_path: Path) -> None:
    """Come back in a second, but the tokens that it needs are back in a minute: the next model is idle."""
    write_records(tmp_path / "in.jsonl", records(1))
    used_up = RateLimits(limit_tokens=1000, remaining_tokens=0, reset_tokens=600.0)
    refused = structs.replace(failure(ErrorType.RATE_LIMITED, retry_after_s=1.0), rate_limits=used_up)
    ran = run_virtually(tmp_path, scripts={"a": always(refused), "b": FINE}, prompt=CAPPED)

    assert [sent.model for sent in ran.provider.log] == ["a", "b"]
    assert ran.ended.duration_s < 1.0


def test_a92_an_answer_that_did_not_fit_is_asked_for_once_more_with_more_room(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(1))
    cut_off = always(failure(ErrorType.OUTPUT_TRUNCATED, sent=True))
    ran = run_virtually(tmp_path, scripts={"a": cut_off, "b": FINE}, prompt=CAPPED)

    asked = [(sent.model, sent.request.max_output_tokens, sent.request.params) for sent in ran.provider.log]
    assert asked == [
        ("a", 100, b',"max_tokens":100'),
        ("a", 200, b',"max_tokens":200'),
        ("b", 100, b',"max_tokens":100'),
    ]


def test_a92_a_model_that_has_no_more_room_fails_over(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(1))

    def small(sent: Sent) -> tuple[float, Outcome]:
        fits = sent.request.max_output_tokens == 100
        kind = ErrorType.OUTPUT_TRUNCATED if fits else ErrorType.BAD_REQUEST
        return 0.1, failure(kind, sent=fits)

    ran = run_virtually(tmp_path, scripts={"a": small, "b": FINE}, prompt=CAPPED)

    assert [sent.model for sent in ran.provider.log] == ["a", "a", "b"]
    assert ran.ended.succeeded == 1


def test_failed_records_are_tried_again_and_appear_once(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(30))
    empty = failure(ErrorType.EMPTY_ANSWER, sent=True)
    first = run_virtually(tmp_path, scripts={"a": always(empty), "b": always(empty)})
    assert first.ended.failed == 30
    assert first.results["attempts"].unique().to_list() == [4]

    left = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, options=Options(retry_failed=False))
    assert (left.ended.exit_code, left.provider.log) == (3, [])
    assert (left.ended.skipped, left.ended.failed_before, left.ended.pending) == (0, 30, 0)
    assert "30 records failed before and were not tried again" in (left.ended.reason or "")
    assert left.results.height == 30

    second = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    assert (second.ended.exit_code, second.ended.succeeded) == (0, 30)
    assert second.results["attempts"].unique().to_list() == [5]
    assert second.results["escalations"].unique().to_list() == [1]
    assert not (tmp_path / "out/results/part-failed.parquet").exists()
    assert_books_balance(second, 30)


@pytest.mark.parametrize("limit", [None, 20])
def test_a_run_that_is_stopped_says_of_failed_records_what_the_dataset_says(
    tmp_path: Path, limit: int | None
) -> None:
    """Those that it had not come to were pending to the run, and failed in the manifest and in the results."""
    write_records(tmp_path / "in.jsonl", records(30))
    empty = failure(ErrorType.EMPTY_ANSWER, sent=True)
    run_virtually(tmp_path, scripts={"a": always(empty), "b": always(empty)})
    write_records(tmp_path / "in.jsonl", records(40))
    slow = always(answer(), latency_s=10.0)
    late = Options(max_duration_s=15.0, limit=limit)
    ended = run_virtually(
        tmp_path,
        seed=1,
        scripts={"a": slow, "b": slow},
        options=late,
        models={name: model(name, limits={"concurrency": 4}) for name in "ab"},
    ).ended
    manifest = read_manifest(tmp_path / "out")

    assert (ended.exit_code, ended.succeeded) == (4, 4)
    assert manifest is not None
    assert manifest.counts["pending"] == ended.pending
    assert manifest.counts["failed"] - 30 + min(30, limit or 30) == ended.failed_before
    assert ended.total == ended.succeeded + ended.failed_before + ended.pending == (limit or 40)


def test_an_unknown_outcome_is_booked_at_its_upper_bound(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(1))
    lost_once = {
        "a": lambda sent: (
            0.1,
            answer() if sent.number > 1 else failure(ErrorType.CONNECTION_LOST, sent=True),
        )
    }
    ran = run_virtually(tmp_path, scripts={**lost_once, "b": FINE})

    lost, found = ran.ledger.sort("attempt").iter_rows(named=True)
    assert (lost["cost_basis"], found["cost_basis"]) == ("upper_bound", "usage")
    prompt = b'[{"role":"user","content":"question 0"}]'
    params = b',"max_tokens":16'
    assert lost["cost_usd"] == Decimal(len(prompt) + len(params) + 64 + 2 * 16) / 1_000_000
    assert found["cost_usd"] == Decimal("0.000020")
    assert lost["verdict"] == "retry"


def test_an_unknown_price_gives_null_costs_and_never_zero(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(5))
    models = {name: {key: value for key, value in model(name).items() if key != "price"} for name in "ab"}
    ran = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, models=models)

    assert ran.ledger["cost_usd"].to_list() == [None] * 5
    assert ran.results["cost_usd"].to_list() == [None] * 5
    assert ran.ended.unpriced == 5


@pytest.mark.parametrize(
    "declared", [{}, {"cached": "0"}, {"cached": "0.125", "cache_write": "1.250001"}], ids=str
)
def test_every_cost_can_be_computed_anew_from_its_row(tmp_path: Path, declared: dict[str, str]) -> None:
    write_records(tmp_path / "in.jsonl", records(60))
    price = {key: Decimal(usd) for key, usd in {"input": "0.3", "output": "2.000003", **declared}.items()}

    def varied(sent: Sent) -> tuple[float, Outcome]:
        if sent.number % 7 == 0:
            return (0.1, failure(ErrorType.SERVER_ERROR, sent=sent.number % 2 == 0))
        tokens = {"input_tokens": 1000, "cached_tokens": 7 * sent.number, "cache_write_tokens": sent.number}
        usage = Usage(**tokens, output_tokens=sent.number, reasoning_tokens=1)
        return (0.1, structs.replace(answer(), usage=usage))

    models = {"a": model("a", price=price), "b": model("b", price=price)}
    ran = run_virtually(tmp_path, scripts={"a": varied, "b": FINE}, models=models)
    assert ran.ledger["cost_basis"].n_unique() == 3
    for row in ran.ledger.filter(pl.col("cost_basis") != "upper_bound").iter_rows(named=True):
        plain = (row["input_tokens"] or 0) - (row["cached_tokens"] or 0) - (row["cache_write_tokens"] or 0)
        assert row["cost_usd"] * 1_000_000 == (
            plain * row["price_input"]
            + (row["cached_tokens"] or 0) * row["price_cached"]
            + (row["cache_write_tokens"] or 0) * row["price_cache_write"]
            + (row["output_tokens"] or 0) * row["price_output"]
        )


def test_only_the_first_records_are_read_with_a_limit(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(300))
    ran = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, options=Options(limit=7))
    assert sorted(ran.results["record_id"]) == [f"r{number}" for number in range(7)]
    assert (ran.ended.total, ran.ended.pending) == (7, 0)

    rest = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    assert (rest.ended.skipped, rest.ended.succeeded) == (7, 293)


def whatever(folder: Path) -> dict[str, object]:
    """The input, however much of it is bad."""
    return {"path": str(folder / "in.jsonl"), "id": "id", "max_bad": 1.0}


def test_duplicate_ids_and_bad_lines_are_dead_letters_with_their_place(tmp_path: Path) -> None:
    lines = [
        '{"id": 1, "text": "x"}',
        '{"id": "1", "text": "y"}',
        "{broken",
        '{"id": null, "text": "z"}',
        '{"id": 2}',
    ]
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    for _ in range(2):  # a second run changes nothing
        ran = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, input=whatever(tmp_path))
        found = {row["record_id"]: row for row in ran.results.iter_rows(named=True)}
        assert {record_id: row["error_type"] for record_id, row in found.items()} == {
            "1": None,
            "in.jsonl:2": "id_duplicate",
            "in.jsonl:3": "json_syntax",
            "in.jsonl:4": "id_missing",
            "2": "field_missing",
        }
        assert "in.jsonl:1" in found["in.jsonl:2"]["error_message"]
        assert ran.ended.exit_code == 3
        assert ran.ledger.height == 1


def test_a_bad_line_is_a_dead_letter_even_where_its_place_is_another_records_id(tmp_path: Path) -> None:
    lines = ["{broken", '{"id": "in.jsonl:1", "text": "x"}', '{"id": "in.jsonl:1", "text": "y"}', "{broken"]
    (tmp_path / "in.jsonl").write_text("\n".join([*lines, '{"id": "in.jsonl:4#1", "text": "z"}']))
    for _ in range(2):
        ran = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, input=whatever(tmp_path))
        assert ran.ended.pending == 0
        assert ran.results.height == 5
        assert sorted(ran.results["error_type"].drop_nulls()) == [
            "id_duplicate",
            "json_syntax",
            "json_syntax",
        ]


def test_dead_letters_of_places_that_were_mended_go_away(tmp_path: Path) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "x", "text": "x"}\n{broken\n{"id": "x", "text": "y"}\n')
    run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    (tmp_path / "in.jsonl").write_text('{"id": "x", "text": "x"}\n{"id": "y", "text": "y"}\n')

    part = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, options=Options(limit=1))
    assert sorted(part.results["record_id"]) == ["in.jsonl:2", "in.jsonl:3", "x"]
    whole = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    assert sorted(whole.results["record_id"]) == ["x", "y"]
    assert whole.ended.exit_code == 0


def test_an_absurd_output_cap_is_a_dead_letter_and_stops_nobody(tmp_path: Path) -> None:
    bodies = [{"messages": [{"role": "user", "content": "x"}], "max_tokens": cap} for cap in (10**15, 10)]
    write_records(tmp_path / "in.jsonl", [{"id": f"r{n}", "b": body} for n, body in enumerate(bodies)])
    ran = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, prompt={"body": "b"})
    assert (ran.ended.succeeded, ran.ended.failed) == (1, 1)
    assert ran.results["error_type"].drop_nulls().to_list() == ["override_range"]


def test_an_ejected_model_with_a_pace_or_a_pause_is_probed_and_comes_back(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(200))

    def down_then_limited(sent: Sent) -> tuple[float, Outcome]:
        if sent.at < 10:
            return (0.1, failure(ErrorType.SERVER_ERROR))
        limited = failure(ErrorType.RATE_LIMITED, retry_after_s=20.0)
        return (0.1, limited if sent.at < 50 else answer(input_tokens=50, output_tokens=50))

    models = {"a": model("a", limits={"rpm": 600, "tpm": 60_000})}
    routes = {"default": {"models": ["a"]}}
    ran = run_virtually(tmp_path, scripts={"a": down_then_limited}, models=models, routes=routes)
    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 200)
    assert_books_balance(ran, 200)


def test_a_burst_of_rate_limits_is_one_pause(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(3000))
    models = {"a": model("a", limits={"concurrency": 1100}), "b": model("b")}

    def limited_at_first(sent: Sent) -> tuple[float, Outcome]:
        return (0.1, failure(ErrorType.RATE_LIMITED) if sent.at < 0.5 else answer())

    ran = run_virtually(tmp_path, scripts={"a": limited_at_first, "b": FINE}, models=models)
    assert ran.ended.succeeded == 3000
    assert ran.ended.duration_s < 10


def test_a_run_in_which_nothing_is_answered_for_an_hour_stops_and_can_go_on(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(50))
    ran = run_virtually(tmp_path, scripts={"a": DOWN, "b": DOWN})
    assert (ran.ended.exit_code, ran.ended.pending, ran.results.height) == (4, 50, 0)
    assert 3600 <= ran.ended.duration_s <= 3800
    assert len(ran.provider.log) < 300

    rest = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    assert (rest.ended.exit_code, rest.ended.succeeded) == (0, 50)
    assert_books_balance(rest, 50)


def test_a_shortage_of_our_own_pauses_and_kills_no_record(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(50))

    def short_for_10_s(sent: Sent) -> tuple[float, Outcome]:
        return (0.0, failure(ErrorType.LOCAL_RESOURCE) if sent.at < 10 else answer())

    ran = run_virtually(tmp_path, scripts={"a": short_for_10_s, "b": short_for_10_s})
    assert (ran.ended.exit_code, ran.ended.succeeded) == (0, 50)


def test_a_suspect_model_does_not_wait_for_its_slowest_request(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(200))
    models = {"a": model("a", timeout="600s"), "b": model("b")}

    def one_hangs(sent: Sent) -> tuple[float, Outcome]:
        return (500.0, answer()) if sent.number == 1 else (0.01, failure(ErrorType.SERVER_ERROR))

    ran = run_virtually(tmp_path, scripts={"a": one_hangs, "b": FINE}, models=models)
    finished = ran.results.filter(pl.col("model") == "b")["finished_at"]
    assert ran.results.height == 200
    assert len(finished) == 199
    assert (finished.max() - finished.min()).total_seconds() < 60  # type: ignore[operator, union-attr]


def test_a_model_in_no_route_does_not_keep_a_run_without_models_alive(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(50))
    ran = run_virtually(
        tmp_path,
        scripts={"a": always(failure(ErrorType.AUTH_REJECTED)), "b": FINE},
        providers={"p": {"base_url": "http://127.0.0.1:9/v1"}, "q": {"base_url": "http://127.0.0.1:9/v1"}},
        models={"a": model("a"), "b": model("b", provider="q")},
        routes={"default": {"models": ["a"]}},
    )
    assert (ran.ended.exit_code, ran.ended.pending) == (5, 50)


@pytest.mark.parametrize("gone", ["state.db", "manifest.json"])
def test_an_output_without_its_state_or_its_manifest_is_refused(tmp_path: Path, gone: str) -> None:
    write_records(tmp_path / "in.jsonl", records(5))
    run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    (tmp_path / "out" / gone).unlink()
    with pytest.raises(OutputError, match=f"{gone} is missing"):
        run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})


def test_kept_columns_follow_the_documented_ones(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", [{"id": "x", "text": "t", "source": "mail", "n": 3}])
    ran = run_virtually(
        tmp_path,
        scripts={"a": FINE, "b": FINE},
        output={"path": str(tmp_path / "out"), "keep": ["source", "n", "gone"]},
    )
    assert ran.results.select("source", "n", "gone").row(0) == ("mail", "3", None)


def test_another_jobs_output_is_refused(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(1))
    run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    with pytest.raises(OutputError, match="'test'"):
        run_virtually(tmp_path, scripts={"a": FINE, "b": FINE}, name="other")


def test_parts_are_written_while_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline, "PART_RECORDS", 50)
    write_records(tmp_path / "in.jsonl", records(500))
    visible: list[int] = []

    def look(progress: Progress) -> None:
        parts = list((tmp_path / "out/results").glob("part-*.parquet"))
        visible.append(pl.read_parquet(parts)["record_id"].n_unique() if parts else 0)

    ran = run_virtually(tmp_path, scripts={"a": always(answer(), 1.0), "b": FINE}, watch=look)
    assert len(list((tmp_path / "out/results").iterdir())) >= 5
    assert visible == sorted(visible)
    assert 0 < visible[len(visible) // 2] < 500
    assert_books_balance(ran, 500)


def test_a_slow_run_writes_a_part_every_five_minutes(tmp_path: Path) -> None:
    """And its manifest tells how far it has come."""
    write_records(tmp_path / "in.jsonl", records(200))
    parts: dict[int, int] = {}

    def look(progress: Progress) -> None:
        manifest = read_manifest(tmp_path / "out")
        if manifest is not None and manifest.results:
            parts[len(manifest.results)] = sum(part.rows for part in manifest.results)
            assert manifest.counts["succeeded"] == sum(part.rows for part in manifest.results)

    ran = run_virtually(
        tmp_path,
        scripts={"a": always(answer(), 40.0)},
        models={"a": model("a", limits={"concurrency": 4}, timeout="60s")},
        routes={"default": {"models": ["a"]}},
        watch=look,
    )
    assert list(parts)[:3] == [1, 2, 3]
    assert all(4 * 6 <= rows / part <= 4 * 8 for part, rows in list(parts.items())[:5])
    assert_books_balance(ran, 200)


@pytest.mark.parametrize("kind", ["sorted", "shuffled"])
def test_a_slow_pool_does_not_hold_up_the_others(tmp_path: Path, kind: str) -> None:
    """Sorted input: all records of the slow route first. The bound is the slower pool's own time."""
    rows = [{"id": f"r{n}", "text": f"t{n}", "task": "slow" if n < 2000 else "quick"} for n in range(8000)]
    if kind == "shuffled":
        rows = [rows[(n * 3001) % 8000] for n in range(8000)]
    write_records(tmp_path / "in.jsonl", rows)
    ran = run_virtually(
        tmp_path,
        scripts={"a": always(answer(), 1.0), "b": always(answer(), 0.1)},
        classify=[{"column": "task"}],
        models={"a": model("a", limits={"concurrency": 20}), "b": model("b", limits={"concurrency": 10})},
        routes={"slow": {"when": {"task": "slow"}, "models": ["a"]}, "default": {"models": ["b"]}},
    )
    assert ran.ended.duration_s <= 1.1 * 100  # 2000 at 20/s; 6000 at 100/s take 60 s
    assert_books_balance(ran, 8000)


def test_a_disk_that_fills_up_ends_the_run_in_good_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing more is sent, what is in flight is answered and exported, and the next run goes on."""
    write_records(tmp_path / "in.jsonl", records(200))

    def filling(sent: Sent) -> tuple[float, Outcome]:
        if sent.number == 50:
            monkeypatch.setattr(files, "ROOM_BYTES", 1 << 60)
        return 1.0, answer()

    ran = run_virtually(tmp_path, scripts={"a": filling, "b": FINE})
    assert ran.ended.exit_code == 74
    assert "MiB are free" in str(ran.ended.reason)
    assert 50 <= ran.results.height == len(ran.provider.log) < 200
    assert set(ran.ledger["outcome"]) == {"ok"}
    with pytest.raises(NoRoomError):
        run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})

    monkeypatch.undo()
    rest = run_virtually(tmp_path, scripts={"a": FINE, "b": FINE})
    assert rest.ended.exit_code == 0
    assert rest.ledger.height == 200


def test_records_of_a_model_that_is_down_take_turns_with_those_that_begin_at_the_next_one(
    tmp_path: Path,
) -> None:
    """Or a route would stand still for as long as another one's model is down, though its own is well."""
    mixed = [{**record, "kind": str(number % 2)} for number, record in enumerate(records(2000))]
    write_records(tmp_path / "in.jsonl", mixed)
    ran = run_virtually(
        tmp_path,
        scripts={"a": DOWN, "b": FINE},
        classify=[{"column": "kind"}],
        models={"a": model("a"), "b": model("b", limits={"concurrency": 4})},
        routes={"own": {"when": {"task": "1"}, "models": ["b"]}, "default": {"models": ["a", "b"]}},
    )

    by_time = ran.ledger.filter(pl.col("verdict") == "accept").sort("started_at")
    halves = by_time.with_row_index().group_by(pl.col("index") // 500, maintain_order=True)
    assert all(share > 0.3 for share in halves.agg((pl.col("route") == "own").mean())["route"])
    assert_books_balance(ran, 2000)


def test_a_model_is_used_again_when_another_ones_record_has_left_it(tmp_path: Path) -> None:
    """Within a window that is hardly larger than all slots, and with a model that has one slot."""
    own = [{"id": f"a{number}", "text": f"of a {number}", "kind": "1"} for number in range(100)]
    write_records(
        tmp_path / "in.jsonl", [each for index in range(100) for each in (own[index], *others(index))]
    )
    ran = run_virtually(
        tmp_path,
        window=30,
        scripts={
            "a": FINE,
            "b": lambda sent: (0.1, BLOCKED if b"blocked" in sent.request.messages else answer()),
        },
        classify=[{"column": "kind"}],
        models={"a": model("a", limits={"concurrency": 1}), "b": model("b", limits={"concurrency": 16})},
        routes={"own": {"when": {"task": "1"}, "models": ["a"]}, "default": {"models": ["b", "a"]}},
    )

    assert len(ran.provider.sent_to("a")) == 101
    assert ran.ended.duration_s < 101 * 0.1 + 0.5
    assert_books_balance(ran, 1700)


def others(index: int) -> list[dict[str, str]]:
    """Sixteen records of the default route, of which one in all is refused by its first model."""
    return [
        {
            "id": f"b{index}.{number}",
            "text": "blocked" if (index, number) == (10, 0) else f"{index} {number}",
            "kind": "0",
        }
        for number in range(16)
    ]
