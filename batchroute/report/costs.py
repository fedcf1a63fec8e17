"""Money and tokens by whatever is asked for, and what another model would have cost."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

import polars as pl
from msgspec import Struct

from batchroute.core.errors import JobError
from batchroute.core.money import Price, Rates
from batchroute.io.tables import COST
from batchroute.report.cells import money
from batchroute.report.counts import KEYS, sums
from batchroute.report.outcomes import ACCEPTED, REFUSED

_PICODOLLAR = Decimal("0.000000000001")
_RATES = ("input", "output", "cached", "cache_write")
_TOKENS = ("plain_tokens", "output_tokens", "cached_tokens", "cache_write_tokens")


class Baseline(Struct, frozen=True, kw_only=True):
    """The model that savings are measured against. Its price is USD per million tokens."""

    model: str
    price: Price
    origin: str
    """Where the price is from: "from the ledger" or "from the price list"."""

    @property
    def assumption(self) -> str:
        """What every saving rests on, as a sentence."""
        return (
            f"Savings compare what was paid, failed attempts included, with the same tokens of the accepted answers on "
            f"{self.model} ({money(self.price.input)} in, {money(self.price.output)} out per million, {self.origin}): "
            "another model may use more tokens or fewer."
        )


def by(ledger: pl.LazyFrame, *keys: str, baseline: Baseline | None = None) -> pl.LazyFrame:
    """Cost, tokens and outcomes of a ledger per combination of its columns, `day` (UTC) being one; the dearest first.

    Costs are USD, exact, and null where no attempt had a known price: `unpriced_attempts` says how many had none.
    `records` are accepted answers, `refused` those that were no use. `baseline_cost_usd` and `saving_usd` are null without a baseline, and leave out
    the answers of models whose own price is unknown.
    """
    return regrouped(sums(ledger, (*keys, "model", "purpose")), keys, baseline)


def savings(
    ledger: pl.LazyFrame, baseline: str | Baseline | None = None, keys: Sequence[str] = ("route", "model")
) -> pl.LazyFrame:
    """What was paid beside what the same tokens cost on one model, per combination of keys, the largest saving first.

    The baseline is a model of the ledger by name; None: the one on which these tokens are dearest. Its price is the
    lowest that the ledger has of it, which is read for it at once. Raises JobError where no price is known.
    """
    known = baseline if isinstance(baseline, Baseline) else _seen(ledger, baseline)
    columns = (*keys, "records", "attempts", "cost_usd", "baseline_cost_usd", "saving_usd")
    return (
        by(ledger, *keys, baseline=known).select(columns).sort("saving_usd", descending=True, nulls_last=True)
    )


def regrouped(summed: pl.LazyFrame, keys: Sequence[str], baseline: Baseline | None = None) -> pl.LazyFrame:
    """The same as `by` over sums that are finer than asked for."""
    accepted = pl.col("attempts").filter(ACCEPTED).sum()
    asked = [pl.col(name) for name in keys] or [pl.lit(0).alias("_")]
    rows = (
        summed.with_columns(_baseline_cost(baseline).alias("baseline_cost_usd"))
        .group_by(asked)
        .agg(
            records=accepted,
            attempts=pl.col("attempts").sum(),
            answered=pl.col("attempts").filter(pl.col("error_type").is_null()).sum(),
            failovers=_verdicts("failover"),
            escalations=_verdicts("escalate"),
            refused=pl.col("attempts").filter(REFUSED).sum(),
            input_tokens=pl.col("input_tokens").sum(),
            output_tokens=pl.col("output_tokens").sum(),
            unpriced_attempts=pl.col("unpriced_attempts").sum(),
            cost_usd=pl.col("cost_usd").sum().cast(COST),
            baseline_cost_usd=_known_sum("baseline_cost_usd"),
        )
    )
    priced = pl.col("unpriced_attempts") < pl.col("attempts")
    cost = pl.when(priced).then(pl.col("cost_usd")).cast(COST)
    return (
        rows.filter(pl.col("attempts") > 0)
        .with_columns(cost_usd=cost)
        .with_columns(saving_usd=(pl.col("baseline_cost_usd") - pl.col("cost_usd")).cast(COST))
        .select(
            *keys,
            "records",
            "attempts",
            (pl.col("answered") / pl.col("attempts")).alias("answered_share"),
            "failovers",
            (pl.col("failovers") / pl.col("attempts")).alias("failover_share"),
            "escalations",
            (pl.col("escalations") / pl.col("attempts")).alias("escalation_share"),
            "refused",
            (pl.col("refused") / pl.col("attempts")).alias("refused_share"),
            "input_tokens",
            "output_tokens",
            "cost_usd",
            "unpriced_attempts",
            "baseline_cost_usd",
            "saving_usd",
        )
        .sort("cost_usd", "attempts", *keys, descending=[True, True, *(False for _ in keys)], nulls_last=True)
    )


def dearest(summed: pl.LazyFrame, prices: dict[str, Price]) -> str | None:
    """The model at whose price the accepted answers' tokens cost most; None where no price is known."""
    tokens = summed.filter(ACCEPTED).select(pl.col(*_TOKENS).sum()).collect().row(0)

    def cost(model: str) -> tuple[int, Decimal, str]:
        price, rates = prices[model], Rates.of(prices[model])
        counted = zip(tokens, (getattr(rates, name) for name in _RATES), strict=True)
        return sum((count or 0) * rate for count, rate in counted), price.input + price.output, model

    return max(prices, key=cost, default=None)


