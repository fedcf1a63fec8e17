"""The laws that hold for what a run has written, whatever happened to it."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import polars as pl

from batchroute.core.money import Rates
from batchroute.core.responses import ErrorType, Usage
from batchroute.report.routes import routes_table
from batchroute.routing.verdicts import MAX_TRIES_PER_MODEL, MAX_TRIES_PER_RECORD, POLICIES, counts
from tests.fakes import EPOCH
from tests.laws.legs import Leg
from tests.laws.worlds import (
    MOST_BLOCKS,
    OUR_WORDS,
    OURS,
    STAYS_WITH_THE_RECORD,
    World,
    number_of,
    picodollars,
)

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
    finished = ended.succeeded + ended.failed + ended.degraded
    assert ended.total == finished + ended.skipped + ended.failed_before + ended.pending
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
    """Nothing follows an accepted answer, every attempt is on a model of the record's route, none in a cooldown.

    A cooldown ends early when the fault turns out to be ours.
    """
    accepted = leg.ledger.filter(pl.col("verdict") == "accept").select("record_id", end="attempt")
    later = leg.ledger.join(accepted, on="record_id").filter(pl.col("attempt") > pl.col("end"))
    assert later.is_empty()
    for sent in leg.provider.log:
        assert sent.model in world.route_of(number_of(sent.request))
    ours = leg.ledger.filter(pl.col("error_type").is_in([*OURS, *OUR_WORDS]))
    ends = ours["started_at"].dt.epoch("us") / 1e6 - EPOCH + ours["latency_s"]
    lifts = ends.drop_nulls().to_list()
    times = {name: [sent.at for sent in leg.provider.sent_to(name)] for name in world.models}
    for at, seen in leg.seen:
        for pool in seen.pools:
            if pool.state in {"open", "paused"}:
                lifted = min((end for end in lifts if end > at - 1e-4), default=float("inf"))
                opens_at = min(at + pool.paused_s, lifted if pool.state == "open" else float("inf")) - 1e-4
                assert not [sent for sent in times[pool.model] if at < sent < opens_at]


def assert_attempts_apart(leg: Leg) -> None:
    """A record's next attempt starts after the last one has ended."""
    ends = pl.col("started_at") + pl.duration(seconds=pl.col("latency_s"))
    rows = leg.ledger.sort("record_id", "attempt").with_columns(
        last_ends=ends.shift().over("record_id"), last_run=pl.col("run_id").shift().over("record_id")
    )
    same_run = rows.filter(pl.col("run_id") == pl.col("last_run"))
    assert same_run.filter(
        pl.col("started_at") < pl.col("last_ends") - pl.duration(microseconds=5)
    ).is_empty()


def assert_deaths_have_reasons(world: World, leg: Leg) -> None:
    """A dead letter was refused for good, or failed as often as a record may, of each model that was not out."""
    assert leg.ended is not None
    failed = leg.ledger.filter(run_id=leg.ended.run_id, outcome="error")
    dead = leg.results.filter(status="failed", run_id=leg.ended.run_id).filter(pl.col("model").is_not_null())
    for record_id, route in dead.select("record_id", "route").iter_rows():
        kinds: dict[str, list[ErrorType]] = {}
        seen = Counter[str]()
        mine = failed.filter(record_id=record_id).sort("attempt")
        for model, error_type in mine.select("model", "error_type").iter_rows():
            seen[error_type] += 1
            if counts(ErrorType(error_type), seen[error_type]) or POLICIES[ErrorType(error_type)].checked:
                kinds.setdefault(model, []).append(ErrorType(error_type))
        assert _died_justly(kinds, set(world.routes_by_name()[route]) - set(leg.ended.disabled)), (
            record_id,
            kinds,
        )


def _died_justly(counted: Mapping[str, Sequence[ErrorType]], models: Iterable[str]) -> bool:
    if sum(map(len, counted.values())) >= MAX_TRIES_PER_RECORD:
        return True
    if any(kind in STAYS_WITH_THE_RECORD for failures in counted.values() for kind in failures):
        return True
    if sum(kinds.count(ErrorType.CONTENT_BLOCKED) for kinds in counted.values()) >= MOST_BLOCKS:
        return True
    return all(
        len(counted.get(model, ())) >= MAX_TRIES_PER_MODEL
        or any(
            POLICIES[kind].dead or kind is ErrorType.UNSUPPORTED_PARAMETER  # of a model that took the job's
            for kind in counted.get(model, ())
        )
        for model in models
    )


