"""A ledger under another scenario: what its answers would have cost there, and what no ledger can tell."""

from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import reduce
from itertools import accumulate, pairwise
from typing import Any

import msgspec
import polars as pl
from msgspec import Struct

from batchroute.core.money import Rates, usd
from batchroute.report.outcomes import ACCEPTED
from batchroute.report.shared import OF_OTHERS
from batchroute.routing.scenarios import Offer, Path, Scenario
from batchroute.routing.strategies import Strategy

_SPLIT = "\n"
"""What stands before the number of a group whose records are shared out; no model's name begins so."""
_PAID_ANSWER = (ACCEPTED & ~OF_OTHERS).fill_null(value=False)
"""What a record was answered with, unless that had been paid for before."""
_REPLAYED = (
    "route", "model", "task", "complexity", "input_tokens", "output_tokens", "cached_tokens", "cache_write_tokens",
    "cost_usd",
)  # fmt: skip
_PICODOLLAR = Decimal("0.000000000001")


class Line(Struct, frozen=True, kw_only=True):
    """What one model would do on one route. Costs are USD, times seconds; None where unknown.

    `records` and tokens are those of accepted answers, `moved` the records that another model has answered: how good
    this one is at them is unknown. `assumed`: the share of the model among those of its group is an assumption.
    `latency_p50_s` is the model's own as the ledger observed it.
    """

    route: str
    model: str | None
    """None: no model of the route would have taken these records."""
    records: int
    moved: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal | None
    latency_p50_s: float | None
    assumed: bool = False


class Replay(Struct, frozen=True, kw_only=True):
    """Answers of a ledger under a scenario. Costs are USD; None where a price is unknown.

    `cost_low_usd` and `cost_high_usd` differ where it is open which model of a group would have been chosen.
    """

    lines: tuple[Line, ...]
    records: int
    cost_usd: Decimal | None
    cost_low_usd: Decimal | None
    cost_high_usd: Decimal | None


class Past(Struct, frozen=True, kw_only=True):
    """What a ledger has cost: accepted answers, and everything else that was paid for, USD."""

    records: int
    answers_usd: Decimal
    other_usd: Decimal
    unpriced_attempts: int


class WhatIf(Struct, frozen=True, kw_only=True):
    """A ledger as it was, under one scenario, and on each model alone."""

    past: Past
    scenario: Replay | None
    alone: dict[str, Replay]
    assumptions: tuple[str, ...]

    def json(self) -> bytes:
        """One JSON object, costs as exact numbers."""
        return msgspec.json.Encoder(decimal_format="number").encode(self)


def past(ledger: pl.LazyFrame) -> Past:
    """What the ledger adds up to."""
    cost = pl.col("cost_usd")
    row = ledger.select(
        records=_PAID_ANSWER.sum(),
        answers=cost.filter(_PAID_ANSWER).sum(),
        other=cost.filter(~_PAID_ANSWER).sum(),
        unpriced=cost.null_count(),
    ).collect()
    records, answers, other, unpriced = row.row(0)
    return Past(records=records, answers_usd=answers, other_usd=other, unpriced_attempts=unpriced)


def answers(ledger: pl.LazyFrame) -> pl.DataFrame:
    """The accepted answers of a ledger, as far as replays look at them: some 150 bytes each, in memory."""
    return ledger.filter(_PAID_ANSWER).select(_REPLAYED).collect()


def observed_p50_s(ledger: pl.LazyFrame) -> dict[str, float]:
    """The median latency of each model's answers, seconds."""
    sent = (pl.col("outcome") == "ok") & ~OF_OTHERS
    rows = ledger.filter(sent).group_by("model").agg(pl.col("latency_s").median())
    return {model: seconds for model, seconds in rows.collect().iter_rows() if seconds is not None}


