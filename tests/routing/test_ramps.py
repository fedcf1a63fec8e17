"""How many requests a model is sent at once."""

from batchroute.routing.ramps import FIRST_WINDOW, PATIENT_WINDOWS, Ramp


class Server:
    """A ramp in use: as many are out as it allows, and all come back together, round after round."""

    def __init__(self, most: int, capacity: int = 10**9) -> None:
        self.ramp = Ramp(most, now=0.0)
        self.now = 0.0
        self.capacity = capacity
        self.started = 0
        self.refused = 0
        self.limits: list[int] = []

    def round(self) -> None:
        window = self.ramp.limit
        self.limits.append(window)
        first, self.started = self.started, self.started + window
        self.now += 1.0
        for number in range(first, self.started):
            if number - first < self.capacity:
                self.ramp.answered(window)
            else:
                self.refused += 1
                self.ramp.refused(number, self.started, self.now, bearable=True)

    def rounds(self, count: int) -> None:
        for _ in range(count):
            self.round()


def test_it_doubles_from_four_to_what_is_declared() -> None:
    server = Server(most=100)
    server.rounds(7)

    assert server.limits == [4, 8, 16, 32, 64, 100, 100]


def test_less_than_four_may_be_declared() -> None:
    assert Ramp(2, 0.0).limit == 2


def test_it_grows_only_while_it_is_used() -> None:
    ramp = Ramp(100, 0.0)
    for _ in range(1000):
        ramp.answered(FIRST_WINDOW - 1)

    assert ramp.limit == FIRST_WINDOW


def test_a_window_that_drains_without_being_refilled_counts_as_a_whole() -> None:
    # Behind a pacer an answer's slot stays empty for a while: of 64 that came back together only the first one
    # found all slots taken, and each doubling took two round trips.
    ramp = Ramp(100, 0.0)
    for window in (4, 8, 16):
        assert ramp.limit == window
        for out in range(window, 0, -1):
            ramp.answered(out)

    assert ramp.limit == 32


def test_one_full_moment_is_good_for_one_window_only() -> None:
    ramp = Ramp(100, 0.0)
    for _ in range(4):
        ramp.answered(4)
    ramp.answered(8)
    for _ in range(1000):
        ramp.answered(5)

    assert ramp.limit == 16


def test_a_burst_of_refusals_counts_once() -> None:
    ramp = Server(most=100).ramp
    for _ in range(4 + 8 + 16 + 32):
        ramp.answered(100)
    assert ramp.limit == 64
    for number in range(10, 74):
        ramp.refused(number, started=74, now=1.0, bearable=True)

    assert ramp.limit == 57
    ramp.answered(57)
    ramp.refused(74, started=80, now=1.0, bearable=True)
    assert ramp.limit == 51


def test_it_finds_what_a_provider_takes_and_stays_just_below() -> None:
    server = Server(most=1000, capacity=50)
    server.rounds(40)
    before = server.refused
    server.rounds(600)

    asked = sum(server.limits[40:])
    assert (server.refused - before) / asked < 0.01
    assert asked / (600 * 50) > 0.9


def test_a_limit_that_was_of_the_moment_is_left_behind() -> None:
    server = Server(most=400, capacity=50)
    server.rounds(40)
    server.capacity = 10**9
    server.rounds(PATIENT_WINDOWS + 60)

    assert server.ramp.limit == 400


def test_a_provider_that_grew_too_fast_is_given_half_and_time() -> None:
    server = Server(most=400)
    server.rounds(6)
    before = server.ramp.limit
    server.ramp.slow_down(server.started, server.started + 1)
    half = server.ramp.limit
    server.rounds(PATIENT_WINDOWS - 1)

    assert half == before // 2
    assert server.ramp.limit == half


def test_it_begins_anew_with_four_and_doubles_to_what_it_had() -> None:
    server = Server(most=100)
    server.rounds(6)
    server.ramp.restart()
    server.limits.clear()
    server.rounds(6)

    assert server.limits == [4, 8, 16, 32, 64, 100]


def test_one_request_is_always_let_out() -> None:
    ramp = Ramp(100, 0.0)
    for number in range(100):
        ramp.answered(1)
        ramp.refused(number, started=number + 1, now=number, bearable=True)

    assert ramp.limit == 1


def test_what_was_refused_is_approached_by_halves() -> None:
    server = Server(most=1000, capacity=100)
    server.rounds(PATIENT_WINDOWS)

    assert sum(limit > 100 for limit in server.limits) <= 4
    assert 94 <= server.limits[-1] <= 100


def test_refusals_that_half_as_many_requests_get_as_well_are_not_for_their_number() -> None:
    ramp, now, started = Ramp(64, 0.0), 0.0, 0
    helped = [True]
    while helped[-1] and ramp.limit > 1:  # once a round, whatever the number
        now, started = now + 1.0, started + ramp.limit
        for _ in range(ramp.limit):
            ramp.answered(ramp.limit)
        if now > 6:
            helped.append(ramp.refused(started, started, now, bearable=True))
    before = ramp.limit
    for _ in range(2 * before):
        ramp.answered(ramp.limit)

    assert not helped[-1]
    assert all(helped[:-1])
    assert ramp.limit >= 2 * before


def test_where_most_are_refused_half_is_kept_whether_less_helps_or_not() -> None:
    ramp = Ramp(64, 0.0)
    for _ in range(200):
        ramp.answered(ramp.limit)
    limits = [ramp.limit]
    for second in range(1, 8):
        for _ in range(ramp.limit):
            ramp.answered(1)
        assert ramp.refused(1000 * second, 1000 * second, float(second), bearable=False)
        limits.append(ramp.limit)

    assert limits == [64, 32, 16, 8, 4, 2, 1, 1]


def test_a_provider_that_answers_nothing_tells_nothing_of_the_number() -> None:
    server = Server(most=64)
    server.rounds(5)
    for number in range(server.started, server.started + 1000):
        server.ramp.refused(number, number + 1, now=9.0, bearable=True)

    assert server.ramp.limit == 57
