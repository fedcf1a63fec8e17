"""What a model costs, as a job file says: on every lane that it names."""

from decimal import Decimal
from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from batchroute.core.money import Price, Rates
from batchroute.job.spec import Spec, Usd

_LEAST: Final = Decimal("0.0001")  # USD per million tokens; anything lower is a price per token by mistake


def _plausible(price: Decimal) -> Decimal:
    if 0 < price < _LEAST:
        raise ValueError("is too low for USD per million tokens. Multiply a price per token by 1000000")
    return price


class TierPriceSpec(Spec):
    """USD per million tokens."""

    input: Annotated[Usd, AfterValidator(_plausible)] = Field(description="Per million input tokens.")
    output: Annotated[Usd, AfterValidator(_plausible)] = Field(description="Per million output tokens.")
    cached: Annotated[Usd, AfterValidator(_plausible)] | None = Field(
        default=None, description="Per million input tokens read from the cache. Default: as input."
    )
    cache_write: Annotated[Usd, AfterValidator(_plausible)] | None = Field(
        default=None, description="Per million input tokens written to the cache. Default: as input."
    )

    @model_validator(mode="after")
    def _exact(self) -> Self:
        Rates.of(self.price())
        return self

    def price(self) -> Price:
        """The price, for arithmetic."""
        return Price(input=self.input, output=self.output, cached=self.cached, cache_write=self.cache_write)


class PriceSpec(TierPriceSpec):
    """USD per million tokens, and what the same costs on another lane or service tier."""

    flex: TierPriceSpec | None = Field(
        default=None,
        description="Of answers that say they were given on service tier flex. Default: as above.",
    )
    priority: TierPriceSpec | None = Field(
        default=None, description="Of answers on service tier priority. Default: as above."
    )
    batch: TierPriceSpec | None = Field(
        default=None, description="On the provider's Batch API, which plan compares. Default: unknown."
    )

    def price(self) -> Price:
        """The price with its tiers, for arithmetic."""
        tiers = {"flex": self.flex, "priority": self.priority, "batch": self.batch}
        return Price(
            input=self.input,
            output=self.output,
            cached=self.cached,
            cache_write=self.cache_write,
            tiers={name: tier.price() for name, tier in tiers.items() if tier is not None},
        )