def replay(answers: pl.DataFrame, scenario: Scenario, latency_p50_s: Mapping[str, float]) -> Replay:
    """Send accepted answers along the paths of a scenario: the same tokens at other rates.

    Nothing else is replayed: what fails, what is refused and what is escalated depends on the models.
    """
    costs = {
        name: picodollars(offer.rates) for name, offer in scenario.offers.items() if offer.rates is not None
    }
    sums = (
        answers.lazy()
        .with_columns(path=_path(scenario.paths))
        .with_columns(chosen=_chosen(scenario, costs))
        .group_by("path", "chosen")
        .agg(
            records=pl.len(),
            input_tokens=pl.col("input_tokens").sum(),
            output_tokens=pl.col("output_tokens").sum(),
            was=pl.col("cost_usd").sum(),
            stood=pl.col("model").value_counts(),
            **{f"cost {name}": cost.sum() for name, cost in costs.items()},
        )
        .sort("path", "chosen", nulls_last=True)
        .collect()
    )
    streams = [
        _Stream.of(scenario.paths[row["path"]], row, scenario.offers) for row in sums.iter_rows(named=True)
    ]
    lines = tuple(line for stream in streams for line in stream.lines(latency_p50_s))
    extremes = [stream.extremes() for stream in streams]
    return Replay(
        lines=lines,
        records=sum(line.records for line in lines),
        cost_usd=_total(line.cost_usd for line in lines),
        cost_low_usd=_total(low for low, _ in extremes),
        cost_high_usd=_total(high for _, high in extremes),
    )


def picodollars(rates: Rates) -> pl.Expr:
    """What the tokens of a ledger's row cost at these rates, as `Rates.cost` reckons it; missing counts are 0."""
    at = _plainly(rates)
    for threshold, dearer in rates.above:
        at = pl.when(pl.col("input_tokens") > threshold).then(_plainly(dearer)).otherwise(at)
    return at


def _plainly(rates: Rates) -> pl.Expr:
    cached, written = (pl.col(name).fill_null(0) for name in ("cached_tokens", "cache_write_tokens"))
    plain = (pl.col("input_tokens").fill_null(0) - cached - written).clip(lower_bound=0)
    produced = pl.col("output_tokens").fill_null(0)
    return plain * rates.input + cached * rates.cached + written * rates.cache_write + produced * rates.output


def _path(paths: tuple[Path, ...]) -> pl.Expr:
    """The number of the first path that takes a row."""
    matches = ((number, _matches(path)) for number, path in enumerate(paths))
    return pl.coalesce(*(pl.when(match).then(pl.lit(number)) for number, match in matches))


def _matches(path: Path) -> pl.Expr:
    wanted = [pl.lit(value=True)]
    if path.origin is not None:
        wanted.append(pl.col("route") == path.origin)
    for column, values in (("task", path.tasks), ("complexity", path.complexities)):
        if values is not None:
            wanted.append(pl.col(column).is_in(sorted(values)))
    return reduce(pl.Expr.and_, wanted)


def _chosen(scenario: Scenario, costs: Mapping[str, pl.Expr]) -> pl.Expr:
    """The model that takes a row, the group that shares it out, or null where the path has none for it."""
    chosen = (_chosen_on(path, scenario.offers, costs) for path in scenario.paths)
    return pl.coalesce(*(pl.when(pl.col("path") == number).then(each) for number, each in enumerate(chosen)))


def _chosen_on(path: Path, offers: Mapping[str, Offer], costs: Mapping[str, pl.Expr]) -> pl.Expr:
    if not path.groups:
        return pl.col("model")
    found: list[pl.Expr] = []
    for number, group in enumerate(path.groups):
        fits = {model: _fits(offers[model], path, costs.get(model)) for model in group}
        if len(group) == 1:
            found.append(pl.when(fits[group[0]]).then(pl.lit(group[0])))
        elif path.strategy is Strategy.CHEAPEST:
            found.append(_cheapest(fits, costs))
        else:
            found.append(pl.when(reduce(pl.Expr.or_, fits.values())).then(pl.lit(f"{_SPLIT}{number}")))
    return pl.coalesce(*found)


