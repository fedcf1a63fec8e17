"""What records will take: tokens, money and time of the models that they come to. Pure arithmetic, nothing is sent."""

import itertools
from array import array
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Final

import polars as pl
from msgspec import Struct

from batchroute.core.money import Rates, usd
from batchroute.routing.fits import USUAL_OUTPUT_TOKENS
from batchroute.routing.strategies import Order, Strategy

OUTPUT_SHARE: Final = 0.5
"""The share of the output allowed that an answer is taken to use, as long as none was observed."""
_MINUTE_S: Final = 60.0
_UNCAPPED: Final = 2**32 - 1


class Declared(Struct, frozen=True, kw_only=True):
    """What is known of a model before it is asked. `latency_s` is how long an answer takes, None where nothing says so.

    `cap` is the output that its own parameters allow, None where those are the records'.
    """

    name: str
    rates: Rates | None
    concurrency: int
    rpm: int | None
    tpm: int | None
    cap: int | None
    latency_s: Callable[[float], float | None]
    """By the tokens of an answer."""
    words_tokens: int = 0
    """What it wants to be asked with beside the record's own messages."""
    together: int = 1
    """How many records share a request."""


class Observed(Struct, frozen=True, kw_only=True):
    """What earlier answers were like: by model and by (route, model). Empty where there were none."""

    output_tokens: dict[str, float] = {}
    output_by_route: dict[tuple[str, str], float] = {}
    latency_s: dict[str, float] = {}
    ratio: dict[str, float] = {}
    """Input tokens told for each one estimated."""
    output_by_purpose: dict[tuple[str, str], float] = {}
    """Of what was no answer, by purpose and model."""

    def output(self, route: str, model: str) -> float | None:
        return self.output_by_route.get((route, model), self.output_tokens.get(model))


class Money(Struct, frozen=True, kw_only=True):
    """USD, exact as far as its tokens are: with no output, with the expected one, with all that is allowed.

    None where a price is unknown; `high` also where the output has no limit.
    """

    low: Decimal | None
    expected: Decimal | None
    high: Decimal | None


class Duration(Struct, frozen=True):
    """Seconds under the declared limits, and the one that binds: rpm, tpm or concurrency; None where nothing is known."""

    seconds: float | None = None
    limited_by: str | None = None


class Forecast(Struct, frozen=True, kw_only=True):
    """What some records are at one model. `output_by` says what the expected output goes by: observed or share."""

    records: int
    input_tokens: int
    output_tokens: int
    output_by: str
    cost_usd: Money
    batch_usd: Decimal | None
    """The expected output on the provider's Batch API; None where no price of it is known."""
    duration: Duration


class Load:
    """Records of one route that come to the same models: their tokens one by one, sixteen bytes for each of them."""

    def __init__(self, route: str, models: tuple[str, ...], way: str = "") -> None:
        self.route = route
        self.way = way or route
        """What the route has become by the wishes of these records."""
        self.models = models
        self.sent = array("I")
        """Estimated tokens of each record."""
        self.caps = array("I")
        """The output that each of them allows itself, which of vectors is 0; the largest number for any length."""
        self.digests = array("q")
        """What tells equal ones; a place of its own for one that shares no answer."""
        self.counted: dict[str, list[int]] = {}
        """By model: tokens counted exactly, and what the same records were estimated at."""

    def __len__(self) -> int:
        return len(self.sent)

    def add(self, tokens: int, cap: int | None, exact: Mapping[str, int], digest: int | None = None) -> None:
        self.digests.append(len(self.sent) if digest is None else digest)
        self.sent.append(tokens)
        self.caps.append(_UNCAPPED if cap is None else cap)
        for model, count in exact.items():
            sums = self.counted.setdefault(model, [0, 0])
            sums[0] += count
            sums[1] += tokens

    def once(self) -> "Load":
        """The first of those that are equal, which alone are sent."""
        first = pl.Series(self.digests, dtype=pl.Int64).is_first_distinct()
        if first.all():
            return self
        load = Load(self.route, self.models, self.way)
        load.sent, load.caps, load.digests = (
            array(each.typecode, itertools.compress(each, first))
            for each in (self.sent, self.caps, self.digests)
        )
        load.counted = self.counted
        return load

    def ratio(self, model: str, observed: Observed) -> float | tuple[int, int]:
        """Tokens of this model for each one estimated: counted, told, or none better known."""
        sums = self.counted.get(model)
        return (sums[0], sums[1]) if sums and sums[1] else observed.ratio.get(model, 1.0)


class _Sums(Struct):
    """Picodollars and tokens, added up over loads. Costs are None once one of them is unknown."""

    records: float = 0
    sent: float = 0
    expected: float = 0
    low: float | None = 0
    middle: float | None = 0
    high: float | None = 0
    batch: float | None = 0
    observed: bool = True

    def add(self, other: "_Sums") -> None:
        self.records += other.records
        self.sent += other.sent
        self.expected += other.expected
        self.low = _plus(self.low, other.low)
        self.middle = _plus(self.middle, other.middle)
        self.high = _plus(self.high, other.high)
        self.batch = _plus(self.batch, other.batch)
        self.observed = self.observed and other.observed

    def forecast(self, duration: Duration) -> Forecast:
        return Forecast(
            records=round(self.records),
            input_tokens=round(self.sent),
            output_tokens=round(self.expected),
            output_by="observed" if self.observed else "share",
            cost_usd=Money(low=_usd(self.low), expected=_usd(self.middle), high=_usd(self.high)),
            batch_usd=_usd(self.batch),
            duration=duration,
        )


