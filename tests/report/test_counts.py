"""A ledger counted up in stretches beside the same one counted up as a whole, table by table."""

import itertools
import random
from collections.abc import Sequence
from typing import Any

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from batchroute.core.attempts import Attempt, CostBasis
from batchroute.io.tables import ledger_frame
from batchroute.report.counts import KEYS, Counts, beats, count, latencies, sums
from batchroute.report.reports import report
from batchroute.report.scans import STRETCH, ledger_stretches
from tests.builders import attempt
from tests.report.books import CHEAP, MIDNIGHT, UNPRICED, failed, usage, write_output

ERRORS = ("server_error", "rate_limited", "bad_request", "timeout")


def random_attempt(number: int, dice: random.Random) -> Attempt:
    """Of a few names, about two midnights, of latencies of any size; one in four failed."""
    fields: dict[str, Any] = {
        "route": dice.choice(("default", "hard")),
        "model": dice.choice(("a", "b", "ab")),
        "provider": dice.choice(("p", "pa")),
        "task": dice.choice(("chat", "code", None)),
        "run_id": dice.choice(("one", "two")),
        "purpose": dice.choice(("answer", "judge")),
        "started_at": MIDNIGHT + dice.uniform(-100_000, 100_000),
    }
    if not dice.randrange(4):
        return failed(f"r{number}", dice.choice(ERRORS), **fields)
    used = usage(dice.randrange(1_000), dice.randrange(100), cached_tokens=dice.randrange(500))
    paid: dict[str, Any] = {"cost": dice.randrange(10**12), **CHEAP} if dice.randrange(3) else UNPRICED
    latency = dice.choice((dice.lognormvariate(-1, 2), 0.0, None))
    return attempt(f"r{number}", usage=used, latency_s=latency, **paid, **fields)


def unsent(number: int) -> Attempt:
    return attempt(f"u{number}", attempt=0, usage=None, cost=0, cost_basis=CostBasis.SHARED)


def in_stretches(attempts: Sequence[Attempt], dice: random.Random) -> Counts:
    cuts = sorted({0, len(attempts), *(dice.randrange(len(attempts)) for _ in range(3))})
    return count([
        ledger_frame(attempts[first:end]).lazy() for first, end in itertools.pairwise(cuts)
    ])  # fmt: skip


@pytest.mark.parametrize("seed", range(6))
def test_stretches_add_up_to_the_whole(seed: int) -> None:
    dice = random.Random(seed)
    attempts = [random_attempt(number, dice) for number in range(400)]
    whole = ledger_frame(attempts).lazy()

    shared = [unsent(number) for number in range(20 * (seed % 2))]
    found = in_stretches(dice.sample([*attempts, *shared], len(attempts) + len(shared)), dice)

    for table, expected in (
        (found.sums, sums(whole, KEYS)),
        (found.latencies, latencies(whole, ("route", "model", "provider"))),
        (found.beats, beats(whole, found.beat_s)),
    ):
        assert_frame_equal(table, expected.collect(), check_row_order=False, check_column_order=False)
    assert found.shared.lines == found.shared.repeated == len(shared)


def test_nothing_is_counted_up_to_nothing() -> None:
    found = count([pl.LazyFrame(schema=ledger_frame([]).schema)])

    assert found.sums.is_empty()
    assert found.latencies.is_empty()
    assert found.beats.is_empty()


def test_latencies_of_a_whole_ledger_are_told_apart_by_all_three_names() -> None:
    """Names that change places, or of which one begins as the other, are others."""
    names = [("a", "b", "c"), ("b", "a", "c"), ("c", "b", "a"), ("ab", "", "c"), ("a", "bc", "")]
    places = [dict(zip(("route", "model", "provider"), each, strict=True)) for each in names]
    found = count([ledger_frame([attempt("r", latency_s=1.0, **place) for place in places]).lazy()]).latencies

    assert set(found.iter_rows()) == {(*each, 1.0, 1) for each in names}


def test_a_ledger_of_more_parts_than_a_stretch_is_counted_whole(tmp_path: Any) -> None:
    attempts = [attempt("r", run_id=f"run{number:03}") for number in range(STRETCH + 3)]
    output = write_output(tmp_path, attempts)

    assert [part.collect().height for part in ledger_stretches(output)] == [STRETCH, 3]
    assert report([output]).totals["attempts"] == STRETCH + 3
