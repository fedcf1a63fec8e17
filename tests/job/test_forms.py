"""The form of answers: what a job file may say, and what does not fit together."""

import json
from pathlib import Path

import pytest

from tests.job.files import loaded, refused, text

OBJECT = "{type: object, properties: {name: {type: string}}}"


def test_a_schema_is_read_from_the_job_or_from_a_file_beside_it(tmp_path: Path) -> None:
    schema = {"type": "object", "properties": {"name": {"type": "string"}}}
    (tmp_path / "order.json").write_text(json.dumps(schema))

    inline = loaded(tmp_path, f"response: {{schema: {OBJECT}}}\n")
    beside = loaded(tmp_path, "response: {schema: order.json}\n")

    assert inline.response == beside.response
    assert inline.fingerprint() == beside.fingerprint() != loaded(tmp_path).fingerprint()


def test_a_route_wins_over_the_job(tmp_path: Path) -> None:
    routes = (
        "routes: {mood: {when: {task: mood}, models: [mini], response: {labels: [a, b]}}, "
        "default: {models: [mini]}}\n"
    )
    job = loaded(tmp_path, f"response: {{schema: {OBJECT}}}\n{routes}")

    labels, other = job.form("mood"), job.form("default")
    assert labels is not None
    assert labels.labels == ("a", "b")
    assert other == job.response


FORMATS = [
    ("{preset: openai, api_key: x}", "model: gpt-4o-mini", "json_schema"),
    ("{preset: openai, api_key: x}", "model: gpt-5.4-mini", "json_schema"),
    ("{preset: openai, api_key: x}", "model: gpt-4o-2024-05-13", "json_object"),
    ("{preset: openai, api_key: x}", "model: o1-mini", "text"),
    ("{preset: openai, api_key: x}", "model: gpt-4o-mini, json_schema: false", "json_object"),
    ("{preset: openai, api_key: x}", "model: gpt-4o-mini, adapt: {drop: [response_format]}", "text"),
    ("{preset: deepseek, api_key: x}", "model: deepseek-chat", "json_object"),
    ("{preset: deepseek, api_key: x}", "model: deepseek-chat, json_schema: true", "json_schema"),
    ("{base_url: 'http://127.0.0.1:1/v1'}", "model: anything", "text"),
    ("{base_url: 'http://127.0.0.1:1/v1'}", "model: anything, json_schema: true", "json_schema"),
    ("{kind: simulator}", "model: sim-small", "json_schema"),
]


@pytest.mark.parametrize(("provider", "model", "response_format"), FORMATS)
def test_how_a_model_is_asked_for_json_is_declared_or_known(
    tmp_path: Path, provider: str, model: str, response_format: str
) -> None:
    models = f"models: {{mini: {{provider: here, {model}}}}}\nproviders: {{here: {provider}}}\n"

    assert loaded(tmp_path, models).answers_in("mini") == response_format


MISFITS = [
    pytest.param("response: {}", "1:11: response: has none of schema, pydantic and labels", id="none"),
    pytest.param(
        f"response: {{schema: {OBJECT}, labels: [a, b]}}",
        "1:11: response: has schema and labels. Keep exactly one of the three",
        id="two",
    ),
    pytest.param(
        "response: {schema: {type: objekt}}",
        '1:20: response.schema: is no JSON Schema: /type: "objekt" is not valid',
        id="no-schema",
    ),
    pytest.param(
        "response: {schema: {$ref: 'https://example.com/order.json'}}",
        "1:20: response.schema: is no JSON Schema: it: ",
        id="schema-elsewhere",
    ),
    pytest.param(
        "response: {schema: gone.json}",
        "1:20: response.schema: cannot be read (No such file or directory)",
        id="no-file",
    ),
    pytest.param("response: {schema: [a]}", "1:20: response.schema: must be a mapping", id="list"),
    pytest.param("response: {labels: [a]}", "1:20: response.labels: must not be empty", id="one-label"),
    pytest.param(
        "response: {labels: [Yes please, 'yes  please']}",
        "1:20: response.labels: has 'Yes please' and 'yes  please', which read alike",
        id="labels-alike",
    ),
    pytest.param(
        "response: {pydantic: orders}",
        "1:22: response.pydantic: is not the name of a class",
        id="no-class-name",
    ),
    pytest.param(
        "response: {pydantic: 'orders:Order'}",
        "1:22: response.pydantic: finds no file orders.py",
        id="no-module",
    ),
    pytest.param(
        "response: {scheme: {}}", "1:12: response.scheme: unknown key, did you mean schema?", id="typo"
    ),
    pytest.param(
        "response: {labels: [a, b]}\n"
        'prompt: {user: "{{ text }}", params: {response_format: {type: json_object}}}',
        "2:56: prompt.params.response_format: is what response says. Keep one of the two",
        id="asked-twice",
    ),
    pytest.param(
        "response: {labels: [a, b]}\noutput: {path: out, keep: [parsed]}",
        "2:28: output.keep[0]: is the column of what response parses. Rename it in the input",
        id="column-of-ours",
    ),
]


@pytest.mark.parametrize(("written", "line"), MISFITS)
def test_misfit_is_named(tmp_path: Path, written: str, line: str) -> None:
    lines = refused(tmp_path, text(f"{written}\n"))

    assert any(each.startswith(f"job.yaml:{line}") for each in lines), lines


def test_an_input_column_may_be_called_parsed_where_nothing_is_parsed(tmp_path: Path) -> None:
    assert loaded(tmp_path, "output: {path: out, keep: [parsed]}\n").output.keep == ("parsed",)
