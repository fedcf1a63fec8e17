"""Providers by name: where they are, which variable holds their key, and whom that key never reaches."""

from pathlib import Path
from typing import get_args

import jsonschema
import pytest

from batchroute.job.jobs import Job
from batchroute.job.presets import PRESETS, PresetName, preset_of
from batchroute.job.schema import job_schema
from batchroute.providers.connect import account_of
from tests.job.files import ENVIRON, loaded, refused, text

KEY = "sentinel-of-a-preset"
KEYED: list[PresetName] = [name for name, preset in PRESETS.items() if preset.variable]
AZURE = "https://mine.openai.azure.com/openai/v1"


def providers(entry: str) -> str:
    return f"providers: {{here: {{{entry}}}}}\n"


def url_of(name: PresetName) -> str:
    """Where the preset is asked; Azure has a host for each customer."""
    return PRESETS[name].base_url or AZURE


@pytest.fixture
def environ(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Every preset's variable is set, each to a key of its own."""
    keys = {preset.variable: f"{KEY}-{name}" for name, preset in PRESETS.items() if preset.variable}
    for variable, key in keys.items():
        monkeypatch.setitem(ENVIRON, variable, key)
    return keys


def test_every_preset_is_in_the_table() -> None:
    assert set(PRESETS) == set(get_args(PresetName))


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.usefixtures("environ")
def test_a_preset_alone_is_a_provider(tmp_path: Path, name: PresetName) -> None:
    own = f", base_url: {AZURE}" if PRESETS[name].base_url is None else ""
    job = loaded(tmp_path, providers(f"preset: {name}{own}"))

    account = account_of(job.providers["here"], name="here", connections=1)
    key = f"{KEY}-{name}"
    expected: tuple[str | None, dict[str, str]] = {
        "azure": (None, {"api-key": key}),
        "ollama": (None, {}),
        "vllm": (None, {}),
    }.get(name, (key, {}))
    assert account.base_url == url_of(name)
    assert (account.api_key, dict(account.headers)) == expected
    assert job.warnings == ()
    assert KEY not in repr(job)


@pytest.mark.parametrize("name", KEYED)
def test_a_variable_that_is_not_set_is_named_with_its_place(tmp_path: Path, name: PresetName) -> None:
    entry = f"base_url: '{url_of(name)}', preset: {name}"
    [line] = refused(tmp_path, text(providers(entry)))

    assert line.startswith(f"job.yaml:1:{len('providers: {here: {') + len(entry) - len(name) + 1}: ")
    assert f"takes its key from the variable {PRESETS[name].variable}, which is not set" in line


@pytest.mark.parametrize(
    "given",
    ['api_key: "${KEY}"', "api_key: EMPTY", "api_key_file: key"],
)
def test_a_key_of_the_job_is_taken_and_the_variable_not_looked_at(tmp_path: Path, given: str) -> None:
    (tmp_path / "key").write_text("of-a-file\n")
    (tmp_path / "key").chmod(0o600)
    job = loaded(tmp_path, providers(f"preset: groq, {given}"))

    key = job.providers["here"].key
    assert key is not None
    assert key.get_secret_value() in {"sentinel-1", "EMPTY", "of-a-file"}


@pytest.mark.usefixtures("environ")
def test_headers_of_the_job_win(tmp_path: Path) -> None:
    job = loaded(tmp_path, providers(f'preset: azure, base_url: {AZURE}, headers: {{Api-Key: "${{KEY}}"}}'))

    account = account_of(job.providers["here"], name="here", connections=1)
    assert (account.api_key, dict(account.headers)) == (None, {"api-key": "sentinel-1"})


@pytest.mark.parametrize(("name", "other"), list(zip(KEYED, [*KEYED[1:], KEYED[0]], strict=True)))
@pytest.mark.usefixtures("environ")
def test_a_key_never_goes_to_another_presets_url(tmp_path: Path, name: PresetName, other: PresetName) -> None:
    entry = f"preset: {name}, base_url: '{url_of(other)}'"
    for written in (entry, f"{entry}, api_key: EMPTY"):
        [line] = refused(tmp_path, text(providers(written)))
        assert f"is preset {name} with the base_url of {other}" in line


@pytest.mark.parametrize(
    "url", ["https://api.openai.com.evil.example/v1", "https://gateway.example/api.openai.com/v1", "http://127.0.0.1:8/v1"]
)  # fmt: skip
@pytest.mark.usefixtures("environ")
def test_a_key_goes_elsewhere_only_if_that_is_written(tmp_path: Path, url: str) -> None:
    [line] = refused(tmp_path, text(providers(f"preset: openai, base_url: '{url}'")))
    assert 'If its key is to be sent there, write api_key: "${OPENAI_API_KEY}"' in line

    entry = f"preset: openai, base_url: '{url}', api_key: \"${{OPENAI_API_KEY}}\""
    assert loaded(tmp_path, providers(entry)).providers["here"].base_url == url


@pytest.mark.usefixtures("environ")
def test_the_variable_of_a_preset_is_a_secret_everywhere_else(tmp_path: Path) -> None:
    written = text(providers("preset: openai") + 'prompt: {user: "${OPENAI_API_KEY}"}\n')
    [line] = refused(tmp_path, written)
    assert "prompt.user: uses OPENAI_API_KEY, which holds a key" in line
    assert KEY not in line


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("preset: openia", "openai"),
        ("preset: azure", "needs a base_url beside preset azure"),
        ("preset: azure, api_key: EMPTY, base_url: 'https://mine.openai.azure.com'", "not the v1 API's"),
        ("preset: openai, kind: simulator, api_key: EMPTY", "is a simulator, which has no preset"),
        ("preset: [openai]", "preset"),
    ],
)
def test_what_makes_no_provider_is_refused(tmp_path: Path, entry: str, told: str) -> None:
    lines = refused(tmp_path, text(providers(entry)))
    assert any(told in line for line in lines), lines


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("https://api.openai.com/v1", "openai"),
        ("https://API.openai.com./v1", "openai"),
        ("https://mine.openai.azure.com/openai/v1", "azure"),
        ("https://openai.azure.com.evil.example/openai/v1", None),
        ("http://localhost:8000/v1", None),
        ("https://gateway.example/v1", None),
    ],
)
def test_a_provider_is_known_by_its_url(url: str, name: str | None) -> None:
    assert preset_of(url) == name


def test_presets_are_a_closed_vocabulary_of_the_schema() -> None:
    schema = job_schema()
    provider = schema["$defs"]["Provider"]["properties"]["preset"]
    assert provider["enum"] == list(get_args(PresetName))
    jsonschema.Draft202012Validator(provider).validate("groq")


def test_a_preset_and_its_url_are_the_same_provider(tmp_path: Path) -> None:
    """Nobody has to answer a million records anew because the job is written shorter."""
    jobs: list[Job] = [
        loaded(tmp_path, providers(f"{entry}, api_key: EMPTY"))
        for entry in ("preset: groq", "base_url: 'https://api.groq.com/openai/v1'")
    ]
    assert jobs[0].fingerprint() == jobs[1].fingerprint()
