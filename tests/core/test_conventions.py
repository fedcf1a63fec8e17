import re
from pathlib import Path
from typing import Any

import pytest

from batchroute.core.attempts import CostBasis
from batchroute.core.conventions import (
    COLUMNS,
    DURATION,
    PROVIDER,
    TOKENS,
    Identity,
    Place,
    Subject,
    metric_attributes,
    span_attributes,
    span_name,
)
from batchroute.core.responses import Usage
from tests.builders import attempt

SUBJECT = Subject(
    job="test",
    places={
        "p": Place(name="groq", address="api.groq.com", port=443),
        "o": Place(name="azure.ai.openai", address="x.openai.azure.com", port=443),
    },
    vectors=False,
)


def told(**fields: Any) -> dict[str, object]:
    return dict(span_attributes(attempt(**fields), SUBJECT))


def test_an_answered_attempt_is_told_by_the_names_of_the_conventions() -> None:
    usage = Usage(input_tokens=10, output_tokens=5, cached_tokens=4, cache_write_tokens=3, reasoning_tokens=2)

    assert told(usage=usage, response_id="chatcmpl-1", flag="repaired", queued_s=0.5) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "groq",
        "gen_ai.request.model": "a",
        "gen_ai.response.model": "a",
        "gen_ai.response.id": "chatcmpl-1",
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 5,
        "gen_ai.usage.cache_read.input_tokens": 4,
        "gen_ai.usage.cache_write.input_tokens": 3,
        "gen_ai.usage.reasoning.output_tokens": 2,
        "http.response.status_code": 200,
        "server.address": "api.groq.com",
        "server.port": 443,
        "batchroute.run_id": "run",
        "batchroute.record_id": "r0",
        "batchroute.attempt": 1,
        "batchroute.purpose": "answer",
        "batchroute.task": "chat",
        "batchroute.complexity": "simple",
        "batchroute.route": "default",
        "batchroute.model": "a",
        "batchroute.provider": "p",
        "batchroute.queued_s": 0.5,
        "batchroute.outcome": "ok",
        "batchroute.verdict": "accept",
        "batchroute.flag": "repaired",
        "batchroute.lane": "online",
        "batchroute.model_state": "closed",
        "batchroute.job": "test",
        "batchroute.cost_usd": 0.00002,
        "batchroute.cost_basis": "usage",
    }


def test_what_is_unknown_is_absent_and_never_nothing() -> None:
    failed = told(
        usage=None,
        cost=None,
        cost_basis=CostBasis.NONE,
        outcome="error",
        error_type="overloaded",
        http_status=529,
        finish_reason=None,
        response_model=None,
        task=None,
    )

    assert failed["error.type"] == "overloaded"
    assert failed["http.response.status_code"] == 529
    assert not [name for name in failed if name.startswith(("gen_ai.usage", "gen_ai.response"))]
    assert "batchroute.cost_usd" not in failed
    assert "batchroute.task" not in failed


@pytest.mark.parametrize(("provider", "tier"), [("o", "flex"), ("p", None)])
def test_only_spans_of_openai_have_attributes_of_openai(provider: str, tier: str | None) -> None:
    assert told(provider=provider, service_tier="flex").get("openai.response.service_tier") == tier


@pytest.mark.parametrize(
    ("vectors", "purpose", "name"),
    [(False, "answer", "chat a"), (True, "answer", "embeddings a"), (True, "classify", "chat a")],
)
def test_a_span_is_called_by_what_was_asked_of_whom(*, vectors: bool, purpose: str, name: str) -> None:
    subject = Subject(job="test", places={}, vectors=vectors)

    assert span_name(attempt(purpose=purpose), subject) == name
    assert metric_attributes(attempt(purpose=purpose), subject)["gen_ai.provider.name"] == "p"


def test_metrics_hold_nothing_that_is_of_one_record() -> None:
    one, other = (
        metric_attributes(attempt(name, response_id=name, attempt=number), SUBJECT)
        for number, name in enumerate(("r0", "r1"), 1)
    )

    assert one == other


def test_attempts_of_a_record_share_a_trace_and_no_two_a_span() -> None:
    attempts = [
        attempt("r0"),
        attempt("r0", attempt=2),
        attempt("r0", attempt=2, purpose="judge"),
        attempt("r1"),
        attempt("r0", run_id="next"),
    ]
    ids = [Identity.of(each) for each in attempts]

    assert len({each.span for each in ids}) == 5
    assert ids[0].trace == ids[1].trace == ids[2].trace
    assert len({each.trace for each in ids}) == 3
    assert Identity.of(attempt("r0")) == ids[0]


def test_readme_has_each_column_and_its_name() -> None:
    readme = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    section = readme.partition("### OpenTelemetry\n")[2].partition("\n## ")[0]
    table = dict(re.findall(r"^\| `(\w+)` \| `([\w.]+)`", section, flags=re.MULTILINE))

    assert {name: attribute for name, attribute in table.items() if name != "provider"} == COLUMNS
    assert table["provider"] == PROVIDER
    assert f"`{DURATION}` and `{TOKENS}`" in section
