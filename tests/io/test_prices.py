import datetime as dt
import subprocess
import sys
from collections.abc import Iterator
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import DataSnapshot, get_snapshot, set_custom_snapshot
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import Usage as GenaiUsage

from batchroute.core.errors import JobError
from batchroute.core.money import Price, Rates, Threshold, usd
from batchroute.core.responses import Usage
from batchroute.io.prices import known_models, resolve_context, resolve_price

DAY = dt.date(2026, 6, 15)
FLAT = ModelPrice(input_mtok=Decimal("0.15"), output_mtok=Decimal("0.6"), cache_read_mtok=Decimal("0.075"))
FLAT_PRICE = Price(input=Decimal("0.15"), output=Decimal("0.6"), cached=Decimal("0.075"))


def offer(name: str, prices: ModelPrice | list[ConditionalPrice]) -> ModelInfo:
    return ModelInfo(id=name, match=ClauseEquals(name), prices=prices)


def provider(name: str, pattern: str, *models: ModelInfo) -> Provider:
    return Provider(id=name, name=name, api_pattern=pattern, models=list(models))


@pytest.fixture
def table() -> Iterator[list[Provider]]:
    """A price table of the test's own, in place of the shipped one."""
    providers: list[Provider] = []
    set_custom_snapshot(DataSnapshot(providers=providers, from_auto_update=False))
    yield providers
    set_custom_snapshot(None)


def price_of(
    model: str, *, url: str | None = "https://api.acme.ai/v1", name: str = "main", on: dt.date = DAY
) -> Price | None:
    return resolve_price(None, provider_url=url, provider_name=name, model=model, on=on)


@pytest.mark.parametrize(
    ("url", "name", "model", "context"),
    [
        pytest.param("https://api.acme.ai/v1", "main", "large", 200_000, id="host"),
        pytest.param("https://gateway.example/v1", "acme", "large", 200_000, id="name of the provider"),
        pytest.param("https://gateway.example/v1", "main", "large", None, id="nobody that is known"),
        pytest.param("https://api.acme.ai/v1", "main", "tiny", None, id="a model without a size"),
        pytest.param("https://api.acme.ai/v1", "main", "other", None, id="unknown model"),
        pytest.param("https://api.resale.ai/v1", "acme", "large", 32_000, id="the host before the name"),
    ],
)
def test_context_is_that_of_who_bills(
    table: list[Provider], url: str, name: str, model: str, context: int | None
) -> None:
    def sized(tokens: int) -> ModelInfo:
        return ModelInfo(id="large", match=ClauseEquals("large"), prices=FLAT, context_window=tokens)

    table += [
        provider("acme", r"https://api\.acme\.ai", sized(200_000), offer("tiny", FLAT)),
        provider("resale", r"https://api\.resale\.ai", sized(32_000)),
    ]

    assert resolve_context(provider_url=url, provider_name=name, model=model) == context


def test_declared_price_wins_over_every_list_price() -> None:
    declared = Price(input=Decimal(1), output=Decimal(2))

    found = resolve_price(
        declared,
        provider_url="https://api.openai.com/v1",
        provider_name="openai",
        model="gpt-4o-mini",
        on=DAY,
    )

    assert found is declared


