"""Vectors: records that share a request share its slot, its cost and its fate only as far as is right."""

import struct
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from batchroute.core.requests import Endpoint, Request
from batchroute.core.responses import ErrorType, Failure, Outcome, Response, Usage
from batchroute.engine.bundles import LINGER_S, shared_out, together
from tests.builders import model, records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Script, Sent, always, failure

ASKED: dict[str, Any] = {
    "endpoint": "embeddings",
    "prompt": {"user": "{{ text }}"},
    "embeddings": {"batch": 8, "dimensions": 2},
}
ONE = {"models": {"a": model("a", limits={"concurrency": 4})}, "routes": {"default": {"models": ["a"]}}}


def texts(request: Request) -> list[str]:
    found: list[str] = msgspec.json.decode(request.messages)
    return found


def vector(text: str) -> bytes:
    return struct.pack("<2f", len(text), sum(text.encode()))


def answered(sent: Sent) -> Response:
    asked = texts(sent.request)
    return Response(
        content="",
        finish_reason=None,
        usage=Usage(input_tokens=3 * len(asked) + 1, output_tokens=0),
        response_model=None,
        response_id=None,
        vectors=tuple(map(vector, asked)),
    )


def embedding(sent: Sent) -> tuple[float, Outcome]:
    return 0.1, answered(sent)


def poisoned(error_type: ErrorType, *, billed: bool = False) -> Script:
    """A model that fails whatever holds the word poison."""

    def script(sent: Sent) -> tuple[float, Outcome]:
        if any("poison" in text for text in texts(sent.request)):
            return 0.1, failure(error_type, sent=billed)
        return embedding(sent)

    return script


def ran(folder: Path, count: int, script: Script = embedding, **fields: Any) -> Ran:
    write_records(folder / "in.jsonl", records(count))
    scripts = {"a": script, "b": embedding}
    return run_virtually(folder, scripts=scripts, **{**ASKED, **ONE, **fields})


def sizes(done: Ran, name: str = "a") -> list[int]:
    return [len(texts(sent.request)) for sent in done.provider.sent_to(name)]


def test_records_share_requests_and_each_has_its_own_vector(tmp_path: Path) -> None:
    done = ran(tmp_path, 20)

    assert sizes(done) == [8, 8, 4]
    assert done.ended.succeeded == 20
    assert done.results.schema["vector"] == pl.List(pl.Float32)
    for record_id, found in done.results.select("record_id", "vector").iter_rows():
        assert found == list(struct.unpack("<2f", vector(f"question {record_id[1:]}")))
    assert done.results["response"].null_count() == 20


def test_the_cost_of_a_request_is_shared_out_exactly(tmp_path: Path) -> None:
    done = ran(tmp_path, 20)

    tokens = sum(3 * size + 1 for size in sizes(done))
    assert done.ledger["input_tokens"].sum() == done.results["input_tokens"].sum() == tokens
    assert done.ledger["cost_usd"].sum() == done.results["cost_usd"].sum()
    assert done.ended.cost == tokens * 1_000_000
    assert done.ledger.height == 20


def test_a_bundle_takes_one_slot(tmp_path: Path) -> None:
    done = ran(tmp_path, 200)

    assert 1 < done.provider.most_in_flight["a"] <= 4
    assert sum(sizes(done)) == 200
    assert len(sizes(done)) <= 32


def test_a_bundle_that_is_not_full_waits_for_a_moment_only(tmp_path: Path) -> None:
    done = ran(tmp_path, 3)

    assert sizes(done) == [3]
    assert done.ended.duration_s < 0.1 + 3 * LINGER_S


@pytest.mark.parametrize("error_type", [ErrorType.BAD_REQUEST, ErrorType.CONTEXT_EXCEEDED])
def test_one_bad_text_is_the_only_dead_letter(tmp_path: Path, error_type: ErrorType) -> None:
    write_records(
        tmp_path / "in.jsonl",
        [{"id": f"r{n}", "text": "poison" if n == 11 else f"text {n}"} for n in range(64)],
    )
    scripts = {"a": poisoned(error_type)}
    done = run_virtually(tmp_path, scripts=scripts, **{**ASKED, **ONE, "embeddings": {"batch": 64}})

    failed = done.results.filter(pl.col("status") == "failed")
    assert failed["record_id"].to_list() == ["r11"]
    assert failed["error_type"].to_list() == [error_type]
    assert done.ended.succeeded == 63
    assert sorted(sizes(done), reverse=True) == [64, *[8] * 8, *[1] * 8]
    assert done.ledger.filter(pl.col("error_type") == "bundle_refused").height == 64 + 8
    assert done.ledger["cost_usd"].sum() == done.results["cost_usd"].sum()


def test_a_text_that_breaks_the_server_takes_no_other_record_with_it(tmp_path: Path) -> None:
    """Booked at its upper bound each time, as a server that fails may bill."""
    write_records(
        tmp_path / "in.jsonl",
        [{"id": f"r{n}", "text": "poison" if n == 70 else f"text {n}"} for n in range(256)],
    )
    scripts = {"a": poisoned(ErrorType.SERVER_ERROR, billed=True)}
    done = run_virtually(tmp_path, scripts=scripts, **{**ASKED, **ONE, "embeddings": {"batch": 64}})

    failed = done.results.filter(pl.col("status") == "failed")
    assert failed["record_id"].to_list() == ["r70"]
    assert done.ended.succeeded == 255
    assert done.ledger["cost_usd"].sum() == done.results["cost_usd"].sum()


