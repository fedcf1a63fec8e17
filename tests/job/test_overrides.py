"""`--set key.path=value`."""

from pathlib import Path

import pytest

from tests.job.files import loaded, refused, text

CLASSIFY = "classify: [{column: task}]\n"


def test_override_replaces_and_adds_values(tmp_path: Path) -> None:
    job = loaded(
        tmp_path,
        CLASSIFY,
        "models.mini.limits.rpm=500",
        "models.mini.timeout=2m",
        "models.mini.model='1.10'",
        "prompt.params.stop=[a, b]",
        "classify[0].column=label",
        "job=nightly",
        "window=",
    )

    mini = job.models["mini"]
    assert (mini.limits.rpm, mini.timeout, mini.model) == (500, 120.0, "1.10")
    assert job.prompt.params == {"stop": ["a", "b"]}
    assert job.classify[0].model_dump()["column"] == "label"
    assert (job.job, job.window) == ("nightly", None)


def test_last_override_of_a_key_wins(tmp_path: Path) -> None:
    assert loaded(tmp_path, "", "window=20", "window=30").window == 30


def test_override_finds_names_with_dots(tmp_path: Path) -> None:
    first = "models: {gpt-4.1: {provider: here}}\nroutes: {default: {models: [gpt-4.1]}}\n"

    assert loaded(tmp_path, first, "models.gpt-4.1.limits.rpm=7").models["gpt-4.1"].limits.rpm == 7


def test_override_may_declare_a_whole_model(tmp_path: Path) -> None:
    job = loaded(tmp_path, "", "models.maxi={provider: here}", "routes.default.models=[maxi, mini]")

    assert list(job.models) == ["mini", "maxi"]


def test_override_reads_the_environment(tmp_path: Path) -> None:
    secret = loaded(tmp_path, "", "providers.here.api_key=${KEY}").providers["here"].api_key

    assert secret is not None
    assert secret.get_secret_value() == "sentinel-1"


def test_override_mends_a_bad_value_of_the_file(tmp_path: Path) -> None:
    assert loaded(tmp_path, "window: 3\n", "window=20").window == 20


REFUSED = [
    pytest.param(
        "models.mini.limits.rmp=5", "models.mini.limits.rmp: unknown key, did you mean rpm?", id="B115-typo"
    ),
    pytest.param("models.mini.rpm=5", "models.mini.rpm: unknown key. Write it in limits.", id="B115-level"),
    pytest.param("modls.mini=5", "modls.mini: modls: unknown key, did you mean models?", id="B115-section"),
    pytest.param(
        "models.mimi.limits.rpm=5",
        "models.mimi.limits.rpm: no model is named mimi, did you mean mini?",
        id="B115-name",
    ),
    pytest.param(
        "models.zzzz.limits.rpm=5",
        "models.zzzz.limits.rpm: no model is named zzzz. Use one of: mini.",
        id="B115-name-far",
    ),
    pytest.param(
        "models.mini.limits.rpm=-5",
        "models.mini.limits.rpm: must be greater than 0 (got -5). Write a positive number or leave it out.",
        id="B115-range",
    ),
    pytest.param(
        'window="20"', 'window: must be a whole number (got "20"). Write 20 without quotes.', id="B115-type"
    ),
    pytest.param("window=0x20", "window: is not a decimal number (got 0x20)", id="B115-form"),
    pytest.param("window=[1", "window: is not YAML", id="B115-yaml"),
    pytest.param("window", "window: has no value. Write --set key.path=value.", id="B115-no-value"),
    pytest.param("=5", "=5: has no value", id="B115-no-key"),
    pytest.param("job.name=5", "job.name: a plain value has no key name", id="B115-below-text"),
    pytest.param(
        "classify[3].column=a", "classify[3].column: the list has no element 3. It has 1", id="B115-index"
    ),
    pytest.param("classify.x=a", "classify.x: the list has no element x", id="B115-not-an-index"),
    pytest.param("prompt.user={{ text }}", "prompt.user: has a key that is not text", id="B115-template"),
    pytest.param(
        "models.maxi={provider: her}",
        "models.maxi: models.maxi.provider: no provider is named her",
        id="B115-below",
    ),
    pytest.param("prompt.user=${ABSENT}", "prompt.user: the variable ABSENT is not set", id="B115-unset"),
]


@pytest.mark.parametrize(("option", "message"), REFUSED)
def test_refused_override_names_the_option(tmp_path: Path, option: str, message: str) -> None:
    [line] = refused(tmp_path, text(CLASSIFY), option)

    assert line.startswith(f"--set {message}")


def test_key_in_an_override_is_refused_and_not_repeated(tmp_path: Path) -> None:
    key = "sk-proj-0123456789abcdefghij"

    [line] = refused(tmp_path, text(), f"providers.here.api_key={key}")

    assert line.startswith("--set providers.here.api_key: shows a key to every user of this machine")
    assert key not in line


def test_problems_of_overrides_come_after_those_of_the_file(tmp_path: Path) -> None:
    lines = refused(tmp_path, text("window: 3\n"), "jb=a", "baseline=nano")

    assert [line.split(": ")[0] for line in lines] == ["job.yaml:1:9", "--set baseline", "--set jb"]
