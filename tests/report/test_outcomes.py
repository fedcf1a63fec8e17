from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from batchroute.core.money import Rates
from batchroute.io.tables import ledger_frame
from batchroute.report.costs import by, savings
from batchroute.report.observations import observed
from batchroute.report.outcomes import REFUSED
from batchroute.report.replays import answers, past
from batchroute.report.reports import report
from batchroute.report.routes import routes_table
from batchroute.routing.verdicts import Action
from tests.builders import attempt
from tests.report.books import CHEAP, failed, usage, write_output

TOKENS: dict[str, Any] = {"usage": usage(2, 1), "cost": 6_000_000, **CHEAP}
POOR: dict[str, Any] = {"outcome": "error", "error_type": "check_min_chars", **TOKENS}
ATTEMPTS = [
    attempt("accepted", **TOKENS),
    attempt("kept", verdict="escalate", **POOR),
    attempt("kept", attempt=2, model="b", verdict="kept_best", **POOR),
    attempt("dead", verdict="escalate", **POOR),
    attempt("dead", attempt=2, model="b", verdict="dead_letter", **POOR),
    attempt("resorted", model="b", verdict="last_resort", **POOR),
    failed("down", **CHEAP),
]
RATES = Rates(input=1_000_000, output=4_000_000, cached=100_000, cache_write=1_250_000)


def test_every_sum_has_the_same_answers_and_the_same_savings(tmp_path: Path) -> None:
    """A run counted answers that were kept as the best ones, a report of it and a what-if did not."""
    ledger = ledger_frame(ATTEMPTS).lazy()
    routes = routes_table(ledger, RATES)
    told = report([write_output(tmp_path, ATTEMPTS, [])])

    assert routes["records"].sum() == told.totals["records"] == past(ledger).records == 2
    assert by(ledger).collect()["records"].to_list() == [2]
    assert answers(ledger)["model"].to_list() == ["a", "b"]
    assert observed(tmp_path, {}).output_tokens == {"a": 1.0, "b": 1.0}
    assert told.flows.filter(outcome="answered")["records"].sum() == 2
    assert routes["baseline_cost_usd"].sum() == told.totals["baseline_cost_usd"] == Decimal("0.000012")
    assert savings(ledger, "a", keys=[]).collect()["saving_usd"].to_list() == [routes["saving_usd"].sum()]


def test_every_sum_has_the_same_refused_answers(tmp_path: Path) -> None:
    """Those were counted that another model was asked after, and the last ones of a route left out."""
    ledger = ledger_frame(ATTEMPTS).lazy()
    routes = routes_table(ledger, RATES)

    assert routes["refused"].sum() == by(ledger).collect()["refused"].item() == 5
    assert routes["escalation_cost_usd"].sum() == 5 * Decimal("0.000006")
    assert report([write_output(tmp_path, ATTEMPTS, [])]).totals["refused_share"] == 5 / 7


@pytest.mark.parametrize("verdict", Action)
def test_an_answer_is_refused_whatever_followed(verdict: Action) -> None:
    rows = [failed("r", kind, verdict) for kind in ("check_json", "empty_answer", "server_error")]
    ledger = ledger_frame([*rows, attempt("r", verdict=verdict)])

    assert ledger.select(REFUSED.fill_null(value=False)).to_series().to_list() == [True, True, False, False]
