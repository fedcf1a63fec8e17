"""What is known of models by their names, and how a job's own words change it."""

from pathlib import Path
from typing import Any

import pytest

from batchroute.job.adaptations import Adaptation
from batchroute.job.families import FAMILIES, known
from batchroute.job.presets import PresetName
from tests.job.files import loaded, refused, text

NEW = {"max_tokens": "max_completion_tokens"}
OLD = {"max_completion_tokens": "max_tokens"}


@pytest.mark.parametrize(
    ("preset", "model", "rename", "dropped"),
    [
        ("openai", "o1", NEW, True),
        ("openai", "o3", NEW, True),
        ("openai", "o4-mini", NEW, True),
        ("openai", "o4-mini-2025-04-16", NEW, True),
        ("azure", "gpt-5-nano", NEW, True),
        ("openai", "gpt-5-mini-2025-08-07", NEW, True),
        ("openai", "gpt-5.4-mini", NEW, False),
        ("openai", "gpt-5-chat-latest", None, False),
        ("openai", "gpt-4.1", None, False),
        ("openai", "gpt-50", None, False),
        ("openai", "my-o3", None, False),
        ("openrouter", "openai/gpt-5", None, False),
        (None, "gpt-5", None, False),
        ("mistral", "mistral-large-latest", OLD, False),
        ("ollama", "qwen3:8b", OLD, False),
        ("vllm", "o3", None, False),
    ],
)
def test_a_family_is_known_by_provider_and_name(
    preset: PresetName | None, model: str, rename: dict[str, str] | None, dropped: bool
) -> None:
    found = known(preset, model)
    assert (found and found.rename) == rename
    assert (found is not None and "temperature" in found.drop) is dropped


def test_reasoning_models_of_xai_take_no_penalties() -> None:
    found = known("xai", "grok-4")
    assert found is not None
    assert {"presence_penalty", "stop", "reasoning_effort"} <= set(found.drop)


def test_every_family_changes_something() -> None:
    assert all(family.adaptation.changes for family in FAMILIES)


def declared(**fields: Any) -> Adaptation:
    return Adaptation.model_validate(fields)


FAMILY = declared(rename=NEW, drop=["temperature", "top_p"])


@pytest.mark.parametrize(
    ("own", "result"),
    [
        ({}, FAMILY),
        ({"drop": []}, declared(rename=NEW)),
        ({"rename": {}}, declared(drop=["temperature", "top_p"])),
        ({"drop": ["max_tokens"]}, declared(drop=["max_tokens"])),
        ({"rename": {"top_p": "p"}}, declared(rename={"top_p": "p"}, drop=["temperature"])),
        ({"suffix": "!"}, declared(rename=NEW, drop=["temperature", "top_p"], suffix="!")),
    ],
)
def test_a_jobs_own_declaration_wins_member_by_member(own: dict[str, Any], result: Adaptation) -> None:
    assert declared(**own).over(FAMILY) == result


def models(entry: str) -> str:
    return f"providers: {{here: {{preset: openai, api_key: EMPTY}}}}\nmodels: {{mini: {{provider: here, {entry}}}}}\n"


def test_a_job_is_told_what_is_known_and_can_turn_it_off(tmp_path: Path) -> None:
    known_of, off = (
        loaded(tmp_path, models(entry)).adaptation("mini")
        for entry in ("model: o3", "model: o3, adapt: {rename: {}, drop: []}")
    )
    assert known_of is not None
    assert known_of.told().startswith("max_tokens is sent as max_completion_tokens; without temperature, ")
    assert off is None


def test_what_a_model_differs_in_is_part_of_the_jobs_fingerprint(tmp_path: Path) -> None:
    entries = ("model: gpt-4.1", "model: gpt-4.1, adapt: {}", "model: gpt-4.1, adapt: {drop: [seed]}")
    plain, empty, other = (loaded(tmp_path, models(entry)).fingerprint() for entry in entries)
    assert plain == empty != other


@pytest.mark.parametrize(
    ("adapt", "told"),
    [
        ("rename: {a: a}", "gives a its own name"),
        ("rename: {a: c, b: c}", "names 'c' twice"),
        ("rename: {a: model}", "must not hold model"),
        ("rename: {stream: b}", "must not hold stream"),
        ("rename: {size: max_tokens}", "makes size a limit of the output"),
        ("rename: {a: b}, drop: [a]", "both renames and drops a"),
        ("drop: [a, a]", "names 'a' twice"),
        ("drop: [messages]", "must not hold messages"),
        ("extra: {n: 2}", "must not hold n"),
        ("extra: {max_tokens: 0}", "has a max_tokens that is no limit"),
        ("extra: {max_tokens: true}", "has a max_tokens that is no limit"),
        ("extra: {max_tokens: 99999999}", "has a max_tokens that is no limit"),
        ("prefix: ''", "must not be empty"),
        ("renames: {a: b}", "did you mean rename"),
        ("system_role: nope", "system_role"),
    ],
)
def test_what_cannot_be_meant_is_refused_with_its_place(tmp_path: Path, adapt: str, told: str) -> None:
    [line] = refused(tmp_path, text(models(f"adapt: {{{adapt}}}")))
    assert line.startswith("job.yaml:2:")
    assert told in line