def test_declared_price_does_not_import_the_price_table() -> None:
    code = """if True:
        import datetime, sys
        from decimal import Decimal
        from batchroute.core.money import Price
        from batchroute.io.prices import resolve_price
        price = Price(input=Decimal(1), output=Decimal(2))
        day = datetime.date(2026, 1, 1)
        assert resolve_price(price, provider_url=None, provider_name="a", model="b", on=day) is price
        print("genai_prices" in sys.modules)
        resolve_price(None, provider_url=None, provider_name="a", model="b", on=day)
        print("genai_prices" in sys.modules)
    """

    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)

    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize(
    ("url", "name", "known"),
    [
        pytest.param("https://api.acme.ai/v1", "main", True, id="host"),
        pytest.param("https://API.ACME.AI", "main", True, id="host in capitals, no path"),
        pytest.param("http://api.acme.ai:8443/v1", "main", True, id="other scheme and port"),
        pytest.param("https://api.acme.ai/v1", "other", True, id="host wins over the name"),
        pytest.param("https://api.acme.ai.example.net/v1", "main", False, id="host only begins alike"),
        pytest.param("https://api.acme.aim/v1", "main", False, id="host is a longer word"),
        pytest.param("http://127.0.0.1:8000/v1", "main", False, id="loopback"),
        pytest.param("http://127.0.0.1:8000/v1", "acme", True, id="loopback, known name"),
        pytest.param("http://127.0.0.1:8000/v1", "Acme", True, id="loopback, known name in capitals"),
        pytest.param("http://[::1]:8000/v1", "my-acme", False, id="loopback, name only contains a known one"),
        pytest.param("https://proxy.corp/acme", "acme", True, id="unknown host, known name"),
        pytest.param(None, "acme", True, id="no url, known name"),
        pytest.param(None, "main", True, id="no url, one provider offers it"),
    ],
)
def test_who_bills_is_told_by_host_then_by_name(
    table: list[Provider], url: str | None, name: str, known: bool
) -> None:
    table += [
        provider("other", r"https://api\.other\.ai", offer("large", FLAT)),
        provider("acme", r"https://api\.acme\.ai", offer("mini", FLAT)),
    ]

    assert price_of("mini", url=url, name=name) == (FLAT_PRICE if known else None)


def test_unknown_model_of_a_known_host_is_not_priced_by_another_provider(table: list[Provider]) -> None:
    table += [
        provider("acme", r"https://api\.acme\.ai", offer("mini", FLAT)),
        provider("other", r"https://api\.other\.ai", offer("large", FLAT)),
    ]

    assert price_of("large", url="https://api.acme.ai/v1", name="other") is None


def test_second_provider_of_one_host_is_asked_too(table: list[Provider]) -> None:
    table += [
        provider("acme", r"https://api\.acme\.ai", offer("mini", FLAT)),
        provider("acme-voice", r"https://api\.acme\.ai", offer("voice", FLAT)),
    ]

    assert price_of("voice") == FLAT_PRICE


def test_first_provider_of_one_host_decides_what_both_offer(table: list[Provider]) -> None:
    dearer = ModelPrice(input_mtok=Decimal(9), output_mtok=Decimal(9))
    table += [
        provider("acme", r"https://api\.acme\.ai", offer("mini", FLAT)),
        provider("acme-voice", r"https://api\.acme\.ai", offer("mini", dearer)),
    ]

    assert price_of("mini") == FLAT_PRICE


@pytest.mark.parametrize(
    ("second", "known"),
    [
        pytest.param(FLAT, True, id="all ask the same"),
        pytest.param(ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1)), False, id="another price"),
        pytest.param(ModelPrice(), False, id="another has no price"),
    ],
)
def test_model_name_alone_counts_only_when_unambiguous(
    table: list[Provider], second: ModelPrice, known: bool
) -> None:
    table += [
        provider("acme", r"https://api\.acme\.ai", offer("mini", FLAT)),
        provider("other", r"https://api\.other\.ai", offer("mini", second)),
    ]

    assert price_of("mini", url=None) == (FLAT_PRICE if known else None)


@pytest.mark.parametrize(
    "listed",
    [
        pytest.param(ModelPrice(), id="no price"),
        pytest.param(ModelPrice(input_mtok=Decimal(1)), id="no output price"),
        pytest.param(ModelPrice(output_mtok=Decimal(1)), id="no input price"),
        pytest.param(
            ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), requests_kcount=Decimal(5)),
            id="a fee for each request",
        ),
        pytest.param(
            ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), output_reasoning_mtok=Decimal(3)),
            id="reasoning priced apart",
        ),
    ],
)
def test_what_tokens_alone_do_not_tell_is_unknown(table: list[Provider], listed: ModelPrice) -> None:
    table.append(provider("acme", r"https://api\.acme\.ai", offer("mini", listed)))

    assert price_of("mini") is None


def test_free_is_a_price(table: list[Provider]) -> None:
    free = ModelPrice(input_mtok=Decimal(0), output_mtok=Decimal(0))
    table.append(provider("acme", r"https://api\.acme\.ai", offer("mini", free)))

    assert price_of("mini") == Price(input=Decimal(0), output=Decimal(0))