class Forecaster:
    """Adds up what loads are at models. `scale` is how many records each one that was looked at stands for."""

    def __init__(self, declared: Mapping[str, Declared], observed: Observed, scale: float = 1) -> None:
        self._declared = declared
        self._observed = observed
        self._scale = scale if scale != 1 else 1  # whole numbers stay exact

    def at(self, model: str, parts: Sequence[tuple[Load, float]]) -> Forecast:
        """These shares of loads at one model, which takes them all."""
        sums = _Sums()
        for load, share in parts:
            sums.add(self._sums(load, share, self._declared[model]))
        return sums.forecast(self._duration(sums, self._declared[model]))

    def total(self, parts: Sequence[tuple[Load, str, float]]) -> Forecast:
        """Shares of loads at several models, each of which works at its own pace: the slowest decides."""
        sums, by_model = _Sums(), dict[str, _Sums]()
        for load, model, share in parts:
            added = self._sums(load, share, self._declared[model])
            sums.add(added)
            by_model.setdefault(model, _Sums()).add(added)
        found = {model: self._duration(each, self._declared[model]) for model, each in by_model.items()}
        slowest = max(found, key=lambda model: found[model].seconds or 0.0, default=None)
        if slowest is None or any(each.seconds is None for each in found.values()):
            return sums.forecast(Duration())
        limit = found[slowest]
        return sums.forecast(Duration(limit.seconds, f"{limit.limited_by} of {slowest}"))

    def _sums(self, load: Load, share: float, model: Declared) -> _Sums:
        times = self._scale * share if share != 1 else self._scale
        count, rates = len(load), model.rates
        sent = _tokens(load, load.ratio(model.name, self._observed)) + count * model.words_tokens
        most = _most(load, model)
        told = self._observed.output(load.route, model.name)
        expected = _expected(load, model, told)
        sums = _Sums(
            records=times * count, sent=times * sent, expected=times * expected, observed=told is not None
        )
        if rates is None:
            sums.low = sums.middle = sums.high = sums.batch = None
            return sums
        costs = [_cost(load, sent, output, rates) for output in (0, expected, most)]
        sums.low, sums.middle, sums.high = (None if cost is None else times * cost for cost in costs)
        batch = rates.tiers.get("batch")
        sums.batch = None if batch is None else times * (_cost(load, sent, expected, batch) or 0)
        return sums

    def _duration(self, sums: _Sums, model: Declared) -> Duration:
        times: dict[str, float] = {}
        if not sums.records:
            return Duration(0.0)
        requests = sums.records / model.together
        if model.rpm:
            times["rpm"] = requests / model.rpm * _MINUTE_S
        if model.tpm:
            times["tpm"] = (sums.sent + sums.expected) / model.tpm * _MINUTE_S
        latency_s = self._observed.latency_s.get(model.name)
        if latency_s is None:
            latency_s = model.latency_s(sums.expected / sums.records)
        if latency_s is not None:
            times["concurrency"] = requests * latency_s / model.concurrency
        if not times:
            return Duration()
        binding = max(times, key=lambda limit: times[limit])
        return Duration(round(times[binding], 3), binding)


def first_choices(
    order: Order | None, models: tuple[str, ...], declared: Mapping[str, Declared], observed: Observed
) -> dict[str, float]:
    """The shares in which records that these models can take begin with each of them, if none of them fails.

    What goes by price was decided record by record. `fastest` goes by what was observed, and spreads evenly before.
    """
    if order is None:
        return {models[0]: 1}
    present = next(
        [model for model in each if model in models]
        for each in order.groups
        if any(m in models for m in each)
    )
    if len(present) == 1:
        return {present[0]: 1}
    match order.strategy:
        case Strategy.WEIGHTED:
            weights = {model: order.weights[model] for model in present}
        case Strategy.FASTEST:
            known = {model: observed.latency_s[model] for model in present if model in observed.latency_s}
            if len(known) == len(present):
                return {min(known, key=lambda model: known[model]): 1}
            weights = dict.fromkeys(present, 1.0)
        case _:
            weights = {model: float(declared[model].concurrency) for model in present}
    return {model: weight / sum(weights.values()) for model, weight in weights.items()}


def _tokens(load: Load, ratio: float | tuple[int, int]) -> int:
    total = sum(load.sent)
    if isinstance(ratio, tuple):
        counted, estimated = ratio
        return round(total * counted / estimated) if total != estimated else counted
    return round(total * ratio)


def _most(load: Load, model: Declared) -> int | None:
    """The output that is allowed in all; None where a record allows any length."""
    if model.cap is not None:
        return model.cap * len(load)
    return sum(load.caps) if load.caps and max(load.caps) != _UNCAPPED else None


def _expected(load: Load, model: Declared, told: float | None) -> int:
    most = _most(load, model)
    if told is not None:
        expected = round(told * len(load))
        return expected if most is None else min(expected, most)
    return USUAL_OUTPUT_TOKENS * len(load) if most is None else round(OUTPUT_SHARE * most)


def _cost(load: Load, sent: int, output: int | None, rates: Rates) -> int | None:
    """Picodollars of all of it; where long requests cost more, in proportion to the tokens of the long ones."""
    if output is None:
        return None
    if not rates.above or not len(load):
        return sent * rates.input + output * rates.output
    scale, each = sent / max(1, sum(load.sent)), output / len(load)
    cost = 0.0
    for tokens in load.sent:
        paid = rates.at(round(tokens * scale))
        cost += tokens * scale * paid.input + each * paid.output
    return round(cost)


def _plus(one: float | None, other: float | None) -> float | None:
    return None if one is None or other is None else one + other


def _usd(picodollars: float | None) -> Decimal | None:
    return None if picodollars is None else usd(round(picodollars))
