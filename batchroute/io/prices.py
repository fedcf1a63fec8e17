"""List prices of known models, from the table that genai-prices ships. Nothing is downloaded."""

import datetime as dt
import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct, structs

from batchroute.core.errors import JobError
from batchroute.core.money import Price, Threshold
from batchroute.job.problems import nearest

if TYPE_CHECKING:
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

_KINDS = ("input_mtok", "output_mtok", "cache_read_mtok", "cache_write_mtok")

_TIER_KEYS = ("service_tier", "processing")
"""What a tier goes by in the table: the first is told by answers, the second is `batch`."""

# Charges of every request that token counts alone do not tell. A price without them would be too low.
_UNCOUNTED = (
    "requests_kcount",
    "input_text_messages_kcount",
    "input_mchars",
    "output_reasoning_mtok",
    "output_citation_mtok",
)


def resolve_price(
    declared: Price | None,
    *,
    provider_url: str | None,
    provider_name: str,
    model: str,
    on: dt.date,
) -> Price | None:
    """The declared price, else the list price of that day (UTC), else None for unknown.

    Who bills is told by the host of `provider_url`; a host that the table does not know (a proxy, loopback)
    is priced only if `provider_name` is the table's own id of a provider. Without a URL and without such
    a name, the model's name decides if all providers that offer it ask the same. Where the price depends on
    the hour, it is the day's highest; models that also charge for what tokens do not tell are unknown.
    """
    if declared is not None:
        return declared
    # 0.58 s that a run with declared prices need not spend
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415

    everyone = get_snapshot().providers
    billing = _billing(everyone, provider_url, provider_name)
    offers = [
        _dearest(found, on)
        for one in billing or (everyone if provider_url is None else [])
        if (found := one.find_model(model, all_providers=everyone)) is not None
    ]
    agreed = billing or all(offer == offers[0] for offer in offers)
    return offers[0] if offers and agreed else None


def resolve_context(*, provider_url: str | None, provider_name: str, model: str) -> int | None:
    """The tokens that a request and its answer may have together, as the same table says of who bills; None: unknown."""
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  as above

    everyone = get_snapshot().providers
    for one in _billing(everyone, provider_url, provider_name):
        found = one.find_model(model, all_providers=everyone)
        if found is not None:
            return found.context_window
    return None


class KnownModel(Struct, frozen=True, kw_only=True):
    """A model of the price list. `price` is that of the day, None where it is unknown; `context` in tokens."""

    provider: str
    model: str
    price: Price | None
    context: int | None
    on: dt.date


def known_models(on: dt.date, provider: str | None = None) -> list[KnownModel]:
    """The models of the shipped price list, or of one provider as the list calls it, in its order.

    Raises JobError for a provider that it does not know.
    """
    from genai_prices.data_snapshot import get_snapshot  # noqa: PLC0415  as above

    everyone = get_snapshot().providers
    asked = [one for one in everyone if provider is None or one.id == provider.lower()]
    if not asked:
        names = [one.id for one in everyone]
        raise JobError(
            f"the price list knows no provider {provider!r}{nearest(provider or '', names) or '. It knows ' + ', '.join(names)} [price_provider]"
        )
    return [
        KnownModel(
            provider=one.id, model=found.id, price=_dearest(found, on), context=found.context_window, on=on
        )
        for one in asked
        for found in one.models
    ]


def _billing(everyone: list["Provider"], url: str | None, name: str) -> list["Provider"]:
    """Who may send the bill, the likeliest first: the providers of the host, else the one of the name."""
    by_host = [one for one in everyone if url is not None and _serves(one.api_pattern, url)]
    return by_host or [one for one in everyone if one.id == name.lower()]


def _serves(pattern: str, url: str) -> bool:
    parts = urlsplit(url)
    # The patterns are prefixes: without the end, api.openai.com.example.net would pass for api.openai.com.
    ended = rf"(?:{pattern})(?:(?<=\.)|(?![\w.-]))"
    return re.match(ended, f"https://{parts.hostname}{parts.path}") is not None


def _dearest(model: "ModelInfo", day: dt.date) -> Price | None:
    """The day's highest price, with those of the tiers that are known then."""
    hours = _hours(model, day)
    standard = _highest(model, hours, None)
    if standard is None or not model.price_variants:
        return standard
    tiers = {name: _highest(model, hours, asked) for name, asked in _tiers(model, hours).items()}
    return structs.replace(
        standard, tiers={name: price for name, price in tiers.items() if price is not None}
    )


def _hours(model: "ModelInfo", day: dt.date) -> list[dt.datetime]:
    """Every half hour of the day; its noon alone where the price depends on no hour."""
    midnight = dt.datetime.combine(day, dt.time(), dt.UTC)
    listed = model.prices if isinstance(model.prices, list) else []
    if all(
        hasattr(each.constraint, "start_date")
        for each in (*listed, *(model.price_variants or ()))
        if each.constraint
    ):
        return [midnight + dt.timedelta(hours=12)]
    return [midnight + dt.timedelta(minutes=30 * half) for half in range(48)]


def _highest(model: "ModelInfo", hours: list[dt.datetime], asked: Mapping[str, str] | None) -> Price | None:
    prices = [price for hour in hours if (price := _price(model.get_prices(hour, asked))) is not None]
    return max(prices, key=lambda price: price.input + price.output, default=None)


def _tiers(model: "ModelInfo", hours: list[dt.datetime]) -> dict[str, Mapping[str, str]]:
    """The tiers that have a price of their own all day, with what the table calls them."""
    found: dict[str, Mapping[str, str]] = {}
    for variant in model.price_variants or ():
        (key, name), *further = variant.when.items()
        lasting = variant.constraint is None or all(map(variant.constraint.active, hours))
        if not further and key in _TIER_KEYS and name != "default" and lasting:
            found[name] = variant.when
    return found


def _price(listed: "ModelPrice") -> Price | None:
    if any(getattr(listed, kind) is not None for kind in _UNCOUNTED):
        return None
    fields: list[Decimal | TieredPrices | None] = [getattr(listed, kind) for kind in _KINDS]
    base = _at(fields, 0)
    if base is None:
        return None
    above = tuple(
        Threshold(input_tokens=start, price=price)
        for start in _starts(fields)
        if (price := _at(fields, start)) is not None
    )
    return Price(
        input=base.input, output=base.output, cached=base.cached, cache_write=base.cache_write, above=above
    )


def _starts(fields: Iterable["Decimal | TieredPrices | None"]) -> list[int]:
    return sorted({tier.start for field in fields for tier in getattr(field, "tiers", ())})


def _at(fields: Iterable["Decimal | TieredPrices | None"], start: int) -> Price | None:
    """The price of requests longer than `start` tokens; None where input or output has no price."""
    paid, produced, cached, written = (_rate(field, start) for field in fields)
    if paid is None or produced is None:
        return None
    return Price(input=paid, output=produced, cached=cached, cache_write=written)


def _rate(field: "Decimal | TieredPrices | None", start: int) -> Decimal | None:
    if field is None or isinstance(field, Decimal):
        return _rounded(field)
    passed = [tier.price for tier in field.tiers if tier.start <= start]
    return _rounded(passed[-1] if passed else field.base)


def _rounded(price: Decimal | None) -> Decimal | None:
    """Half even to 6 places, the finest price that costs in picodollars can hold."""
    if price is None or price == round(price, 6):
        return price
    return round(price, 6)
