import json
from typing import get_args

import polars as pl
import pytest

from batchroute import report
from batchroute.io.tables import ledger_frame
from batchroute.report.charts import Kind
from tests.report.books import ATTEMPTS

pytest.importorskip("altair", reason="the extra report is not installed")


def plotted(kind: Kind) -> list[dict[str, object]]:
    drawn = json.loads(report.chart(ledger_frame(ATTEMPTS).lazy(), kind).to_json())
    (rows,) = drawn["datasets"].values()
    return list(rows)


def test_costs_are_beside_the_baseline() -> None:
    assert {(row["route"], row["of"]): row["usd"] for row in plotted("costs")} == {
        ("default", "paid"): 0.002325,
        ("default", "baseline"): 0.02325,
        ("hard", "paid"): 0.007,
        ("hard", "baseline"): 0.007,
    }


def test_latencies_end_when_all_is_answered() -> None:
    assert {row["model"]: row["share"] for row in plotted("latencies")} == {
        "large": 1.0,
        "local": 1.0,
        "small": 1.0,
    }


def test_throughput_is_by_minute_and_model() -> None:
    assert sum(float(str(row["attempts"])) for row in plotted("throughput")) > 0


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_ledger_of_any_length_is_few_points(kind: Kind) -> None:
    frame = ledger_frame(ATTEMPTS)
    many = pl.concat([frame] * 5_000).with_columns(
        pl.col("started_at") + pl.duration(minutes=pl.int_range(pl.len())),
        pl.col("latency_s") * pl.int_range(pl.len()),
    )
    drawn = json.loads(report.chart(many.lazy(), kind).to_json())

    assert max(len(rows) for rows in drawn["datasets"].values()) < 5_000


def test_unknown_chart_is_refused() -> None:
    with pytest.raises(ValueError, match="there is no chart 'pie'"):
        report.chart(ledger_frame(ATTEMPTS).lazy(), "pie")  # type: ignore[arg-type]
