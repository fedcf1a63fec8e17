"""How fast requests may start where one at a time is still too fast."""

import pytest

from batchroute.routing.tempos import STEP_ANSWERS, Tempo


class Server:
    """Takes a request when its bucket of one holds it, and is asked one request after another."""

    def __init__(self, per_s: float, latency_s: float) -> None:
        self.per_s, self.latency_s = per_s, latency_s
        self.now = self.level_at = 0.0
        self.level = 1.0
        self.tempo = Tempo(0.0)
        self.answered = self.refused = 0

    def ask(self, times: int) -> None:
        for _ in range(times):
            self.now = max(self.now, self.tempo.opens_at())
            self.tempo.start(self.now)
            self.level = min(1.0, self.level + (self.now - self.level_at) * self.per_s)
            self.level_at = self.now
            if self.level >= 1.0:
                self.level -= 1.0
                self.now += self.latency_s
                self.answered += 1
                self.tempo.answered(self.now)
            else:
                self.now += 0.5  # a pause
                self.refused += 1
                self.tempo.refused(self.now, bearable=True)


def test_nothing_is_held_back_before_a_refusal() -> None:
    tempo = Tempo(0.0)
    for second in range(100):
        tempo.start(second)
        tempo.answered(second)

    assert tempo.opens_at() == 0.0


@pytest.mark.parametrize("latency_s", [0.01, 0.3])
def test_it_finds_what_the_provider_takes_and_stays_just_below(latency_s: float) -> None:
    server = Server(per_s=1.0, latency_s=latency_s)
    server.ask(400)
    refused, began = server.refused, server.now
    server.ask(1000)

    assert server.refused - refused <= 0.015 * 1000
    assert 1000 / (server.now - began) >= 0.75


def test_a_limit_that_was_lifted_is_left_behind() -> None:
    server = Server(per_s=1.0, latency_s=0.01)
    server.ask(200)
    server.per_s = 1000.0
    server.ask(20 * STEP_ANSWERS)
    began = server.now
    server.ask(100)

    assert 100 / (server.now - began) >= 10.0


def test_it_does_not_grow_while_it_is_not_used() -> None:
    tempo = Tempo(0.0)
    for second in range(30):
        tempo.answered(second)
    tempo.refused(30.0, bearable=True)
    before = tempo.per_s
    for second in range(500):
        tempo.answered(30.0 + 10.0 * second)

    assert tempo.per_s == before


def test_refusals_that_half_the_speed_gets_as_well_are_not_for_the_speed() -> None:
    tempo, now = Tempo(0.0), 0.0
    helped = [True]
    while helped[-1] and now < 10_000:
        for _ in range(25):  # one in twenty-six, whatever the speed
            now += 1 / (tempo.per_s or 10.0)
            tempo.answered(now)
        helped.append(tempo.refused(now, bearable=True))

    assert not helped[-1]
    assert tempo.per_s is None