def _fits(offer: Offer, path: Path, cost: pl.Expr | None) -> pl.Expr:
    fits = pl.lit(value=True)
    if offer.context is not None:
        fits &= pl.col("input_tokens") + pl.col("output_tokens") <= offer.context
    if path.max_cost is not None and cost is not None:
        fits &= cost <= path.max_cost
    return fits.fill_null(value=True)


def _cheapest(fits: Mapping[str, pl.Expr], costs: Mapping[str, pl.Expr]) -> pl.Expr:
    """The first of those that cost least; one without a price is asked where no other one can be."""
    priced = {model: pl.when(fit).then(costs[model]) for model, fit in fits.items() if model in costs}
    least = pl.min_horizontal(*priced.values()) if priced else pl.lit(None)
    by_cost = [pl.when(cost == least).then(pl.lit(model)) for model, cost in priced.items()]
    others = [pl.when(fit).then(pl.lit(model)) for model, fit in fits.items() if model not in costs]
    return pl.coalesce(*by_cost, *others)


class _Stream(Struct, frozen=True, kw_only=True):
    """Records of one path that go the same way: to one model, or shared out over a group."""

    path: Path
    group: tuple[str | None, ...]
    records: int
    tokens: tuple[int, int]
    stood: Mapping[str, int]
    """How many of them each model has answered."""
    costs: Mapping[str | None, Decimal | None]
    """What all of them cost at each model, USD."""

    @classmethod
    def of(cls, path: Path, row: Mapping[str, Any], offers: Mapping[str, Offer]) -> "_Stream":
        chosen: str | None = row["chosen"]
        group = path.groups[int(chosen[1:])] if chosen and chosen.startswith(_SPLIT) else (chosen,)
        costs: dict[str | None, Decimal | None] = {
            name: None if offer.rates is None else usd(row[f"cost {name}"]) for name, offer in offers.items()
        }
        return cls(
            path=path,
            group=group,
            records=row["records"],
            tokens=(row["input_tokens"], row["output_tokens"]),
            stood={each["model"]: each["count"] for each in row["stood"]},
            costs=costs | {None: Decimal(0)} if path.groups else {chosen: row["was"]},
        )

    @property
    def open(self) -> bool:
        """Whether nobody knows how many of them each model of the group would have got."""
        return len(self.group) > 1 and self.path.strategy is not Strategy.WEIGHTED

    def lines(self, latency_p50_s: Mapping[str, float]) -> Iterator[Line]:
        strangers = self.records - sum(self.stood.get(model or "", 0) for model in self.group)
        amounts = [self._shared(amount) for amount in (self.records, strangers, *self.tokens)]
        for model, share, of_all in zip(self.group, self._shares(), zip(*amounts, strict=True), strict=True):
            records, moved, read, written = of_all
            cost = self.costs[model]
            yield Line(
                route=self.path.name,
                model=model,
                records=records,
                moved=moved,
                input_tokens=read,
                output_tokens=written,
                cost_usd=None
                if cost is None
                else (cost * share.numerator / share.denominator).quantize(_PICODOLLAR),
                latency_p50_s=latency_p50_s.get(model or ""),
                assumed=self.open,
            )

    def extremes(self) -> tuple[Decimal | None, Decimal | None]:
        """What they cost if the cheapest and if the dearest model that is open takes all of them."""
        if not self.open:
            cost = _total(line.cost_usd for line in self.lines({}))
            return cost, cost
        costs = [self.costs[model] for model in self.group]
        known = [cost for cost in costs if cost is not None]
        return (min(known), max(known)) if len(known) == len(costs) else (None, None)

    def _shares(self) -> list[Fraction]:
        weights = [
            Fraction(self.path.weights.get(model or "", 1) if not self.open else 1) for model in self.group
        ]
        return [weight / sum(weights) for weight in weights]

    def _shared(self, amount: int) -> list[int]:
        """The amount shared out in whole numbers that add up to it."""
        ends = [int(amount * end) for end in accumulate(self._shares())]
        return [end - start for start, end in pairwise([0, *ends])]


def _total(costs: Iterable[Decimal | None]) -> Decimal | None:
    total = Decimal(0)
    for cost in costs:
        if cost is None:
            return None
        total += cost
    return total
