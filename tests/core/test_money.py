from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from batchroute.core.money import Price, Rates, Threshold, picodollars, usd
from batchroute.core.responses import Usage

DAY = Price(
    input=Decimal("0.15"), output=Decimal("0.60"), cached=Decimal("0.075"), cache_write=Decimal("0.1875")
)
PLAIN = Price(input=Decimal(2), output=Decimal(8))
FREE_CACHE = Price(input=Decimal(2), output=Decimal(8), cached=Decimal(0), cache_write=Decimal(0))
LONG = Price(
    input=Decimal("1.25"),
    output=Decimal(10),
    cached=Decimal("0.125"),
    above=(
        Threshold(input_tokens=200_000, price=Price(input=Decimal("2.5"), output=Decimal(15))),
        Threshold(input_tokens=500_000, price=Price(input=Decimal(5), output=Decimal(30))),
    ),
)


def usage(paid: int, produced: int, *, cached: int = 0, written: int = 0, reasoning: int = 0) -> Usage:
    return Usage(
        input_tokens=paid,
        output_tokens=produced,
        cached_tokens=cached,
        cache_write_tokens=written,
        reasoning_tokens=reasoning,
    )


TIERED = Rates.of(
    Price(
        input=Decimal(2),
        output=Decimal(8),
        cached=Decimal(1),
        tiers={
            "flex": Price(input=Decimal(1), output=Decimal(4)),
            "priority": Price(input=Decimal(4), output=Decimal(16), cached=Decimal(2)),
        },
    )
)


@pytest.mark.parametrize(
    ("asked", "served", "dollars"),
    [
        # 500 x 2 + 500 x 1 + 100 x 8 = 2,300; flex 1,000 x 1 + 100 x 4; priority 500 x 4 + 500 x 2 + 100 x 16
        pytest.param(None, None, "0.0023", id="nothing is asked or said"),
        pytest.param(None, "default", "0.0023", id="the usual tier by name"),
        pytest.param("flex", "flex", "0.0014", id="flex is cheaper and tells no discount"),
        pytest.param("flex", "default", "0.0023", id="flex was full"),
        pytest.param("flex", None, "0.0023", id="asked for a cheaper one, and told nothing"),
        pytest.param("priority", "priority", "0.0046", id="priority"),
        pytest.param("priority", "default", "0.0023", id="served as usual, though more was asked"),
        pytest.param("priority", None, "0.0046", id="asked for a dearer one, and told nothing"),
        pytest.param("auto", "priority", "0.0046", id="the project's own choice"),
        pytest.param("auto", "scale", "0.0023", id="a tier that nobody knows"),
    ],
)
def test_the_tier_that_the_answer_names_is_what_is_paid(
    asked: str | None, served: str | None, dollars: str
) -> None:
    rates = TIERED.asked_for(asked).served_as(served)

    assert usd(rates.cost(usage(1_000, 100, cached=500))) == Decimal(dollars)


def test_what_is_set_aside_is_that_of_the_dearer_tier() -> None:
    assert TIERED.asked_for("priority").most(1_000, 100) == 2 * TIERED.most(1_000, 100)
    assert TIERED.asked_for("flex").most(1_000, 100) == TIERED.most(1_000, 100)


