import random

import polars as pl
import pytest

from batchroute.io.tables import ledger_frame
from batchroute.report.counts import latencies
from batchroute.report.latencies import percentiles
from tests.builders import attempt
from tests.report.books import failed


@pytest.mark.parametrize("answers", [1, 2, 3, 10, 99, 100, 101, 1_000])
def test_percentiles_are_those_of_all_latencies_rounded(answers: int) -> None:
    dice = random.Random(answers)
    frame = ledger_frame([attempt(f"r{n}", latency_s=dice.lognormvariate(-1, 1)) for n in range(answers)])
    exact = frame["latency_s"].round_sig_figs(3)
    counted = latencies(frame.lazy(), ["model"]).collect()

    for keys in ((), ("model",)):
        found = percentiles(counted, keys).row(0, named=True)
        assert found["answers"] == answers
        for name, share in (("latency_p50_s", 0.5), ("latency_p95_s", 0.95), ("latency_p99_s", 0.99)):
            assert found[name] == exact.quantile(share, "nearest")


def test_only_answers_have_a_latency() -> None:
    frame = ledger_frame(
        [attempt("a", latency_s=0.1), failed("b", latency_s=30.0), attempt("c", latency_s=None)]
    )

    assert percentiles(latencies(frame.lazy(), ["model"]).collect(), ["model"])["answers"].to_list() == [1]


def test_each_name_has_its_own() -> None:
    frame = ledger_frame([attempt("a", model="x", latency_s=0.1), attempt("b", model="y", latency_s=2.0)])
    found = percentiles(latencies(frame.lazy(), ["model"]).collect(), ["model"])

    assert dict(found.select("model", "latency_p99_s").iter_rows()) == {"x": 0.1, "y": 2.0}


def test_no_answer_has_no_percentiles() -> None:
    assert percentiles(
        latencies(pl.LazyFrame(schema=ledger_frame([]).schema), ["model"]).collect(), []
    ).is_empty()
