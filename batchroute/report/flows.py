"""The way of the records: from their task to the model that had the last word to how it ended."""

import polars as pl

UNLABELLED = "(no task)"
ENDINGS = {"accept": "answered", "kept_best": "answered", "dead_letter": "failed"}


def flows(summed: pl.DataFrame) -> pl.DataFrame:
    """Records by `task`, `model` and `outcome` (answered, failed): those attempts that ended a record.

    A record that several runs have ended counts as often; one that was never sent is in no ledger.
    """
    ended = pl.col("verdict").is_in(list(ENDINGS)), pl.col("purpose") == "answer"
    return (
        summed.filter(*ended)
        .group_by(
            pl.col("task").fill_null(UNLABELLED),
            "model",
            pl.col("verdict").replace_strict(ENDINGS, return_dtype=pl.String).alias("outcome"),
        )
        .agg(pl.col("attempts").sum().alias("records"))
        .sort("records", "task", "model", "outcome", descending=[True, False, False, False])
    )
