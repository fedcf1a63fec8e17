"""Answers that outlive a run: found, kept, and never in the way."""

from decimal import Decimal
from pathlib import Path

from batchroute.engine.pipeline import Options
from tests.builders import records, write_records
from tests.engine.runs import Ran, run_virtually
from tests.fakes import always, answer


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
