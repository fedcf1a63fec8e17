"""A provider of a job file as a live thing."""

from base64 import b64encode
from collections.abc import Callable
from urllib.parse import quote

import pytest

from batchroute.core.errors import JobError
from batchroute.core.responses import Response
from batchroute.job import jobs
from batchroute.providers.connect import connect
from batchroute.providers.provider import Provider
from tests.providers.builders import KEY, ask, failed
from tests.providers.fault_server import error, ok, serving


def spec(**fields: object) -> jobs.Provider:
    return jobs.Provider.model_validate({"base_url": "http://127.0.0.1:9/v1", "api_key": KEY, **fields})


@pytest.mark.parametrize("transport", ["wire", "sdk"])
async def test_declared_provider_answers(transport: str) -> None:
    async with serving() as server:
        declared = spec(base_url=server.url, transport=transport, headers={"x-team": "research"})
        provider = connect(declared, name="p", connections=2)
        outcome = await ask(provider)
        await provider.close()

    (seen,) = server.seen
    assert isinstance(outcome, Response), outcome
    assert (seen.headers["authorization"], seen.headers["x-team"]) == (f"Bearer {KEY}", "research")


async def test_it_is_a_provider() -> None:
    provider: Provider = connect(spec(), name="p", connections=2)

    assert repr(provider) == "HttpProvider('p', 'http://127.0.0.1:9/v1')"
    await provider.close()


async def test_base_url_given_stands_in_for_the_declared_one() -> None:
    async with serving() as server:
        provider = connect(spec(), name="p", connections=2, base_url=server.url)
        outcome = await ask(provider)
        await provider.close()

    assert isinstance(outcome, Response), outcome
    assert len(server.seen) == 1


async def test_failure_names_no_secret_of_the_account() -> None:
    told = error(401, "invalid_api_key", f"Bad {KEY} for {KEY[:8]}****, token tok-header-secret")
    async with serving((told,)) as server:
        declared = spec(base_url=server.url, headers={"x-token": "tok-header-secret"})
        provider = connect(declared, name="p", connections=2)
        failure = failed(await ask(provider))
        await provider.close()

    assert "secret" not in failure.message
    assert failure.message.startswith("HTTP 401: Bad [redacted] for [redacted]")
    assert "secret" not in repr(provider)


@pytest.mark.parametrize("key", ["team-pass", "p4ssw0rd", "correcthorsebatterystaple"])
@pytest.mark.parametrize("form", [str, quote, lambda key: b64encode(key.encode()).decode()])
async def test_names_of_an_answer_repeat_no_key_and_its_text_keeps_words(
    key: str, form: Callable[[str], str]
) -> None:
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": f"say {key}"}}
    told = ok(choices=[choice], id=f"id-{form(key)}", model=f"m-{form(key)}", service_tier=form(key))
    async with serving((told,)) as server:
        provider = connect(spec(base_url=server.url, api_key=key), name="p", connections=2)
        answered = await ask(provider)
        await provider.close()

    assert isinstance(answered, Response), answered
    names = (answered.response_id, answered.response_model, answered.service_tier)
    assert not any(key in str(name) or form(key).rstrip("=") in str(name) for name in names)
    assert answered.content == f"say {key}"


def test_ca_file_that_is_missing_is_an_error_of_the_job() -> None:
    with pytest.raises(JobError, match=r"providers\.lab\.ca_file"):
        connect(spec(ca_file="/nowhere/ca.pem"), name="lab", connections=1)