def seen_prices(ledgers: Iterable[pl.LazyFrame], models: set[str]) -> dict[str, Price]:
    """What models have cost: the lowest price that the first of these ledgers has in which the model stands.

    Long requests may have been dearer than that; a saving that is computed from the lowest promises less, not more.
    """
    found: dict[str, Price] = {}
    for ledger in ledgers:
        found = {**_lowest(ledger), **found}
        if models <= found.keys():
            break
    return {model: price for model, price in sorted(found.items()) if model in models}


def _lowest(ledger: pl.LazyFrame) -> dict[str, Price]:
    columns = [f"price_{name}" for name in _RATES]
    priced = ledger.filter(pl.col("price_input").is_not_null(), pl.col("price_output").is_not_null())
    lowest = priced.group_by("model").agg(pl.col(columns).min()).collect()
    return {
        model: Price(input=paid, output=produced, cached=cached, cache_write=written)
        for model, paid, produced, cached, written in lowest.select("model", *columns).iter_rows()
    }


def _seen(ledger: pl.LazyFrame, model: str | None) -> Baseline:
    summed = sums(ledger, (*KEYS,)).collect().lazy()
    prices = seen_prices([ledger], set(summed.select("model").collect()["model"].unique()))
    name = dearest(summed, prices) if model is None else model
    if name is None or name not in prices:
        raise unpriced(name, prices)
    return Baseline(model=name, price=prices[name], origin="from the ledger")


def unpriced(model: str | None, prices: Iterable[str]) -> JobError:
    """The error of a baseline that nobody knows the price of."""
    known = ", ".join(prices)
    if model is None:
        return JobError("no model of this ledger has a known price: there is nothing to compare with")
    return JobError(
        f"no price is known of the baseline {model!r}: it is neither in the ledger nor, as MODEL or PROVIDER/MODEL, "
        "in the price list. "
        + (f"The ledger has prices of {known}." if known else "The ledger has none at all.")
    )


def _baseline_cost(baseline: Baseline | None) -> pl.Expr:
    """USD of a row's tokens at the baseline's price; null where they are no accepted answer's, or the row has no cost."""
    if baseline is None:
        return pl.lit(None, dtype=COST)
    rates = Rates.of(baseline.price)
    whole = pl.Decimal(38, 0)  # tokens by picodollars may pass 2**63
    picodollars = sum(
        (
            pl.col(tokens).cast(whole) * pl.lit(Decimal(getattr(rates, rate)), dtype=whole)
            for tokens, rate in zip(_TOKENS, _RATES, strict=True)
        ),
        start=pl.lit(Decimal(0), dtype=whole),
    )
    comparable = ACCEPTED & (pl.col("unpriced_attempts") < pl.col("attempts"))
    return pl.when(comparable).then((picodollars.cast(whole) * pl.lit(_PICODOLLAR, dtype=COST)).cast(COST))


def _verdicts(word: str) -> pl.Expr:
    return pl.col("attempts").filter(pl.col("verdict") == word).sum()


def _known_sum(name: str) -> pl.Expr:
    return pl.when(pl.col(name).count() > 0).then(pl.col(name).sum()).cast(COST)
