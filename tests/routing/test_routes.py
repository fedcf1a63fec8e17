import pytest
from hypothesis import given
from hypothesis import strategies as st

from batchroute.core.records import Labels
from batchroute.routing.routes import Exhausted, Router, RouteRule, Send, Wait, choose, over_tried


def rule(name: str, *, tasks: set[str] | None = None, complexities: set[str] | None = None) -> RouteRule:
    return RouteRule(
        name=name,
        tasks=None if tasks is None else frozenset(tasks),
        complexities=None if complexities is None else frozenset(complexities),
        models=("a",),
    )


def test_the_first_route_that_matches_wins() -> None:
    router = Router([rule("hard", complexities={"hard"}), rule("code", tasks={"code"}), rule("default")])

    assert router.route(Labels("code", "hard", None)).name == "hard"
    assert router.route(Labels("code", "simple", None)).name == "code"
    assert router.route(Labels("chat", "simple", None)).name == "default"
    assert router.route(Labels(None, None, None)).name == "default"


def test_models_are_tried_in_route_order() -> None:
    assert choose("abc", {}, frozenset(), lambda _: 0.0, 1.0) == Send("a")
    assert choose("abc", {"a": 1}, frozenset(), lambda _: 0.0, 1.0) == Send("b")
    assert choose("abc", {"a": 1, "b": 1, "c": 1}, frozenset(), lambda _: 0.0, 1.0) == Send("a")


def test_a_cooling_model_is_left_out_while_another_is_open() -> None:
    opens = {"a": 30.0, "b": 0.0}
    assert choose("ab", {}, frozenset(), opens.get, 1.0) == Send("b")


def test_when_every_model_cools_the_soonest_is_waited_for() -> None:
    opens = {"a": 30.0, "b": 20.0}
    assert choose("ab", {}, frozenset(), opens.get, 1.0) == Wait(20.0)


def test_spent_and_disabled_models_and_those_tried_thrice_are_no_choice() -> None:
    opens = {"a": 0.0, "b": None, "c": 0.0}
    assert choose("abc", {"c": 3}, frozenset("a"), opens.get, 1.0) == Exhausted()


@pytest.mark.parametrize(
    ("tries", "untried", "expected"),
    [
        pytest.param({"a": 3}, 1, "", id="two left for one"),
        pytest.param({"a": 3, "b": 1}, 1, "ab", id="one left for one"),
        pytest.param({"a": 2, "b": 1}, 2, "ab", id="two left for two"),
        pytest.param({"a": 3, "b": 2}, 0, "", id="none is left, and nobody to keep it for"),
    ],
)
def test_a_try_is_kept_for_each_model_that_a_record_has_not_come_to(
    tries: dict[str, int], untried: int, expected: str
) -> None:
    assert over_tried(tries, untried) == frozenset(expected)


@given(
    tries=st.dictionaries(st.sampled_from("abc"), st.integers(0, 3)),
    spent=st.frozensets(st.sampled_from("abc")),
    opens=st.fixed_dictionaries({name: st.none() | st.floats(0, 100) for name in "abc"}),
    now=st.floats(0, 100),
)
def test_what_is_sent_to_is_open_and_not_spent(
    tries: dict[str, int], spent: frozenset[str], opens: dict[str, float | None], now: float
) -> None:
    choice = choose("abc", tries, spent, opens.get, now)
    usable = [
        name for name in "abc" if name not in spent and tries.get(name, 0) < 3 and opens[name] is not None
    ]
    match choice:
        case Send(name):
            at = opens[name]
            assert name in usable
            assert at is not None
            assert at <= now
        case Wait(until):
            assert until > now
            assert until == min(at for name in usable if (at := opens[name]) is not None)
        case Exhausted():
            assert not usable
