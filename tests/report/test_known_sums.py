"""Sums that can be checked by hand, and a shipped job whose report says what its plan had said."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.money import Price, Rates
from batchroute.io.tables import ledger_frame
from batchroute.report.costs import Baseline, by, savings
from batchroute.report.routes import routes_table
from tests.builders import attempt
from tests.cli.processes import batchroute
from tests.report.books import usage

ROOT = Path(__file__).parents[2]


def price(paid: str, produced: str) -> Price:
    return Price(input=Decimal(paid), output=Decimal(produced))


def answers(count: int, paid: int, produced: int, at: Price) -> pl.LazyFrame:
    """A ledger of so many answers of one size."""
    rates, used = Rates.of(at), usage(paid, produced)
    priced: dict[str, Any] = {f"price_{name}": getattr(rates, name) for name in ("input", "output", "cached")}
    one = ledger_frame([
        attempt(usage=used, cost=rates.cost(used), price_cache_write=rates.cache_write, **priced)
    ])  # fmt: skip
    return pl.concat([one] * count).lazy()


@pytest.mark.parametrize(
    ("count", "paid", "produced", "at", "dollars"),
    [
        pytest.param(10_000, 500, 200, ("5", "25"), "75", id="a day of messages"),
        pytest.param(10_000, 500, 200, ("2.50", "15"), "42.50", id="the same, cheaper"),
        pytest.param(5_000, 1_000, 1_000, ("2.50", "10"), "62.50", id="five millions and five millions"),
        pytest.param(100_000, 1_000, 375, ("2.50", "10"), "625", id="documents"),
        pytest.param(100_000, 1_000, 375, ("0.075", "0.30"), "18.75", id="the same, 97 % cheaper"),
    ],
)
def test_known_sums(count: int, paid: int, produced: int, at: tuple[str, str], dollars: str) -> None:
    ledger = answers(count, paid, produced, price(*at))

    (row,) = by(ledger, "model").collect().iter_rows(named=True)
    assert (row["records"], row["cost_usd"]) == (count, Decimal(dollars))
    assert (row["input_tokens"], row["output_tokens"]) == (count * paid, count * produced)
    assert routes_table(ledger, None)["cost_usd"].item() == Decimal(dollars)


def test_documents_cost_97_percent_less_at_a_price_that_is_97_percent_lower() -> None:
    ledger, dear = answers(100_000, 1_000, 375, price("0.075", "0.30")), price("2.50", "10")

    of_report = savings(ledger, Baseline(model="dear", price=dear, origin="from the ledger")).collect()
    of_routes = routes_table(ledger, Rates.of(dear))

    for table in (of_report, of_routes):
        paid, baseline, saved = table.select("cost_usd", "baseline_cost_usd", "saving_usd").row(0)
        assert (paid, baseline, saved) == (Decimal("18.75"), Decimal(625), Decimal("606.25"))
        assert saved / baseline == Decimal("0.97")


def told(*words: str | Path) -> dict[str, Any]:
    ran = batchroute(*words)
    assert ran.returncode == 0, ran.stderr
    found: dict[str, Any] = json.loads(ran.stdout, parse_float=Decimal)
    return found


def test_what_a_job_saves_is_what_its_plan_has_said(tmp_path: Path) -> None:
    """80 % of the mails go to a cheap model, 15 % to a middle one, 5 % to the dearest: README, "What it saves"."""
    job, here = ROOT / "jobs/savings.yaml", ("--set", f"output.path={tmp_path / 'out'}")
    told("run", job, *here, "--limit", "400", "--json")

    planned = told("plan", job, *here, "--limit", "1000", "--json")
    ran = told("run", job, *here, "--limit", "1000", "--json")
    reported = told("report", tmp_path / "out", "--baseline", "premium", "--format", "json")

    expected = {line["route"]: line["forecast"]["cost_usd"]["expected"] for line in planned["routes"]}
    alone = {each["model"]: each["forecast"]["cost_usd"]["expected"] for each in planned["alternatives"]}
    # 500 and 200 tokens each: 480 x (37.50 + 60), 90 x (1,250 + 3,000), 30 x (2,500 + 5,000), in millionths
    assert expected == {
        "default": Decimal("0.0468"),
        "complaint": Decimal("0.3825"),
        "contract": Decimal("0.225"),
    }
    assert {line["route"]: line["cost_usd"] for line in ran["routes"]} == expected
    assert ran["cost_usd"] == planned["total"]["cost_usd"]["expected"] == Decimal("0.6543")
    assert alone == {"cheap": Decimal("0.0585"), "middle": Decimal("2.55"), "premium": Decimal("4.5")}
    saved = alone["premium"] - planned["total"]["cost_usd"]["expected"]
    assert ran["baseline_cost_usd"] - ran["cost_usd"] == saved
    # the report is of both runs, which were alike: 400 records and 600
    assert reported["totals"]["saving_usd"] == saved * 1000 / 600
    assert sum(line["saving_usd"] for line in reported["routes"]) == reported["totals"]["saving_usd"]


def test_the_mails_are_split_as_it_is_said() -> None:
    mails = pl.read_parquet(ROOT / "sample_data/mails.parquet")

    assert dict(mails["kind"].value_counts().iter_rows()) == {
        "confirmation": 8_000,
        "complaint": 1_500,
        "contract": 500,
    }
    assert mails["id"].n_unique() == mails.height == 10_000
    assert set(mails["number"].str.len_bytes()) == {5}
