"""What ledger rows cost, in whole runs: every row can be computed again from its own columns, exactly."""

from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any

import polars as pl
import pytest
from msgspec import structs

from batchroute.core.responses import Outcome, Response, Usage
from tests.builders import model, records, write_records
from tests.engine.runs import run_virtually
from tests.fakes import Sent, answer

PRICE: dict[str, Any] = {
    "input": Decimal("0.15"),
    "output": Decimal("0.60"),
    "cached": Decimal("0.075"),
    "cache_write": Decimal("0.1875"),
    "flex": {"input": Decimal("0.075"), "output": Decimal("0.30")},
    "priority": {"input": Decimal("0.255"), "output": Decimal("1.02"), "cached": Decimal("0.1275")},
}
COMPUTED = (
    (pl.col("input_tokens") - pl.col("cached_tokens") - pl.col("cache_write_tokens")) * pl.col("price_input")
    + pl.col("cached_tokens") * pl.col("price_cached")
    + pl.col("cache_write_tokens") * pl.col("price_cache_write")
    + pl.col("output_tokens") * pl.col("price_output")
) / 1_000_000


def drawn(random: Random) -> Response:
    """An answer with a usage in which anything may be cached, written or reasoning, on any tier."""
    paid, produced = random.randrange(200_000), random.randrange(20_000)
    cached = random.randint(0, paid)
    usage = Usage(
        input_tokens=paid,
        output_tokens=produced,
        cached_tokens=cached,
        cache_write_tokens=random.randint(0, paid - cached),
        reasoning_tokens=random.randint(0, produced),
    )
    tier = random.choice([None, "default", "flex", "priority", "scale"])
    return structs.replace(answer(), usage=usage, service_tier=tier)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("asked", [None, "flex", "priority"])
def test_random_usages_are_computed_again_from_their_rows(
    tmp_path: Path, seed: int, asked: str | None
) -> None:
    write_records(tmp_path / "in.jsonl", records(100))
    random = Random(seed)
    params = {"max_tokens": 16} | ({} if asked is None else {"service_tier": asked})

    def script(_: Sent) -> tuple[float, Outcome]:
        return 0.1, drawn(random)

    ran = run_virtually(
        tmp_path,
        scripts={"a": script},
        models={"a": model("a", price=PRICE)},
        routes={"default": {"models": ["a"]}},
        prompt={"user": "{{ text }}", "params": params},
    )

    ledger = ran.ledger.filter(cost_basis="usage")
    assert len(ledger) == 100
    assert ledger.select((pl.col("cost_usd") == COMPUTED).all()).item()
    assert ran.results["cost_usd"].sum() == ledger["cost_usd"].sum()
    flex = ledger.filter(service_tier="flex")
    assert set(flex["price_input"]) == {Decimal("0.075")}
    untold = ledger.filter(pl.col("service_tier").is_null())
    assert set(untold["price_input"]) == {Decimal("0.255" if asked == "priority" else "0.15")}
