"""The provider's decisions over time, with the time given."""

import json
from typing import Any, ClassVar

import pytest

from batchroute.providers.simulator.replies import Ending, Reply, Simulator
from batchroute.providers.simulator.settings import Settings
from tests.providers.simulator.client import chat, simulation

PATH = "/v1/chat/completions"


def simulator(seed: int = 0, **models: dict[str, Any]) -> Simulator:
    return Simulator(Settings.of(simulation(seed, **models)), now=100.0)


def ask(provider: Simulator, text: str = "hello", now: float = 100.0, **members: Any) -> Reply:
    """Ask model m, and leave its gate at once."""
    reply = provider.reply("POST", PATH, chat("m", text, **members), now)
    if reply.gate is not None:
        reply.gate.leave()
    return reply


@pytest.mark.parametrize(
    ("now", "status"),
    [(100, 200), (109.9, 200), (110, 503), (114.9, 503), (115, 200), (120.5, 503), (122, 200)],
)
def test_an_outage_answers_503_for_its_time(now: float, status: int) -> None:
    provider = simulator(m={"outages": [{"after": "10s", "for": "5s"}, {"after": "20s", "for": "1s"}]})

    assert ask(provider, now=now).status == status


def test_limits_and_outages_do_not_change_later_answers() -> None:
    """A refused request was not seen: its next attempt draws what the first one would have drawn."""
    skill = {"skill": {"default": 0.5}, "latency": {"p50": "80ms", "p95": "1s"}}
    free = simulator(m=skill)
    hindered = simulator(m={**skill, "limits": {"rpm": 60}, "outages": [{"after": "0s", "for": "1s"}]})
    for now in (100.0, 100.5):
        assert ask(hindered, now=now).status == 503

    expected = [ask(free, f"question {number}") for number in range(20)]
    found = []
    for number in range(20):
        now = 102.0 + number
        found.append(ask(hindered, f"question {number}", now))
        assert ask(hindered, f"question {number}", now).status == 429

    assert [json.loads(reply.body)["choices"] for reply in found] == [
        json.loads(reply.body)["choices"] for reply in expected
    ]
    assert [reply.delay_s for reply in found] == [reply.delay_s for reply in expected]


def test_a_429_says_when_to_come_back_and_it_is_true() -> None:
    provider = simulator(m={"limits": {"rpm": 30}})
    assert ask(provider).status == 200

    refused = ask(provider)
    headers = dict(line.split(": ") for line in refused.headers.decode().split("\r\n") if line)

    assert refused.status == 429
    assert json.loads(refused.body)["error"]["code"] == "rate_limit_exceeded"
    assert headers["retry-after"] == "2"
    assert headers["retry-after-ms"] == "2000"
    assert headers["x-ratelimit-limit-requests"] == "30"
    assert headers["x-ratelimit-remaining-requests"] == "0"
    assert headers["x-ratelimit-reset-requests"] == "2s"
    assert ask(provider, now=101.9).status == 429
    assert ask(provider, now=102.0).status == 200


def test_a_request_that_never_fits_has_no_retry_hint() -> None:
    refused = ask(simulator(m={"limits": {"tpm": 20}}), "x" * 1000)

    assert refused.status == 429
    assert b"too large" in refused.body
    assert b"retry-after" not in refused.headers


def test_time_grows_with_the_length_of_the_answer() -> None:
    provider = simulator(m={"tokens_per_s": 10})
    reply = ask(provider, "Tell me about the sea")

    assert reply.delay_s == pytest.approx(json.loads(reply.body)["usage"]["completion_tokens"] / 10)
    assert ask(provider, "Tell me about the sea", max_tokens=5).delay_s == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("kind", "status", "ending"),
    [
        ("rate_limit", 429, Ending.ANSWER),
        ("server_error", 500, Ending.ANSWER),
        ("overloaded", 503, Ending.ANSWER),
        ("timeout", 200, Ending.HANG),
        ("disconnect", 200, Ending.DISCONNECT),
        ("malformed", 200, Ending.ANSWER),
        ("truncated", 200, Ending.ANSWER),
        ("empty", 200, Ending.ANSWER),
        ("refusal", 200, Ending.ANSWER),
        ("invalid", 200, Ending.ANSWER),
    ],
)
def test_errors_come_in_their_share(kind: str, status: int, ending: Ending) -> None:
    provider = simulator(m={"errors": {kind: 0.1}})
    for number in range(2_000):
        ask(provider, f"question {number}")
    counts = provider.health()["models"]["m"]  # type: ignore[index]  # plain JSON

    always = ask(simulator(m={"errors": {kind: 1}}))

    assert counts[kind] == pytest.approx(200, abs=45)  # three and a half standard deviations
    assert counts["answered"] == 2_000 - counts[kind]
    assert (always.status, always.ending) == (status, ending)


def test_an_error_is_not_for_ever() -> None:
    """The next attempt of the same request draws anew."""
    provider = simulator(m={"errors": {"server_error": 0.5}})

    assert {ask(provider).status for _ in range(30)} == {200, 500}


@pytest.mark.parametrize(
    ("kind", "content", "finish_reason", "refusal"),
    [("truncated", True, "length", False), ("empty", False, "stop", False), ("refusal", False, "stop", True)],
)
def test_odd_answers_look_as_providers_send_them(
    kind: str, content: bool, finish_reason: str, refusal: bool
) -> None:
    body = json.loads(ask(simulator(m={"errors": {kind: 1}})).body)
    (choice,) = body["choices"]

    assert bool(choice["message"]["content"]) is content
    assert bool(choice["message"]["refusal"]) is refusal
    assert choice["finish_reason"] == finish_reason
    assert body["usage"]["completion_tokens"] > 0


def cached(reply: Reply) -> int:
    usage: dict[str, Any] = json.loads(reply.body)["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    tokens: int = usage["prompt_tokens_details"]["cached_tokens"]
    return tokens


MANUAL = "What to do about pumps. " * 250
"""6,000 bytes: 1,500 tokens to the simulator."""


class TestPromptCache:
    CACHING: ClassVar = {"prompt_cache": "5m", "latency": {"p50": "2s", "p95": "2s"}}

    def test_beginning_is_known_again_once_it_was_answered_and_for_its_time(self) -> None:
        provider = simulator(m=self.CACHING)

        assert cached(ask(provider, MANUAL + "One?", now=100.0)) == 0
        assert cached(ask(provider, MANUAL + "Two?", now=101.0)) == 0
        assert cached(ask(provider, MANUAL + "Three?", now=103.0)) == 1408, "in steps of 128"
        assert cached(ask(provider, MANUAL + "Four?", now=400.0)) == 1408, "each use makes it last"
        assert cached(ask(provider, MANUAL + "Five?", now=703.0)) == 0

    def test_only_what_is_alike_and_long_is_cached(self) -> None:
        provider = simulator(m=self.CACHING)
        for text in ("Short?", MANUAL, MANUAL[:4500] + "Otherwise. " * 300):
            ask(provider, text, now=100.0)

        assert cached(ask(provider, "Short?", now=110.0)) == 0
        assert cached(ask(provider, MANUAL[:4200] + "!" * 3000, now=110.0)) == 1024
        assert cached(ask(provider, "A" + MANUAL, now=110.0)) == 0

    def test_model_without_it_knows_nothing_again(self) -> None:
        provider = simulator(m={})

        assert [cached(ask(provider, MANUAL, now=100.0 + number)) for number in range(3)] == [0, 0, 0]
