"""The laws that hold for what a run has written, whatever happened to it."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from batchroute.core.money import Rates
from batchroute.core.responses import Usage
from batchroute.report.routes import routes_table
from tests.laws.legs import Leg
from tests.laws.worlds import World, number_of, picodollars

UNKNOWN = ("unknown_outcome", "cancelled_by_run")


def assert_conserved(world: World, leg: Leg, *, whole: bool) -> None:
    """Every place of the input has one result; at most one while some are pending."""
    found = leg.results["record_id"].to_list()
    assert len(found) == len(set(found))
    assert set(found) <= world.record_ids()
    if whole:
        assert set(found) == world.record_ids()


def assert_ended_adds_up(world: World, leg: Leg) -> None:
    """How the run ended says what the files say."""
    ended = leg.ended
    assert ended is not None
    assert ended.total == ended.succeeded + ended.failed + ended.degraded + ended.skipped + ended.pending
    assert leg.manifest is not None
    assert leg.manifest.last_run is not None
    state = leg.manifest.last_run.state
    assert state == "finished" or ended.exit_code not in {0, 3}
    assert state == "stopped" or (ended.pending, ended.total) == (0, world.count)
    assert sum(part.rows for part in leg.manifest.results) == leg.results.height
    assert sum(part.rows for part in leg.manifest.ledger) == leg.ledger.height
    if state == "finished":
        counts = Counter(leg.results["status"].to_list())
        assert {state: n for state, n in leg.manifest.counts.items() if n} == dict(counts)


def assert_bounds_kept(world: World, leg: Leg) -> None:
    """Requests in flight stay within the slots, admitted records within the window, starts within the rate."""
    for name, model in world.models.items():
        assert leg.provider.most_in_flight[name] <= model.concurrency
        if model.rpm is not None:
            times = [sent.at for sent in leg.provider.sent_to(name)]
            assert _most_within(times, 60.0) <= model.rpm + 2
    heads = {route[0] for route in world.routes}
    shares = sum(2 * world.models[name].concurrency + 64 for name in heads)
    assert all(seen.in_motion <= (world.window or shares) for _, seen in leg.seen)
    assert not leg.complaints


def _most_within(times: list[float], span: float) -> int:
    return max((sum(start <= at < start + span for at in times) for start in times), default=0)


def assert_attempts_numbered(leg: Leg) -> None:
    """The attempts of a record are numbered from 1, without gaps."""
    numbers = leg.ledger.group_by("record_id").agg(pl.col("attempt").sort(), pl.len())
    for record_id, attempts, count in numbers.iter_rows():
        assert attempts == list(range(1, count + 1)), record_id


def assert_ledger_closed(legs: Sequence[Leg]) -> None:
    """Every request of these runs has its row, and every row without a request is unknown."""
    ledger = legs[-1].ledger
    assert_attempts_numbered(legs[-1])
    sent = Counter((f"r{number_of(one.request)}", one.model) for leg in legs for one in leg.provider.log)
    rows = Counter(ledger.select("record_id", "model").iter_rows())
    unknown = Counter(
        ledger.filter(pl.col("error_type").is_in(UNKNOWN)).select("record_id", "model").iter_rows()
    )
    assert not sent - rows, "requests without a row"
    assert not (rows - sent) - unknown, "rows without a request"


def assert_totals_agree(leg: Leg) -> None:
    """A result's totals are those of its attempts; an unknown cost among them makes an unknown cost."""
    verdict = pl.col("verdict")
    sums = leg.ledger.group_by("record_id").agg(
        attempts=pl.len().cast(pl.Int32),
        failovers=(verdict == "failover").sum().cast(pl.Int32),
        escalations=(verdict == "escalate").sum().cast(pl.Int32),
        input_tokens=pl.col("input_tokens").sum(),
        output_tokens=pl.col("output_tokens").sum(),
        cost_usd=pl.when(pl.col("cost_usd").null_count() == 0).then(pl.col("cost_usd").sum()),
    )
    told = leg.results.filter(pl.col("attempts") > 0).select(sums.columns).sort("record_id")
    kept = sums.join(told.select("record_id"), on="record_id", how="semi").sort("record_id")
    assert told.rows() == kept.rows()
    untold = leg.results.filter(pl.col("attempts") == 0)
    assert untold.join(sums, on="record_id", how="semi").is_empty()


def assert_money_agrees(leg: Leg) -> None:
    """The ledger, its sum by routes, and each cost computed anew are the same to the picodollar."""
    table = routes_table(leg.ledger.lazy(), None)
    assert (table["cost_usd"].sum() or 0) == (leg.ledger["cost_usd"].sum() or 0)
    assert table["attempts"].sum() == leg.ledger.height
    for row in leg.ledger.iter_rows(named=True):
        cost = picodollars(row["cost_usd"])
        if row["cost_basis"] == "none":
            assert cost == 0
        elif row["price_input"] is None:
            assert cost is None
        elif row["cost_basis"] == "usage":
            rates = Rates(
                input=int(row["price_input"] * 10**6),
                output=int(row["price_output"] * 10**6),
                cached=int(row["price_cached"] * 10**6),
                cache_write=int(row["price_cache_write"] * 10**6),
            )
            usage = Usage(
                input_tokens=row["input_tokens"],
                output_tokens=row["output_tokens"],
                cached_tokens=row["cached_tokens"],
                cache_write_tokens=row["cache_write_tokens"],
            )
            assert cost == rates.cost(usage)
        else:
            assert row["cost_basis"] == "upper_bound"
            assert cost is not None
            assert cost > 0


def assert_run_cost_told(leg: Leg) -> None:
    """What a run says that it cost is what its rows of the ledger cost."""
    assert leg.ended is not None
    own = leg.ledger.filter(pl.col("run_id") == leg.ended.run_id)
    assert leg.ended.cost == sum(picodollars(cost) or 0 for cost in own["cost_usd"])


def assert_order_kept(world: World, leg: Leg) -> None:
    """Nothing follows an accepted answer, every attempt is on a model of the record's route, none in a cooldown."""
    accepted = leg.ledger.filter(pl.col("verdict") == "accept").select("record_id", end="attempt")
    later = leg.ledger.join(accepted, on="record_id").filter(pl.col("attempt") > pl.col("end"))
    assert later.is_empty()
    for sent in leg.provider.log:
        assert sent.model in world.route_of(number_of(sent.request))
    for at, seen in leg.seen:
        for pool in seen.pools:
            if pool.state in {"open", "paused"}:
                opens_at = at + pool.paused_s - 1e-6
                assert not [sent.at for sent in leg.provider.sent_to(pool.model) if at < sent.at < opens_at]


def answers(leg: Leg) -> set[tuple[str, str, str | None]]:
    """What each record ended with, whatever it took."""
    return set(leg.results.select("record_id", "status", "response").iter_rows())


def parts_of(folder: Path) -> dict[str, bytes]:
    """The dataset's files and what is in them."""
    files = [*folder.glob("out/results/*"), *folder.glob("out/ledger/*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
