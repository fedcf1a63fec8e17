"""Requirements D2 to D4, D7, D8, D14, A7, A77: models that fail, and what they cost the others."""

import bisect
from pathlib import Path
from random import Random

import polars as pl
import pytest

from batchroute.core.responses import ErrorType, Outcome
from batchroute.engine.pipeline import Options
from tests.fakes import Script, Sent, answer
from tests.laws.worlds import OUR_WORDS, OUT, REFUSED, STAYS_WITH_THE_RECORD, number_of
from tests.simulation.scenes import down, during, fine, limited, play, sometimes

HOUR_S = 3600.0


def test_d2_a_model_that_is_down_costs_little_and_then_a_probe_now_and_then(tmp_path: Path) -> None:
    scene = play(tmp_path, {"a": during(0.0, 600.0, down(), fine())}, count=300)

    scene.assert_all_answered()
    opened = scene.first_seen("a", "open")
    assert scene.sent("a", 0.0, opened) <= 1.1 * (5 + 10)
    assert scene.most_within("a", 5.0, opened, 600.0) <= 1


def test_d2_of_a_model_that_often_fails_at_most_a_tenth_is_tried_again(tmp_path: Path) -> None:
    shaky = sometimes(0.35, down(ErrorType.CONNECTION_LOST), fine())
    scene = play(
        tmp_path, {"a": shaky, "b": fine(5.0)}, count=3000, slots=20
    )  # b is too slow to do without a

    scene.assert_all_answered()
    attempts = scene.ran.ledger.filter(model="a")
    firsts = attempts["record_id"].n_unique()
    assert firsts > 1000
    assert attempts.height <= 1.1 * firsts


def test_d2_a_total_outage_of_one_model_costs_each_record_at_most_a_tenth_of_a_request(
    tmp_path: Path,
) -> None:
    scene = play(tmp_path, {"a": down(ErrorType.CONNECT_REFUSED), "b": fine()}, count=1500)

    scene.assert_all_answered()
    assert scene.sent("a") + scene.sent("b") <= 1.1 * 1500


@pytest.mark.parametrize(
    "kind", [ErrorType.SERVER_ERROR, ErrorType.CONNECT_REFUSED, ErrorType.ATTEMPT_TIMEOUT]
)
def test_d3_a_dead_model_gets_five_and_what_is_in_flight_and_then_probes(
    tmp_path: Path, kind: ErrorType
) -> None:
    scene = play(tmp_path, {"a": down(kind), "b": fine()}, count=1000)

    scene.assert_all_answered()
    opened = scene.first_seen("a", "open")
    assert scene.sent("a", 0.0, opened) <= 5 + 10
    assert scene.most_within("a", 25.0, opened) <= 1


def test_d3_a_model_has_its_share_again_within_a_minute_of_its_recovery(tmp_path: Path) -> None:
    scene = play(tmp_path, {"a": during(10.0, 30.0, down(), fine()), "b": fine()}, count=2200)

    scene.assert_all_answered()
    after = 30.0 + 60.0
    assert scene.ran.ended.duration_s > after + 10.0
    in_a, in_b = scene.sent("a", after, after + 10.0), scene.sent("b", after, after + 10.0)
    assert in_a >= 0.9 * (in_a + in_b)


def test_d3_one_error_in_five_ejects_no_model_in_an_hour(tmp_path: Path) -> None:
    scene = play(tmp_path, {"a": sometimes(0.2, down(after_s=6.0), fine(10.0))}, count=3200)

    assert scene.ran.ended.duration_s >= HOUR_S
    assert scene.states("a") == {"closed"}


def test_d4_an_hour_of_rate_limits_loses_no_record_and_costs_few_requests(tmp_path: Path) -> None:
    outage = during(0.0, HOUR_S, limited(), fine())
    scene = play(tmp_path, {"a": outage, "b": outage}, count=300, options=Options(max_wait_s=2 * HOUR_S))

    scene.assert_all_answered()
    for name in "ab":
        assert scene.sent(name, 60.0, HOUR_S) <= (HOUR_S - 60.0) / 5.0


def test_d4_an_hour_of_server_errors_everywhere_loses_no_record(tmp_path: Path) -> None:
    outage = during(5.0, HOUR_S, down(), fine())
    scene = play(tmp_path, {"a": outage, "b": outage}, count=500, options=Options(max_wait_s=2 * HOUR_S))

    scene.assert_all_answered()
    for name in "ab":
        assert scene.most_within(name, 5.0, 10.0, HOUR_S) <= 1


