"""`${NAME}`: where it is replaced, what it cannot do, and what is never repeated."""

from pathlib import Path

import pytest

from tests.job.files import ENVIRON, loaded, refused, text


def provider(entry: str) -> str:
    return f"providers: {{here: {{base_url: https://a/v1, {entry}}}}}\n"


def test_variables_are_replaced_inside_text(tmp_path: Path) -> None:
    job = loaded(
        tmp_path,
        'input: {path: "in/${FOLDER}/${FOLDER}.jsonl"}\n'
        + provider('api_key: "${KEY}", headers: {x: "k ${KEY}"}'),
    )

    secret, header = job.providers["here"].api_key, job.providers["here"].headers["x"]
    assert job.input.path == str(tmp_path / "in/spring/spring.jsonl")
    assert secret is not None
    assert (secret.get_secret_value(), header.get_secret_value()) == ("sentinel-1", "k sentinel-1")
    assert "sentinel" not in repr(job)


def test_value_of_a_variable_is_never_read_as_yaml(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(ENVIRON, "FOLDER", 'a"}\nwindow: 99 # ${KEY}')

    job = loaded(tmp_path, 'prompt: {user: "${FOLDER}"}\n')

    assert job.prompt.user == 'a"}\nwindow: 99 # ${KEY}'
    assert job.window is None


def test_two_dollars_stand_for_literal_text(tmp_path: Path) -> None:
    job = loaded(tmp_path, 'prompt: {user: "echo $${KEY} costs $5 {{ text }} $$"}\n')

    assert job.prompt.user == "echo ${KEY} costs $5 {{ text }} $$"


def test_keys_of_mappings_are_left_alone(tmp_path: Path) -> None:
    job = loaded(tmp_path, 'prompt: {user: a, params: {"${KEY}": 1}}\n')

    assert job.prompt.params == {"${KEY}": 1}


REFUSED = [
    pytest.param("${ABSENT}", "the variable ABSENT is not set. Set it, or write $${ABSENT}", id="B128-unset"),
    pytest.param("${EMPTY}", "the variable EMPTY is empty. Set it", id="B128-empty"),
    pytest.param("${${KEY}}", "has one ${ inside another", id="B130-nested"),
    pytest.param("${KEY", "has ${ without }", id="B130-open"),
    pytest.param("${}", "has ${ without a variable's name", id="B130-nameless"),
    pytest.param("${A B}", "has ${ without a variable's name", id="B130-blank"),
    pytest.param("${KEY:-x}", "has ${ without a variable's name", id="B130-default"),
]


@pytest.mark.parametrize(("written", "reason"), REFUSED)
def test_reference_that_cannot_be_replaced_is_refused_in_its_place(
    tmp_path: Path, written: str, reason: str
) -> None:
    [line] = refused(tmp_path, text(provider(f'api_key: "{written}"')))

    assert line.startswith(f"job.yaml:1:53: providers.here.api_key: {reason}")


def test_broken_key_is_told_by_its_variable_only(tmp_path: Path) -> None:
    [line] = refused(tmp_path, text(provider('api_key: "${BROKEN}"')))

    assert line.startswith("job.yaml:1:53: providers.here.api_key: holds a blank, a line break")
    assert "(got ${BROKEN})" in line
    assert "sentinel" not in line


@pytest.mark.parametrize(
    ("first", "place"),
    [
        ('prompt: {user: "a ${KEY}"}\n', "1:16: prompt.user"),
        ('output: {path: "out/${KEY}"}\n', "1:16: output.path"),
        ('classify: [{patterns: {a: ["${KEY}"]}}]\n', "1:28: classify[0].patterns.a[0]"),
    ],
)
def test_variable_that_holds_a_key_stays_in_its_provider(tmp_path: Path, first: str, place: str) -> None:
    [line] = refused(tmp_path, text(first + provider('api_key: "${KEY}"')))

    assert line.startswith(f"job.yaml:{place}: uses KEY, which holds a key")
    assert "sentinel" not in line


def test_variable_cannot_be_a_number(tmp_path: Path) -> None:
    [line] = refused(tmp_path, text('window: "${FOLDER}"\n'))

    assert line.startswith('job.yaml:1:9: window: must be a whole number (got "${FOLDER}"). Use --set')
