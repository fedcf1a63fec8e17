"""Every fault that a provider's answer can hold: one request, and the word, money and decision it deserves."""

import re

import pytest

from batchroute.core.responses import Failure, Response
from batchroute.providers.sdk import Sdk
from batchroute.providers.wire import Wire
from tests.faults import test_connections
from tests.faults.decisions import decision, money, word
from tests.faults.table import ANSWER, CASES, CLOSING, SHORT_S, Case
from tests.providers.builders import KEY, Kind, ask, provider_at
from tests.providers.fault_server import FIN, Drip, Raw, serving

KINDS: dict[str, Kind] = {"wire": Wire, "sdk": Sdk}

ELSEWHERE = {
    7: "that every provider fails at once is seen by the pools",
    77: "that one record fails on models which answer all others is seen by its journey",
    94: "no schema can be declared yet",
    95: "no schema can be declared yet",
    107: "written by the run, not by a provider",
    108: "written by the run, not by a provider",
}
"""Rows that no single attempt can show."""


@pytest.mark.parametrize(
    ("kind", "case"),
    [
        pytest.param(KINDS[name], case, id=f"{title}-{name}")
        for title, case in CASES.items()
        for name in case.over
    ],
)
async def test_a_fault_is_one_request_and_is_known_for_what_it_is(kind: Kind, case: Case) -> None:
    async with serving(case.script) as server, provider_at(kind, server.url) as provider:
        outcome = await provider.send(case.request, "m", timeout_s=case.deadline_s)
        requests = len(server.seen)
        following = await ask(provider)

    assert (word(outcome), money(outcome), outcome.http_status) == (case.word, case.money, case.status)
    assert decision(outcome) == case.decision
    assert requests == 1
    assert isinstance(following, Response), following
    assert following.content == "yes"
    if isinstance(outcome, Failure):
        assert outcome.retry_after_s == case.retry_after_s
        assert case.says in outcome.message
        assert KEY[:8] not in outcome.message
        assert outcome.message.isprintable()


async def test_a54_the_prompt_does_not_follow_a_redirect(kind: Kind) -> None:
    async with serving() as elsewhere:
        moved = Raw(
            b"HTTP/1.1 307 Moved\r\nlocation: %b/chat\r\ncontent-length: 0\r\n\r\n" % elsewhere.url.encode()
        )
        async with serving((moved,)) as server, provider_at(kind, server.url) as provider:
            await ask(provider)

    assert (len(server.seen), elsewhere.connections) == (1, 0)


async def test_a80_reset_times_reach_the_pool_with_the_refusal(kind: Kind) -> None:
    async with serving(CASES["A80 6m0s"].script) as server, provider_at(kind, server.url) as provider:
        told = await ask(provider)

    assert told.rate_limits is not None
    assert told.rate_limits.reset_tokens == 360


async def test_a106_an_answer_in_the_tick_of_the_deadline_counts_once(kind: Kind) -> None:
    late = (Raw(CLOSING), Drip(b"\n", SHORT_S), Raw(ANSWER), FIN)
    async with serving(late) as server, provider_at(kind, server.url) as provider:
        outcome = await ask(provider, SHORT_S)
        following = await ask(provider)

    # Which of the two comes first is chance; that it is one of them, with its money, is not.
    assert (word(outcome), money(outcome)) in {(None, "usage"), ("attempt_timeout", "upper_bound")}
    assert isinstance(following, Response), following
    assert len(server.seen) == 2


def test_every_row_of_the_table_of_faults_is_shown_or_its_absence_explained() -> None:
    shown = {int(number) for title in CASES for number in re.findall(r"^A(\d+)", title)}
    names = [*globals(), *dir(test_connections)]
    shown |= {int(number) for name in names for number in re.findall(r"^test_a(\d+)_", name)}

    assert shown.isdisjoint(ELSEWHERE)
    assert shown | ELSEWHERE.keys() == set(range(1, 109))
