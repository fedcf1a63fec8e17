"""Real runs, really killed: SIGKILL at random moments, against a provider that counts every request."""

import os
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.crashes.billing import billing_provider
from tests.crashes.histories import History, assert_balanced
from tests.crashes.readers import Seen, read_all_the_while

TIMES = int(os.environ.get("KILLS", "1"))
EARLIEST_S, SPAN_S = 0.1, 0.45
"""When a kill may come, if not while requests are sent: as the run starts, recovers, or begins to send."""
WHILE_SENDING = 0.7

pytestmark = pytest.mark.timeout(120 * TIMES)


@pytest.mark.parametrize(
    ("slots", "kills", "count", "latency_s"),
    [(1, 12, 300, 0.002), (32, 24, 2_000, 0.01), (500, 14, 4_000, 0.05)],
)
def test_a_run_killed_at_random_moments_loses_nothing_and_pays_only_for_what_was_in_flight_again(
    tmp_path: Path, slots: int, kills: int, count: int, latency_s: float
) -> None:
    cut_off = balanced(tmp_path, kills, latency_s, count, slots, {"models": ["m"]})
    assert cut_off > kills // 4


@pytest.mark.parametrize(
    "route",
    [
        pytest.param({"models": (("east", "west"), "backup")}, id="group"),
        pytest.param({"models": ("east", "west"), "strategy": "fastest"}, id="fastest"),
        pytest.param({"models": ("east", "west"), "strategy": "cheapest", "max_cost": 0.01}, id="cheapest"),
    ],
)
def test_a_route_that_chooses_is_gone_on_with_as_well(tmp_path: Path, route: dict[str, Any]) -> None:
    """What was chosen is nowhere committed: a record that was cut off chooses anew, and none is stale for it."""
    assert balanced(tmp_path, 6, 0.01, 1_000, 24, route) > 0


def balanced(
    folder: Path, kills: int, latency_s: float, count: int, slots: int, route: dict[str, Any]
) -> int:
    """Histories with so many kills in all, each of them balanced; how many requests were cut off by one."""
    chance = Random(slots)
    left, cut_off = kills * TIMES, 0
    with billing_provider(latency_s) as provider:
        while left > 0:
            history = History(folder / f"{left}", provider, count, slots, route)
            with read_all_the_while(history.output, history.folder / "reader said") as seen:
                while not history.finished and len(history.kills) < left:
                    if chance.random() < WHILE_SENDING:
                        history.run(killed_after_requests=chance.randint(1, count // 4))
                    else:
                        history.run(killed_after_s=EARLIEST_S + SPAN_S * chance.random())
                left -= len(history.kills)
                if not history.finished:
                    history.run()
            assert history.finished
            cut_off += assert_balanced(history)
            assert_never_misread(seen[0])
    return cut_off


def assert_never_misread(seen: Seen) -> None:
    """A reader saw no broken part and no record twice, and what it had seen once did not go away."""
    assert seen.complaints == []
    assert seen.looks > 0
