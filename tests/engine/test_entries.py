from decimal import Decimal

from batchroute.core.attempts import CostBasis
from batchroute.core.money import Price, Rates, Threshold
from batchroute.engine.entries import blank_attempt, ended
from batchroute.engine.pools import PoolSpec
from batchroute.routing.verdicts import Action
from tests.fakes import answer

DEARER = Price(input=Decimal(2), output=Decimal(8), cached=Decimal("0.5"))
RATES = Rates.of(
    Price(input=Decimal(1), output=Decimal(4), above=(Threshold(input_tokens=200_000, price=DEARER),))
)
SPEC = PoolSpec(
    model="m", provider="p", request_model="m", concurrency=1, rpm=None, tpm=None, timeout_s=60.0, rates=RATES
)  # fmt: skip


def test_prices_of_a_row_are_those_that_its_cost_is_computed_from() -> None:
    for tokens, each in ((200_000, 1_000_000), (200_001, 2_000_000)):
        blank = blank_attempt("run", "default", SPEC)
        row = ended(blank, answer(input_tokens=tokens, output_tokens=10), Action.ACCEPT, 0.5, RATES)

        assert row.price_input == each
        assert row.price_output is not None
        assert row.cost == tokens * each + 10 * row.price_output
        assert row.cost_basis is CostBasis.USAGE
    assert row.price_cached == 500_000