def test_tiers_become_thresholds_and_untiered_fields_stay(table: list[Provider]) -> None:
    first, second = Tier(start=128_000, price=Decimal(2)), Tier(start=256_000, price=Decimal(4))
    late = Tier(start=256_000, price=Decimal(30))
    listed = ModelPrice(
        input_mtok=TieredPrices(base=Decimal(1), tiers=[second, first]),
        output_mtok=TieredPrices(base=Decimal(10), tiers=[late]),
        cache_write_mtok=Decimal("1.25"),
    )
    table.append(provider("acme", r"https://api\.acme\.ai", offer("mini", listed)))

    def at(paid: int, produced: int) -> Price:
        return Price(input=Decimal(paid), output=Decimal(produced), cache_write=Decimal("1.25"))

    assert price_of("mini") == Price(
        input=Decimal(1),
        output=Decimal(10),
        cache_write=Decimal("1.25"),
        above=(
            Threshold(input_tokens=128_000, price=at(2, 10)),
            Threshold(input_tokens=256_000, price=at(4, 30)),
        ),
    )


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("0.0416666666666667", "0.041667"),
        ("0.13999999999999999", "0.14"),
        ("0.0000005", "0.000000"),
        ("0.0000015", "0.000002"),
        ("0.003625", "0.003625"),
    ],
)
def test_prices_are_rounded_half_even_to_what_costs_can_hold(
    table: list[Provider], listed: str, expected: str
) -> None:
    fine = ModelPrice(input_mtok=Decimal(listed), output_mtok=Decimal(1))
    table.append(provider("acme", r"https://api\.acme\.ai", offer("mini", fine)))

    found = price_of("mini")

    assert found is not None
    assert found.input == Decimal(expected)
    Rates.of(found)


def test_price_is_that_of_the_day(table: list[Provider]) -> None:
    cheaper = ModelPrice(input_mtok=Decimal("0.1"), output_mtok=Decimal("0.4"))
    history = [
        ConditionalPrice(prices=FLAT),
        ConditionalPrice(StartDateConstraint(start_date=DAY), prices=cheaper),
    ]
    table.append(provider("acme", r"https://api\.acme\.ai", offer("mini", history)))

    assert price_of("mini", on=DAY - dt.timedelta(days=1)) == FLAT_PRICE
    assert price_of("mini", on=DAY) == Price(input=Decimal("0.1"), output=Decimal("0.4"))


def test_price_that_depends_on_the_hour_is_the_highest_of_the_day(table: list[Provider]) -> None:
    peak = ModelPrice(input_mtok=Decimal("0.3"), output_mtok=Decimal("1.2"))
    hours = TimeOfDateConstraint(
        start_time=dt.time(16, 30, tzinfo=dt.UTC), end_time=dt.time(17, tzinfo=dt.UTC)
    )
    by_hour = [ConditionalPrice(prices=FLAT), ConditionalPrice(hours, prices=peak)]
    table.append(provider("acme", r"https://api\.acme\.ai", offer("mini", by_hour)))

    assert price_of("mini") == Price(input=Decimal("0.3"), output=Decimal("1.2"))


@pytest.mark.parametrize(
    ("url", "model", "expected"),
    [
        # https://openai.com/api/pricing, 2025-06
        pytest.param("https://api.openai.com/v1", "gpt-4o-mini", ("0.15", "0.60", "0.075"), id="openai"),
        pytest.param(
            "https://api.openai.com/v1", "gpt-4o-mini-2024-07-18", ("0.15", "0.60", "0.075"), id="dated name"
        ),
    ],
)
def test_shipped_table_knows_list_prices(url: str, model: str, expected: tuple[str, str, str]) -> None:
    paid, produced, cached = map(Decimal, expected)

    found = price_of(model, url=url, on=dt.date(2025, 6, 15))

    assert found == Price(input=paid, output=produced, cached=cached)


@pytest.mark.parametrize("one", get_snapshot().providers, ids=lambda one: str(one.id))
def test_costs_agree_with_the_table_for_every_shipped_model(one: Provider) -> None:
    for model in one.models:
        # some are matched by an earlier model of the list, whose price is then the right one
        found = one.find_model(model.id)
        price = price_of(model.id, url=None, name=one.id)
        if found is None or price is None:
            continue
        for input_tokens in (1_000, 128_001, 1_000_000):
            surplus = _cost(price, input_tokens) - _listed(found, one, input_tokens)
            rounding = Decimal("5e-13") * (input_tokens + 500)
            assert surplus >= -rounding, model.id
            assert surplus <= rounding or _changes_by_hour(found), model.id


