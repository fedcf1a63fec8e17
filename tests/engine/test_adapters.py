"""Models of one route that take a request in different forms: what each is sent, and what that may cost."""

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from batchroute.core.errors import JobError
from batchroute.core.responses import ErrorType
from batchroute.engine.pipeline import Options
from batchroute.engine.previews import preview
from batchroute.engine.runs import run
from tests.builders import job, model, records, write_records
from tests.cli.receivers import Received, Reply, completion, receiving
from tests.engine.runs import Ran, run_virtually
from tests.fakes import Sent, always, answer, failure

RENAMED = {"rename": {"max_tokens": "max_completion_tokens"}, "drop": ["temperature"]}
PROMPT = {"system": "be brief", "user": "{{ text }}", "params": {"max_tokens": 16, "temperature": 0}}
SCRIPTS = {"a": always(failure(ErrorType.SERVER_ERROR, sent=True)), "b": always(answer())}


def ran(folder: Path, count: int = 1, **fields: Any) -> Ran:
    write_records(folder / "in.jsonl", records(count))
    return run_virtually(folder, **{"scripts": SCRIPTS, "prompt": PROMPT, **fields})


def models(a: dict[str, Any], b: dict[str, Any]) -> dict[str, Any]:
    return {"a": model("a", adapt=a), "b": model("b", adapt=b)}


def bodies(ran: Ran) -> dict[str, Any]:
    return {sent.model: json.loads(sent.request.body(sent.model)) for sent in ran.provider.log}


def test_each_model_of_a_route_is_sent_its_own_form(tmp_path: Path) -> None:
    done = ran(tmp_path, models=models(RENAMED, {"system_role": False, "suffix": " /no_think"}))

    sent = bodies(done)
    assert sent["a"] == {
        "model": "a",
        "messages": [{"role": "system", "content": "be brief"}, {"role": "user", "content": "question 0"}],
        "max_completion_tokens": 16,
    }
    assert sent["b"] == {
        "model": "b",
        "messages": [{"role": "user", "content": "be brief\n\nquestion 0 /no_think"}],
        "max_tokens": 16,
        "temperature": 0,
    }


def test_more_room_is_asked_for_in_the_models_form(tmp_path: Path) -> None:
    def cut_off(sent: Sent) -> tuple[float, Any]:
        return 0.1, answer() if sent.number > 1 else failure(ErrorType.OUTPUT_TRUNCATED, sent=True)

    done = ran(tmp_path, scripts={"a": cut_off, "b": SCRIPTS["b"]}, models=models(RENAMED, {}))

    limits = [json.loads(sent.request.body("a"))["max_completion_tokens"] for sent in done.provider.log]
    assert limits == [16, 32]


def bound_of(folder: Path, **adapt: Any) -> Any:
    folder.mkdir()
    lost = {"a": always(failure(ErrorType.CONNECTION_LOST, sent=True)), "b": always(answer())}
    done = ran(folder, scripts=lost, models=models(adapt, {}), budget={"usd": 1})
    rows = done.ledger.filter(pl.col("model") == "a").sort("attempt")
    assert set(rows["cost_basis"]) == {"upper_bound"}
    return rows["cost_usd"][0]


def test_the_upper_bound_is_that_of_what_is_sent(tmp_path: Path) -> None:
    plain = bound_of(tmp_path / "plain")
    longer = bound_of(tmp_path / "longer", suffix="x" * 1000)
    roomier = bound_of(tmp_path / "roomier", drop=["max_tokens"], extra={"max_completion_tokens": 1016})

    assert float(longer - plain) == pytest.approx(1000 * 1e-6)  # a dollar a million input tokens, one a byte
    assert float(roomier - plain) == pytest.approx(1000 * 2e-6, rel=0.02)


def test_a_budget_needs_a_limit_that_every_model_is_sent(tmp_path: Path) -> None:
    with pytest.raises(JobError, match=r"models\.b\.adapt takes the limit .*\[job_no_output_cap\]"):
        ran(tmp_path, models=models({}, {"drop": ["max_tokens"]}), budget={"usd": 1})


def test_a_budget_may_rest_on_limits_of_the_models(tmp_path: Path) -> None:
    each = {"extra": {"max_tokens": 8}}
    done = ran(tmp_path, prompt={"user": "{{ text }}"}, models=models(each, each), budget={"usd": 1})
    assert done.ended.exit_code == 0


@pytest.mark.parametrize(
    ("adapt", "stale"),
    [({"drop": ["top_p"]}, 0), ({"drop": ["temperature"]}, 3), ({"prefix": "> "}, 3)],
)
def test_answers_are_stale_where_a_model_would_be_sent_something_else(
    tmp_path: Path, adapt: dict[str, Any], stale: int
) -> None:
    assert ran(tmp_path, 3).ended.succeeded == 3

    assert ran(tmp_path, 3, models=models({}, adapt)).ended.stale == stale
    refreshed = ran(tmp_path, 3, models=models({}, adapt), options=Options(refresh_changed=True))
    assert (refreshed.ended.succeeded, refreshed.ended.stale) == (stale, 0)


async def test_check_tells_what_is_adapted_and_shows_the_request_as_it_is_sent(tmp_path: Path) -> None:
    write_records(tmp_path / "in.jsonl", records(1))
    seen = await preview(job(tmp_path, prompt=PROMPT, models=models(RENAMED, {})))

    assert seen.adapted == ("a: max_tokens is sent as max_completion_tokens; without temperature",)
    assert seen.request is not None
    assert '"max_completion_tokens":16' in seen.request
    assert "temperature" not in seen.request


@pytest.mark.parametrize("transport", ["wire", "sdk"])
async def test_the_bytes_on_the_wire_are_each_models_own(tmp_path: Path, transport: str) -> None:
    """A real socket: the first model, of a known family, fails; the second one answers. Each has a key of its own."""

    def answered(received: Received) -> Reply:
        return Reply(status=500) if received.model == "o4-mini" else completion()

    write_records(tmp_path / "in.jsonl", records(1))
    with receiving(answered) as one, receiving(answered) as two:
        there = job(
            tmp_path,
            prompt=PROMPT,
            providers={
                "p": {"preset": "openai", "base_url": f"{one.url}/v1", "api_key": "of-one", "transport": transport},
                "q": {"preset": "azure", "base_url": f"{two.url}/v1", "api_key": "of-two", "transport": transport},
            },
            models={
                "a": model("o4-mini"),
                "b": model("own", provider="q", adapt={"system_role": False, "extra": {"top_k": 5}}),
            },
        )  # fmt: skip
        ended = await run(there, conclude=lambda ended: ended)

    assert ended.exit_code == 0
    [first], [second] = one.received, two.received
    assert (first.path, first.headers["authorization"]) == ("/v1/chat/completions", "Bearer of-one")
    assert "api-key" not in first.headers
    assert first.body == (
        b'{"model":"o4-mini","messages":[{"role":"system","content":"be brief"},'
        b'{"role":"user","content":"question 0"}],"max_completion_tokens":16}'
    )
    assert second.headers["api-key"] == "of-two"
    assert "authorization" not in second.headers
    assert second.body == (
        b'{"model":"own","messages":[{"role":"user","content":"be brief\\n\\nquestion 0"}],'
        b'"max_tokens":16,"temperature":0,"top_k":5}'
    )