def test_a_text_that_breaks_two_models_takes_no_other_record_with_it(tmp_path: Path) -> None:
    write_records(
        tmp_path / "in.jsonl",
        [{"id": f"r{n}", "text": "poison" if n == 70 else f"text {n}"} for n in range(256)],
    )
    breaks = poisoned(ErrorType.SERVER_ERROR, billed=True)
    both = {"models": {"a": model("a"), "b": model("b")}, "routes": {"default": {"models": ["a", "b"]}}}
    asked = {**ASKED, **both, "embeddings": {"batch": 64}}
    done = run_virtually(tmp_path, scripts={"a": breaks, "b": breaks}, **asked)

    failed = done.results.filter(pl.col("status") == "failed")
    assert failed["record_id"].to_list() == ["r70"]
    assert done.ended.succeeded == 255


def test_a_bundle_that_fails_goes_to_the_next_model(tmp_path: Path) -> None:
    both = {"models": {"a": model("a"), "b": model("b")}, "routes": {"default": {"models": ["a", "b"]}}}
    done = ran(tmp_path, 16, always(failure(ErrorType.SERVER_ERROR)), **both)

    assert done.ended.succeeded == 16
    assert set(done.results["model"]) == {"b"}
    assert max(sizes(done, "b")) == 8


def test_a_refused_bundle_counts_once_for_the_model(tmp_path: Path) -> None:
    """Eight records, one failure: a model is left out after five in a row."""

    def first_fails(sent: Sent) -> tuple[float, Outcome]:
        return (0.1, failure(ErrorType.SERVER_ERROR)) if sent.number == 1 else embedding(sent)

    done = ran(tmp_path, 8, first_fails)

    assert done.ended.succeeded == 8
    assert set(done.ledger["model_state"]) == {"closed"}
    assert done.ended.duration_s < 5


def test_a_rate_limit_pauses_and_loses_nothing(tmp_path: Path) -> None:
    def refuses_one(sent: Sent) -> tuple[float, Outcome]:
        if sent.number == 2:
            return 0.1, failure(ErrorType.RATE_LIMITED, retry_after_s=1.0)
        return embedding(sent)

    done = ran(tmp_path, 64, refuses_one)

    assert done.ended.succeeded == 64
    assert done.ledger.filter(pl.col("error_type") == "rate_limited").height == 8
    assert sizes(done) == [8] * 9


def test_a_budget_is_never_passed(tmp_path: Path) -> None:
    done = ran(tmp_path, 64, budget={"usd": 0.0002})

    assert 0 < done.ended.cost <= 200_000_000
    assert done.ended.exit_code == 4
    assert done.ended.succeeded == done.results.height > 0


def test_a_run_with_a_budget_finishes_where_it_suffices(tmp_path: Path) -> None:
    assert ran(tmp_path, 64, budget={"usd": 1}).ended.succeeded == 64


def test_tokens_a_minute_bound_the_bundles(tmp_path: Path) -> None:
    """About two tokens a text: a quarter of 24 a minute has room for three."""
    done = ran(tmp_path, 9, models={"a": model("a", limits={"tpm": 24})})

    assert done.ended.succeeded == 9
    assert max(sizes(done)) <= 3
    assert done.ended.duration_s > 30


def test_one_text_a_request_needs_no_bundles(tmp_path: Path) -> None:
    done = ran(tmp_path, 5, embeddings={"batch": 1})

    assert sizes(done) == [1] * 5
    assert done.ended.succeeded == 5


def test_a_finished_run_sends_nothing_again_and_dimensions_make_it_stale(tmp_path: Path) -> None:
    ran(tmp_path, 8)
    again = ran(tmp_path, 8)
    other = ran(tmp_path, 8, embeddings={"batch": 4, "dimensions": 3})

    assert (again.provider.log, again.ended.stale) == ([], 0)
    assert (other.provider.log, other.ended.stale) == ([], 8)


def test_another_size_of_bundles_changes_no_answer(tmp_path: Path) -> None:
    ran(tmp_path, 8)

    assert ran(tmp_path, 8, embeddings={"batch": 2, "dimensions": 2}).ended.stale == 0


def test_usage_is_shared_in_whole_tokens_that_add_up() -> None:
    asked = [
        Request(messages=b'["%b"]' % (b"x" * length), endpoint=Endpoint.EMBEDDINGS) for length in (1, 50, 9)
    ]
    whole = Response(
        content="",
        finish_reason=None,
        usage=Usage(input_tokens=17, output_tokens=0),
        response_model=None,
        response_id=None,
        vectors=(b"a", b"b", b"c"),
    )
    shares = shared_out(whole, asked)

    assert texts(together(asked)) == ["x", "x" * 50, "x" * 9]
    assert sum(share.usage.input_tokens for share in shares if share.usage is not None) == 17
    assert [share.vectors for share in shares if isinstance(share, Response)] == [(b"a",), (b"b",), (b"c",)]


def test_what_is_the_fault_of_one_is_held_against_none() -> None:
    asked = [Request(messages=b'["x"]', endpoint=Endpoint.EMBEDDINGS)] * 2
    refused, down = failure(ErrorType.UNPROCESSABLE), failure(ErrorType.OVERLOADED)

    parted = [share for share in shared_out(refused, asked) if isinstance(share, Failure)]
    assert [share.error_type for share in parted] == [ErrorType.BUNDLE_REFUSED] * 2
    assert shared_out(down, asked) == [down, down]
    assert shared_out(refused, asked[:1]) == [refused]