def test_nearly_all_models_of_a_chat_provider_have_a_price() -> None:
    (anthropic,) = (one for one in get_snapshot().providers if one.id == "anthropic")

    priced = [
        model.id for model in anthropic.models if price_of(model.id, url="https://api.anthropic.com/v1")
    ]

    assert len(priced) > 0.9 * len(anthropic.models)


def _cost(price: Price, input_tokens: int) -> Decimal:
    usage = Usage(
        input_tokens=input_tokens,
        cached_tokens=300,
        cache_write_tokens=200,
        output_tokens=500,
        reasoning_tokens=100,
    )
    return usd(Rates.of(price).cost(usage))


def _listed(model: ModelInfo, one: Provider, input_tokens: int) -> Decimal:
    usage = GenaiUsage(
        input_tokens=input_tokens, cache_read_tokens=300, cache_write_tokens=200, output_tokens=500
    )
    noon = dt.datetime.combine(DAY, dt.time(12), dt.UTC)
    return model.calc_price(usage, one, genai_request_timestamp=noon).total_price


def _changes_by_hour(model: ModelInfo) -> bool:
    return isinstance(model.prices, list) and any(
        isinstance(one.constraint, TimeOfDateConstraint) for one in model.prices
    )


HALF = ModelPrice(input_mtok=Decimal("0.075"), output_mtok=Decimal("0.3"))


def varied(when: dict[str, str], *, since: dt.date | None = None) -> ModelInfo:
    """A model of which half is asked under some condition, perhaps only since a day."""
    constraint = None if since is None else StartDateConstraint(since)
    variant = PriceVariant(when=when, prices=HALF, constraint=constraint)
    return ModelInfo(id="tiny", match=ClauseEquals("tiny"), prices=FLAT, price_variants=[variant])


@pytest.mark.parametrize(
    ("when", "since", "tiers"),
    [
        pytest.param({"processing": "batch"}, None, {"batch"}, id="batch"),
        pytest.param({"service_tier": "flex"}, DAY, {"flex"}, id="flex since that day"),
        pytest.param({"service_tier": "flex"}, DAY + dt.timedelta(1), set(), id="not yet"),
        pytest.param({"service_tier": "default"}, None, set(), id="the usual one is no other"),
        pytest.param({"speed": "fast"}, None, set(), id="a condition that no answer tells"),
        pytest.param({"processing": "batch", "region": "eu"}, None, set(), id="only elsewhere"),
    ],
)
def test_tiers_are_those_that_are_known_on_the_day(
    table: list[Provider], when: dict[str, str], since: dt.date | None, tiers: set[str]
) -> None:
    table.append(provider("acme", r"https://api\.acme\.ai", varied(when, since=since)))

    price = price_of("tiny")

    assert price is not None
    assert price.tiers.keys() == tiers
    for tier in price.tiers.values():  # what a tier does not say costs as it usually does
        assert tier == Price(input=Decimal("0.075"), output=Decimal("0.3"), cached=Decimal("0.075"))


def test_known_models_tell_an_unknown_price_as_none(table: list[Provider]) -> None:
    nameless = ModelInfo(id="vague", match=ClauseEquals("vague"), prices=ModelPrice())
    table += [
        provider("acme", "", offer("tiny", FLAT), nameless),
        provider("resale", "", offer("tiny", FLAT)),
    ]

    found = known_models(DAY)

    assert [(one.provider, one.model, one.price) for one in found] == [
        ("acme", "tiny", FLAT_PRICE),
        ("acme", "vague", None),
        ("resale", "tiny", FLAT_PRICE),
    ]
    assert {one.on for one in found} == {DAY}
    assert [one.provider for one in known_models(DAY, "Resale")] == ["resale"]


def test_an_unknown_provider_is_refused_with_the_nearest(table: list[Provider]) -> None:
    table.append(provider("acme", ""))

    with pytest.raises(JobError, match=r"did you mean acme.*price_provider"):
        known_models(DAY, "acne")
