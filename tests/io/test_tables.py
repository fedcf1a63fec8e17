import datetime as dt
from decimal import Decimal
from typing import Any

import msgspec
import polars as pl
import pytest

from batchroute.core.errors import OutputError
from batchroute.core.results import RESULT_COLUMNS, Result, Status, Totals
from batchroute.io.tables import (
    LEDGER,
    RESULTS,
    carried_text,
    carried_value,
    kept_types,
    ledger_frame,
    results_frame,
)
from tests.builders import attempt, result


def through_the_journal(value: Any) -> dict[str, Any]:
    """A kept row as it comes out of the journal."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(result(kept={"extra": value})), type=Result).kept


def test_the_ledger_has_the_documented_columns_whatever_it_holds() -> None:
    for attempts in ([], [attempt()], [attempt(usage=None, cost=None, price_input=None, latency_s=None)]):
        assert dict(ledger_frame(attempts).schema) == dict(LEDGER)


def test_results_have_the_documented_columns_whatever_they_hold() -> None:
    for results in ([], [result()], [result(status=Status.FAILED, response=None, model=None)]):
        assert dict(results_frame(results, {}).schema) == dict(RESULTS)


def test_costs_and_prices_are_exact() -> None:
    prices: dict[str, Any] = {
        "price_input": 75_000,
        "price_output": 4_500_000,
        "price_cached": 7_500,
        "price_cache_write": 0,
    }
    priced = attempt(cost=123_456_789_012_345, **prices)
    row = ledger_frame([priced]).row(0, named=True)
    assert row["cost_usd"] == Decimal("123.456789012345")
    assert row["price_input"] == Decimal("0.075")
    assert row["price_output"] == Decimal("4.5")
    assert row["price_cached"] == Decimal("0.0075")
    assert row["price_cache_write"] == 0


def test_an_unknown_cost_is_null_and_not_zero() -> None:
    assert ledger_frame([attempt(cost=None)])["cost_usd"].to_list() == [None]
    assert results_frame([result(totals=Totals(attempts=1, cost=None))], {})["cost_usd"].to_list() == [None]


def test_times_are_utc_to_the_microsecond() -> None:
    row = ledger_frame([attempt(started_at=1_800_000_000.123456)]).row(0, named=True)
    assert row["started_at"] == dt.datetime(2027, 1, 15, 8, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.mark.parametrize(
    ("kind", "value"),
    [
        (pl.String(), "text"),
        (pl.Int64(), -(2**63)),
        (pl.UInt64(), 2**64 - 1),
        (pl.Float64(), 0.1),
        (pl.Boolean(), False),
        (pl.Binary(), b"\x00\xff"),
        (pl.Date(), dt.date(2026, 2, 28)),
        (pl.Time(), dt.time(23, 59, 59, 999999)),
        (pl.Datetime("us"), dt.datetime(2026, 3, 29, 2, 30, 0, 1)),  # noqa: DTZ001  a time without a zone is the case
        (pl.Datetime("us", "Europe/Berlin"), dt.datetime(2026, 3, 29, 1, 30, tzinfo=dt.UTC)),
        (pl.Datetime("ms"), dt.datetime(2026, 3, 29, 2, 30)),  # noqa: DTZ001
        (pl.Duration("us"), dt.timedelta(days=-1, microseconds=7)),
        (pl.Decimal(20, 4), Decimal("12345678901234.5678")),
        (pl.Int128(), 2**100),
    ],
    ids=str,
)
def test_a_kept_parquet_value_comes_out_as_it_went_in(kind: pl.DataType, value: Any) -> None:
    kept = through_the_journal(carried_value(value))
    absent = through_the_journal(carried_value(None))
    column = results_frame([result(kept=kept), result(kept=absent)], {"extra": kind})["extra"]
    assert column.dtype == kind
    assert column.to_list() == [value, None]


@pytest.mark.parametrize(
    ("value", "text"),
    [("as it is", "as it is"), (None, None), (7, "7"), (True, "true"), ({"a": ["é"]}, '{"a": ["é"]}')],
)
def test_a_kept_json_value_is_carried_as_text(value: object, text: str | None) -> None:
    assert carried_text(value) == text


def test_a_column_kept_anew_is_null_for_what_was_kept_before() -> None:
    column = results_frame([result(kept={"old": "x"})], {"new": pl.Int64()})["new"]
    assert column.to_list() == [None]


def test_a_kept_column_may_be_called_as_one_of_the_ledger() -> None:
    kept = {"price_input": pl.Float64(), "started_at": pl.Int64()}
    row = results_frame([result(kept={"price_input": 1.5, "started_at": 7})], kept).row(0, named=True)
    assert {name: row[name] for name in kept} == {"price_input": 1.5, "started_at": 7}


def test_a_kept_column_that_changed_its_type_is_refused_with_the_remedy() -> None:
    with pytest.raises(OutputError, match="--fresh"):
        results_frame([result(kept={"extra": "text"})], {"extra": pl.Int64()})


def test_nested_columns_are_carried_as_json_text() -> None:
    types = kept_types(["tags", "n"], {"tags": pl.List(pl.String()), "n": pl.Int8()})
    assert types == {"tags": pl.String(), "n": pl.Int8()}


def test_the_columns_that_no_input_column_may_be_kept_under_are_those_of_the_results() -> None:
    assert tuple(RESULTS) == RESULT_COLUMNS
