"""What a run tells of its job, and what becomes of it where nothing can be exported."""

from pathlib import Path
from typing import Any

import pytest

from batchroute.core.conventions import Place
from batchroute.engine.telling import subject_of, telling
from tests.builders import job


@pytest.mark.parametrize(
    ("provider", "place"),
    [
        (
            {"preset": "gemini"},
            Place(name="gcp.gemini", address="generativelanguage.googleapis.com", port=443),
        ),
        ({"preset": "groq"}, Place(name="groq", address="api.groq.com", port=443)),
        (
            {"base_url": "https://api.mistral.ai/v1"},
            Place(name="mistral_ai", address="api.mistral.ai", port=443),
        ),
        (
            {"preset": "azure", "base_url": "https://x.openai.azure.com/openai/v1"},
            Place(name="azure.ai.openai", address="x.openai.azure.com", port=443),
        ),
        ({"preset": "ollama"}, Place(name="ollama", address="localhost", port=11434)),
        ({"base_url": "http://10.0.0.5/v1/secret-path"}, Place(name="p", address="10.0.0.5", port=80)),
        ({"kind": "simulator"}, Place(name="p")),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_provider_is_called_as_the_conventions_call_it(
    tmp_path: Path, provider: dict[str, Any], place: Place
) -> None:
    known = {"api_key": "a-key-of-nobody"} if provider.get("kind") != "simulator" else {}

    found = subject_of(job(tmp_path, providers={"p": {**known, **provider}}))

    assert found.places == {"p": place}
    assert (found.job, found.vectors) == ("test", False)


async def test_a_job_that_nobody_asks_about_tells_nothing(tmp_path: Path) -> None:
    async with telling(job(tmp_path), wanted=False) as told:
        assert told.of is None


async def test_an_sdk_that_is_switched_off_is_not_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")

    async with telling(job(tmp_path), wanted=True) as told:
        assert told.of is None
