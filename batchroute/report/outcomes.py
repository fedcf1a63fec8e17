"""What became of attempts, as every sum over a ledger understands it."""

import polars as pl

from batchroute.routing.verdicts import POLICIES

ACCEPTED = pl.col("verdict").is_in(["accept", "kept_best"]) & (pl.col("purpose") == "answer")
"""The answers that records ended with. Where the best refused one is kept, the last one asked for stands for it."""
REFUSED = pl.col("error_type").is_in(
    sorted(kind.value for kind, policy in POLICIES.items() if policy.refused)
)
"""The answers that were no use, whatever followed: an escalation, a retry, or the end of the record."""
