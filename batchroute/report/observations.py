"""What the answers of earlier runs were like, from the ledger: how long, how fast, and how many tokens were told."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from batchroute.core.errors import OutputError
from batchroute.report.outcomes import ACCEPTED
from batchroute.report.scans import ledger_stretches
from batchroute.routing.forecasts import Observed

LEAST_MATCHED = 20
"""Answers whose estimates are known, from which on what a model told of them corrects its other estimates."""


def observed(directory: Path, estimated: Mapping[str, int]) -> Observed:
    """What the ledger of a directory tells; `estimated` are the input tokens of some answered records, by id.

    Raises OutputError where it cannot be read.
    """
    ledger = pl.concat(ledger_stretches(directory))  # no line before the first run
    answers = ledger.filter(ACCEPTED, pl.col("output_tokens").is_not_null())
    means = pl.col("output_tokens").mean(), pl.col("latency_s").mean()
    guesses = pl.LazyFrame(
        {"record_id": list(estimated), "estimated": list(estimated.values())},
        schema={"record_id": pl.String, "estimated": pl.Int64},
    )
    matched = answers.join(guesses, on="record_id").group_by("model").agg(
        pl.len(), told=pl.col("input_tokens").sum(), guessed=pl.col("estimated").sum()
    )  # fmt: skip
    others = ledger.filter(pl.col("purpose") != "answer", pl.col("output_tokens").is_not_null())
    try:
        by_model, by_route, by_purpose, ratios = pl.collect_all([
            answers.group_by("model").agg(*means),
            answers.group_by("route", "model").agg(means[0]),
            others.group_by("purpose", "model").agg(means[0]),
            matched,
        ])  # fmt: skip
    except (OSError, pl.exceptions.PolarsError) as error:
        said = str(error).partition("\n")[0]
        raise OutputError(
            f"a part of the ledger cannot be read: {said}. Look with batchroute verify."
        ) from error
    return Observed(
        output_tokens={model: output for model, output, _ in by_model.iter_rows()},
        output_by_route={(route, model): output for route, model, output in by_route.iter_rows()},
        latency_s={model: latency for model, _, latency in by_model.iter_rows() if latency is not None},
        ratio={
            model: told / guessed
            for model, count, told, guessed in ratios.iter_rows()
            if count >= LEAST_MATCHED and guessed
        },
        output_by_purpose={(purpose, model): output for purpose, model, output in by_purpose.iter_rows()},
    )