@pytest.mark.parametrize(
    ("price", "tokens", "dollars"),
    [
        pytest.param(DAY, usage(0, 0), "0", id="nothing"),
        pytest.param(DAY, usage(1, 0), "0.00000015", id="one token of input"),
        pytest.param(DAY, usage(0, 1), "0.0000006", id="one token of output"),
        pytest.param(DAY, usage(1_000_000, 1_000_000), "0.75", id="a million of both"),
        # 600 x 0.15 + 400 x 0.075 + 100 x 0.60 = 90 + 30 + 60 dollars per million
        pytest.param(DAY, usage(1_000, 100, cached=400), "0.00018", id="cached is part of input"),
        # 300 x 0.15 + 400 x 0.075 + 300 x 0.1875 = 45 + 30 + 56.25
        pytest.param(DAY, usage(1_000, 0, cached=400, written=300), "0.00013125", id="written too"),
        pytest.param(DAY, usage(0, 100, reasoning=80), "0.00006", id="reasoning is part of output"),
        pytest.param(
            PLAIN, usage(1_000, 0, cached=400, written=300), "0.002", id="untold cache costs as input"
        ),
        pytest.param(FREE_CACHE, usage(1_000, 0, cached=900), "0.0002", id="free cache is not untold cache"),
        # 500 x 0.075, and no refund for the 400 that were never part of input
        pytest.param(DAY, usage(100, 0, cached=500), "0.0000375", id="more cached than input"),
        pytest.param(LONG, usage(200_000, 1_000), "0.26", id="at the threshold: still the lower price"),
        # 200,001 x 2.5 + 1,000 x 15 = 500,002.5 + 15,000
        pytest.param(LONG, usage(200_001, 1_000), "0.5150025", id="beyond it: the whole request"),
        pytest.param(LONG, usage(500_001, 0), "2.500005", id="beyond the second"),
        # 200,000 x 2.5 + 50,000 x 2.5: a threshold's price tells no discount, so none is given
        pytest.param(LONG, usage(250_000, 0, cached=50_000), "0.625", id="cached beyond it"),
    ],
)
def test_cost_is_what_a_person_computes(price: Price, tokens: Usage, dollars: str) -> None:
    assert usd(Rates.of(price).cost(tokens)) == Decimal(dollars)


@pytest.mark.parametrize(
    ("picodollars", "dollars"),
    [
        (0, "0"),
        (1, "0.000000000001"),
        (10**12, "1"),
        (-150_000, "-0.00000015"),
        (123_456_789_012_345_678_901, "123456789.012345678901"),
    ],
)
def test_dollars_are_exact(picodollars: int, dollars: str) -> None:
    assert usd(picodollars) == Decimal(dollars)


@pytest.mark.parametrize("dollars", ["0.0000001", "0.1234567", "1e-7"])
@pytest.mark.parametrize("field", ["input", "output", "cached", "cache_write"])
def test_price_finer_than_a_picodollar_a_token_is_refused(field: str, dollars: str) -> None:
    price = structs.replace(PLAIN, **{field: Decimal(dollars)})

    with pytest.raises(ValueError, match=r"finer than 0\.000001 USD"):
        Rates.of(price)


def test_too_fine_price_beyond_a_threshold_is_refused_too() -> None:
    fine = Price(input=Decimal("0.1234567"), output=Decimal(1))
    price = Price(input=Decimal(1), output=Decimal(1), above=(Threshold(input_tokens=1, price=fine),))

    with pytest.raises(ValueError, match="finer"):
        Rates.of(price)


def test_finest_price_is_one_picodollar_a_token() -> None:
    rates = Rates.of(Price(input=Decimal("0.000001"), output=Decimal("1.000000")))

    assert (rates.input, rates.output) == (1, 1_000_000)


# Laws

prices = st.decimals(min_value=0, max_value=10_000, places=6, allow_nan=False)
counts = st.integers(min_value=0, max_value=2_000_000)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    paid = draw(counts)
    cached = draw(st.integers(0, paid))
    written = draw(st.integers(0, paid - cached))
    produced = draw(counts)
    return usage(paid, produced, cached=cached, written=written, reasoning=draw(st.integers(0, produced)))


@st.composite
def flat_prices(draw: st.DrawFn) -> Price:
    optional = st.none() | prices
    return Price(input=draw(prices), output=draw(prices), cached=draw(optional), cache_write=draw(optional))


@st.composite
def rising_prices(draw: st.DrawFn) -> Price:
    """A price whose thresholds ask more than what is below them, as every known provider's do."""
    price = draw(flat_prices())
    starts = sorted(draw(st.sets(st.integers(1, 1_000_000), max_size=3)))
    steps = [Threshold(input_tokens=start, price=_times(price, 2 + at)) for at, start in enumerate(starts)]
    return Price(
        input=price.input,
        output=price.output,
        cached=price.cached,
        cache_write=price.cache_write,
        above=tuple(steps),
    )