def assert_answers_checked(world: World, leg: Leg) -> None:
    """No answer that is refused is taken but as the best of those; no text of ours without the word for it."""
    assert leg.results.filter(pl.col("response").str.starts_with("poor"), pl.col("flag").is_null()).is_empty()
    kept = leg.results.filter(flag="kept_best")
    degraded = leg.results.filter(status="degraded")
    assert kept.is_empty() or world.keep_best
    assert degraded.is_empty() or world.last_resort
    assert set(kept["status"]) <= {"succeeded"}
    assert set(degraded.select("response", "flag").iter_rows()) <= {("no answer", "last_resort")}
    refused = leg.ledger.filter(pl.col("error_type").str.starts_with("check_"))
    assert set(refused["verdict"]) <= {"escalate", "kept_best", "last_resort", "dead_letter"}
    again = refused.group_by("run_id", "record_id", "model").len()
    assert again.filter(pl.col("len") > 1).is_empty(), "a model is not asked twice"


def assert_lawful(world: World, leg: Leg) -> None:
    """All laws of one run that was left alone."""
    assert leg.ended is not None
    assert_conserved(world, leg, whole=leg.ended.pending == 0)
    assert_ended_adds_up(world, leg)
    assert_bounds_kept(world, leg)
    assert_ledger_closed([leg])
    assert_totals_agree(leg)
    assert_money_agrees(leg)
    assert_run_cost_told(leg)
    assert_order_kept(world, leg)
    assert_attempts_apart(leg)
    assert_deaths_have_reasons(world, leg)
    assert_answers_checked(world, leg)


def assert_lawful_so_far(world: World, legs: Sequence[Leg]) -> None:
    """A run that was cancelled has written what it could; the next one writes the rest."""
    latest = legs[-1]
    assert_conserved(world, latest, whole=False)
    assert_bounds_kept(world, latest)
    assert_money_agrees(latest)
    assert_order_kept(world, latest)
    assert_attempts_apart(latest)
    if latest.ended is not None:
        assert_ended_adds_up(world, latest)
        assert_ledger_closed(legs)
        assert_totals_agree(latest)
        assert_run_cost_told(latest)
        assert_deaths_have_reasons(world, latest)


def assert_nothing_lost(world: World, resumed: Leg) -> None:
    """The run that goes on from the image ends with books that balance."""
    assert resumed.ended is not None
    assert_conserved(world, resumed, whole=resumed.ended.pending == 0)
    assert_ended_adds_up(world, resumed)
    assert_bounds_kept(world, resumed)
    assert_attempts_numbered(resumed)
    assert_attempts_apart(resumed)
    assert_deaths_have_reasons(world, resumed)
    assert_totals_agree(resumed)
    assert_money_agrees(resumed)
    assert_answers_checked(world, resumed)


def assert_only_what_was_in_flight_is_paid_again(killed: Leg, taken_at: float, resumed: Leg) -> None:
    """What was answered before the kill is not asked again; what was out is entered as unknown, and no more."""
    assert killed.ended is not None
    ends = pl.col("started_at").dt.epoch("us") / 1e6 - EPOCH + pl.col("latency_s")
    answered = killed.ledger.filter(pl.col("verdict") == "accept", run_id=killed.ended.run_id)
    answered = answered.filter(ends < taken_at - 1e-5)
    again = {f"r{number_of(sent.request)}" for sent in resumed.provider.log}
    assert not again & set(answered["record_id"])

    unknown = resumed.ledger.filter(error_type="unknown_outcome", run_id=killed.ended.run_id)
    out = killed.ledger.filter(run_id=killed.ended.run_id).filter(
        pl.col("started_at").dt.epoch("us") / 1e6 - EPOCH <= taken_at + 1e-5, ends >= taken_at - 1e-5
    )
    assert set(unknown.select("record_id", "attempt").iter_rows()) <= set(
        out.select("record_id", "attempt").iter_rows()
    )


def assert_every_request_is_entered(legs: Sequence[Leg], killed: Leg, taken_at: float, resumed: Leg) -> None:
    sent = sum(len(leg.provider.log) for leg in (*legs, resumed))
    sent += sum(sent.at < taken_at for sent in killed.provider.log)
    assert resumed.ledger.height >= sent


def answers(leg: Leg) -> set[tuple[str, str, str | None]]:
    """What each record ended with, whatever it took."""
    return set(leg.results.select("record_id", "status", "response").iter_rows())


def parts_of(folder: Path) -> dict[str, bytes]:
    """The dataset's files and what is in them."""
    files = [*folder.glob("out/results/*"), *folder.glob("out/ledger/*")]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}