def test_d7_a_failover_target_is_never_given_twice_as_much_within_a_round_trip(tmp_path: Path) -> None:
    round_trip_s = 0.3
    dying = during(9.0, float("inf"), down(ErrorType.CONNECTION_LOST, 0.01), fine(1.0))
    scene = play(tmp_path, {"a": dying, "b": fine(round_trip_s, 0.0)}, count=6000, slots=500)

    scene.assert_all_answered()
    assert scene.ran.provider.most_in_flight["a"] == 500
    assert scene.ran.provider.most_in_flight["b"] >= 400
    starts = scene.times["b"]
    ends = sorted(at for name, at in scene.ran.provider.ended if name == "b")

    def out(at: float) -> int:
        return bisect.bisect_right(starts, at) - bisect.bisect_right(ends, at)

    for at in starts:
        assert out(at) <= max(4, 2 * out(at - round_trip_s))


def test_d8_one_dead_one_shaky_and_one_healthy_model_answer_everybody_once(tmp_path: Path) -> None:
    shaky = sometimes(0.3, down(), fine())
    scene = play(tmp_path, {"a": down(), "b": shaky, "c": fine()}, count=2000)

    scene.assert_all_answered()
    ran = scene.ran
    assert ran.results["record_id"].n_unique() == ran.results.height == 2000
    assert ran.ledger.filter(verdict="accept").height == 2000
    one = 10 + 2 * 5  # dollars per million of the scripted answer's tokens
    cost = float(ran.ledger["cost_usd"].sum())
    assert cost == pytest.approx(2000 * one / 10**6, rel=0.01)


REQUEST_FAULTS = [
    *sorted(STAYS_WITH_THE_RECORD),
    ErrorType.CONTEXT_EXCEEDED,
    ErrorType.CONTENT_BLOCKED,
    ErrorType.EMPTY_ANSWER,
]


@pytest.mark.parametrize("kind", REQUEST_FAULTS)
def test_d14_a_thousand_requests_that_are_at_fault_eject_nobody(tmp_path: Path, kind: ErrorType) -> None:
    def first_fine(sent: Sent) -> tuple[float, Outcome]:
        return (0.0, answer()) if sent.number == 1 else down(kind)(sent)

    scene = play(tmp_path, {"a": first_fine, "b": first_fine}, count=1000)

    assert scene.ran.ended.failed >= 998
    assert scene.states("a") | scene.states("b") == {"closed"}


POISON = frozenset(Random(5).sample(range(2900), 300))


def poisoned(otherwise: Script) -> Script:
    """The model fails of some records, and answers all others."""

    def script(sent: Sent) -> tuple[float, Outcome]:
        return down()(sent) if number_of(sent.request) in POISON else otherwise(sent)

    return script


def test_a77_d14_poison_records_die_and_eject_no_model_that_answers_others(tmp_path: Path) -> None:
    scene = play(tmp_path, {"a": poisoned(fine()), "b": poisoned(fine())}, count=3000)

    assert (scene.ran.ended.succeeded, scene.ran.ended.failed) == (2700, 300)
    assert scene.states("a") == {"closed"}  # b gets nobody else, and nothing tells it from one that is down
    dead = scene.ran.results.filter(status="failed")
    assert (
        dead.filter(error_type="poison_record").height >= 280
    )  # the first ones died before others were answered
    assert {int(name[1:]) for name in dead["record_id"]} == POISON
    assert max(dead["attempts"]) <= 8  # five are counted, and not those of a probe
    others = scene.ran.results.filter(status="succeeded")
    assert others["attempts"].to_list() == [1] * 2700


UNREACHED = [
    ErrorType.CONNECT_REFUSED,
    ErrorType.DNS_FAILURE,
    ErrorType.CONNECT_TIMEOUT,
    ErrorType.NETWORK_UNREACHABLE,
]


