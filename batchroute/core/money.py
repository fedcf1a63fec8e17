"""Prices and costs. Inside, a cost is an integer of picodollars (1e-12 USD), so that sums are exact."""

from decimal import Decimal

from msgspec import Struct, structs

from batchroute.core.responses import Usage

_PER_TOKEN = 10**6  # USD per million tokens, times this, is picodollars per token
_USUAL_TIERS = ("default", "standard")
"""What answers say of the tier that nobody has to ask for (platform.openai.com, API reference, Chat, 2026-08)."""


class Price(Struct, frozen=True, kw_only=True):
    """USD per million tokens. What is cached or written to the cache costs as much as input unless told."""

    input: Decimal
    output: Decimal
    cached: Decimal | None = None
    cache_write: Decimal | None = None
    above: tuple["Threshold", ...] = ()
    """Dearer prices of long requests, by ascending threshold: the whole request moves to the last one passed."""
    tiers: dict[str, "Price"] = {}
    """What else the same tokens may cost: by the service tier of the answer (flex, priority), or sent as a batch."""


class Threshold(Struct, frozen=True, kw_only=True):
    """The price of every token of a request whose input is longer than `input_tokens`."""

    input_tokens: int
    price: Price


class Rates(Struct, frozen=True, kw_only=True):
    """A price as picodollars per token, for arithmetic in integers."""

    input: int
    output: int
    cached: int
    cache_write: int
    above: tuple[tuple[int, "Rates"], ...] = ()
    tiers: dict[str, "Rates"] = {}
    dearest: int = 0
    """Of these, what a token of input costs at most."""

    def __post_init__(self) -> None:
        structs.force_setattr(self, "dearest", max(self.input, self.cached, self.cache_write))

    @classmethod
    def of(cls, price: Price) -> "Rates":
        """Raises ValueError for a price finer than a picodollar a token."""
        cached = price.input if price.cached is None else price.cached
        written = price.input if price.cache_write is None else price.cache_write
        return cls(
            input=_per_token(price.input),
            output=_per_token(price.output),
            cached=_per_token(cached),
            cache_write=_per_token(written),
            above=tuple((tier.input_tokens, cls.of(tier.price)) for tier in price.above),
            tiers={name: cls.of(tier) for name, tier in price.tiers.items()},
        )

    def asked_for(self, tier: str | None) -> "Rates":
        """What a request costs that asks for this service tier, before its answer says which one it got.

        That is the dearer one of the two: a cheap tier may be refused it, and for a dear one it may be served.
        """
        asked = self.tiers.get(tier or "")
        if asked is None or (asked.input <= self.input and asked.output <= self.output):
            return self
        return structs.replace(asked, tiers={**self.tiers, **dict.fromkeys(_USUAL_TIERS, self)})

    def served_as(self, tier: str | None) -> "Rates":
        """What an answer costs that says it was given on this tier. What it does not say, or nobody knows, costs as asked."""
        return self.tiers.get(tier, self) if tier is not None else self

    def at(self, input_tokens: int) -> "Rates":
        """What every token of a request with so long an input costs."""
        rates = self
        for threshold, dearer in self.above:
            if input_tokens > threshold:
                rates = dearer
        return rates

    def most(self, input_tokens: int, output_tokens: int) -> int:
        """Picodollars of one attempt at most, whatever part of its input is cached."""
        rates = self.at(input_tokens) if self.above else self
        return input_tokens * rates.dearest + output_tokens * rates.output

    def expected(self, input_tokens: int, output_tokens: int) -> int:
        """Picodollars of one attempt of about this size, nothing of it being cached."""
        rates = self.at(input_tokens)
        return input_tokens * rates.input + output_tokens * rates.output

    def cost(self, usage: Usage) -> int:
        """Picodollars of one attempt. Cached and written tokens are part of input, reasoning of output."""
        rates = self.at(usage.input_tokens) if self.above else self
        cached, written = usage.cached_tokens, usage.cache_write_tokens
        cost = usage.input_tokens * rates.input + usage.output_tokens * rates.output
        if cached or written:
            plain = max(0, usage.input_tokens - cached - written)
            cost += (plain - usage.input_tokens) * rates.input
            cost += cached * rates.cached + written * rates.cache_write
        return cost


def usd(amount: int) -> Decimal:
    """Exact USD of an integer of picodollars."""
    return Decimal(amount).scaleb(-12)


def picodollars(amount: Decimal) -> int:
    """An amount in USD as costs are counted; what is finer than that is cut off."""
    return int(amount.scaleb(12))


def _per_token(price: Decimal) -> int:
    scaled = price * _PER_TOKEN
    if scaled != scaled.to_integral_value():
        raise ValueError(
            f"price {price} is finer than 0.000001 USD per million tokens. Round it to 6 decimals"
        )
    return int(scaled)