def _times(price: Price, factor: int) -> Price:
    return Price(
        input=price.input * factor,
        output=price.output * factor,
        cached=None if price.cached is None else price.cached * factor,
        cache_write=None if price.cache_write is None else price.cache_write * factor,
    )


@given(flat_prices(), usages())
def test_cost_is_the_exact_sum_of_tokens_times_prices(price: Price, tokens: Usage) -> None:
    cached = price.input if price.cached is None else price.cached
    written = price.input if price.cache_write is None else price.cache_write
    plain = tokens.input_tokens - tokens.cached_tokens - tokens.cache_write_tokens
    dollars_per_million = (
        plain * price.input
        + tokens.cached_tokens * cached
        + tokens.cache_write_tokens * written
        + tokens.output_tokens * price.output
    )

    assert usd(Rates.of(price).cost(tokens)) == dollars_per_million.scaleb(-6)


@given(rising_prices(), usages(), st.integers(1, 100_000))
def test_more_tokens_of_any_kind_never_cost_less(price: Price, tokens: Usage, more: int) -> None:
    """A cached or written token is an input token too, a reasoning token one of output."""
    rates = Rates.of(price)
    paid, produced = tokens.input_tokens, tokens.output_tokens
    cached, written, reasoning = tokens.cached_tokens, tokens.cache_write_tokens, tokens.reasoning_tokens
    longer = [
        usage(paid + more, produced, cached=cached, written=written),
        usage(paid + more, produced, cached=cached + more, written=written),
        usage(paid + more, produced, cached=cached, written=written + more),
        usage(paid, produced + more, cached=cached, written=written),
        usage(paid, produced + more, cached=cached, written=written, reasoning=reasoning + more),
    ]

    assert all(rates.cost(one) >= rates.cost(tokens) for one in longer)


@given(flat_prices(), usages(), usages())
def test_costs_below_every_threshold_add_up(price: Price, first: Usage, second: Usage) -> None:
    rates = Rates.of(price)
    both = usage(
        first.input_tokens + second.input_tokens,
        first.output_tokens + second.output_tokens,
        cached=first.cached_tokens + second.cached_tokens,
        written=first.cache_write_tokens + second.cache_write_tokens,
    )

    assert rates.cost(both) == rates.cost(first) + rates.cost(second)


@given(rising_prices(), usages(), st.integers(0, 1_000_000))
def test_reasoning_is_never_paid_twice(price: Price, tokens: Usage, reasoning: int) -> None:
    rates = Rates.of(price)
    thoughtful = usage(
        tokens.input_tokens,
        tokens.output_tokens,
        cached=tokens.cached_tokens,
        written=tokens.cache_write_tokens,
        reasoning=reasoning,
    )

    assert rates.cost(thoughtful) == rates.cost(tokens)


@given(st.integers(-(10**27), 10**27))
def test_dollars_lose_no_picodollar(picodollars: int) -> None:
    assert int(usd(picodollars).scaleb(12)) == picodollars


@pytest.mark.parametrize("amount", [0, 1, 10**12, 10**21 + 1])
def test_an_amount_in_usd_is_counted_as_the_picodollars_that_it_was(amount: int) -> None:
    assert picodollars(usd(amount)) == amount


@pytest.mark.parametrize("cached", [0, 40, 100])
@pytest.mark.parametrize("written", [0, 60])
def test_no_part_of_the_input_that_is_cached_costs_more_than_the_bound(cached: int, written: int) -> None:
    dear_cache = Price(input=Decimal(2), output=Decimal(8), cached=Decimal(3), cache_write=Decimal("2.5"))
    for price in (FREE_CACHE, dear_cache):
        rates = Rates.of(price)
        used = Usage(
            input_tokens=100,
            cached_tokens=cached,
            cache_write_tokens=min(written, 100 - cached),
            output_tokens=20,
        )
        assert rates.cost(used) <= rates.most(100, 20)