@pytest.mark.parametrize("kind", UNREACHED)
def test_a7_when_nobody_can_be_reached_all_wait_and_nobody_is_ejected(
    tmp_path: Path, kind: ErrorType
) -> None:
    scripts = {name: during(10.0, 130.0, down(kind, 0.01), fine()) for name in ("a", "qb")}
    scene = play(tmp_path, scripts, count=500)

    scene.assert_all_answered()
    assert scene.ran.ended.duration_s < 130.0 + 60.0
    for name in scripts:
        assert scene.states(name, 11.0) <= {"closed", "paused"}
        assert scene.sent(name, 15.0, 130.0) <= 2 * 115.0 / 5.0


def test_d10_an_unknown_error_is_tried_once_more_then_passed_on_and_counted(tmp_path: Path) -> None:
    odd = sometimes(0.2, down(ErrorType.UNCLASSIFIED), fine())
    scene = play(tmp_path, {"a": odd, "b": fine()}, count=500)

    scene.assert_all_answered()
    unknown = scene.ran.ledger.filter(error_type="unclassified")
    assert unknown.height > 50
    assert set(unknown.filter(attempt=1)["verdict"]) == {"retry", "failover"}  # the budget for retries ends
    assert set(unknown.filter(attempt=2)["verdict"]) == {"failover"}
    assert scene.ran.ended.errors["unclassified"] == unknown.height


def test_d11_records_that_failed_together_come_back_apart(tmp_path: Path) -> None:
    """Full jitter: what fails at once is tried again at any time of the whole backoff."""
    lost = down(ErrorType.CONNECTION_LOST)
    scene = play(tmp_path, {"a": lambda sent: lost(sent) if sent.number <= 4 else fine()(sent)}, count=4)

    scene.assert_all_answered()
    again = scene.times["a"][4:]
    assert all(0.05 <= at <= 0.05 + 0.5 + 1e-6 for at in again)
    assert len(set(again)) == 4


def test_a_sorted_input_takes_hardly_longer_than_the_busiest_pool(tmp_path: Path) -> None:
    """All of one task first: the other one's pool does not wait for it."""
    count = 1600
    kinds = "".join(
        f'{{"id": "r{number}", "text": "question {number}", "kind": "{kind}"}}\n'
        for number, kind in enumerate(["first"] * (count // 2) + ["second"] * (count // 2))
    )
    (tmp_path / "in.jsonl").write_text(kinds, encoding="utf-8")
    routes = {"first": {"when": {"task": "first"}, "models": ["a"]}, "default": {"models": ["b"]}}
    scene = play(
        tmp_path,
        {"a": fine(1.0), "b": fine(1.0)},
        routes=routes,
        classify=[{"column": "kind"}],
    )

    scene.assert_all_answered()
    assert scene.ran.ended.duration_s <= 1.15 * (count // 2) / (10 / 1.0)


LASTING = frozenset({*REFUSED, *OUT, *OUR_WORDS})
"""Refusals of a record, and what takes a model out for good."""


def test_a_storm_of_an_hour_loses_no_record(tmp_path: Path) -> None:
    """One attempt in five meets with a fault of any kind that passes: one record in 3,000 with nothing else."""
    passing = [kind for kind in ErrorType if kind not in LASTING]
    random = Random(3)

    def stormy(sent: Sent) -> tuple[float, Outcome]:
        if random.random() < 0.2:
            return down(random.choice(passing), random.uniform(0.0, 20.0))(sent)
        return random.uniform(2.0, 30.0), answer()

    scene = play(tmp_path, {"a": stormy, "b": stormy, "qc": stormy}, count=1000, slots=4)

    assert scene.ran.ended.duration_s >= HOUR_S
    assert scene.ran.ended.pending == 0
    results = scene.ran.results
    assert results["record_id"].n_unique() == results.height == 1000
    dead = results.filter(status="failed")
    assert dead.height <= 2
    assert dead.filter(pl.col("attempts") < 5).is_empty()
    assert scene.ran.ledger.height == len(scene.ran.provider.log)
    rows = scene.ran.ledger.filter(pl.col("outcome") == "error")
    assert set(rows["error_type"]) == set(passing)


def test_a_model_that_slows_down_as_a_whole_is_given_the_time(tmp_path: Path) -> None:
    """From half a second to twenty: the timeout that adapted to the first is not held against the model for long."""
    scene = play(
        tmp_path, {"a": lambda sent: fine(0.5 if sent.number < 500 else 20.0, 0.1)(sent)}, count=1000
    )

    scene.assert_all_answered()
    assert scene.ran.ended.duration_s <= 25.0 + 1.2 * 500 * 20.0 / 10
