"""Checks and last resorts as a job file declares them, and what is refused."""

import json
from pathlib import Path

import pytest

from batchroute.job.checks import Check
from tests.job.files import loaded, refused, text


def routed(route: str) -> str:
    return f"routes: {{default: {{models: [mini], {route}}}}}\n"


REFUSED = [
    ("checks: [{min_chars: 0}]", "checks[0].min_chars: must be greater than 0"),
    ("checks: [{min_char: 3}]", "checks[0].min_char: unknown key, did you mean min_chars?"),
    ("checks: [{min_chars: 3, json: true}]", "checks[0]: has min_chars and json, and a check has one key. Write a check for each."),
    ("checks: [{}]", "checks[0]: has no key, and a check has one key. Write a check for each."),
    ("checks: [{json: false}]", "checks[0].json: must be True"),
    ("checks: [{contains: 'a('}]", "checks[0].contains: is not a regular expression: unclosed group"),
    ("checks: [{lacks: '(?=a)'}]", "checks[0].lacks: has look-around or a backreference, which are not supported"),
    ("checks: [{lacks: '((a{999}){999}){99}'}]", "checks[0].lacks: is too large"),
    ("checks: [{schema: {type: objekt}}]", "checks[0].schema: is not a JSON Schema: "),
    ("checks: [{schema: {$ref: 'http://127.0.0.1:9/x'}}]", "checks[0].schema: is not a JSON Schema: "),
    ("checks: [{schema: absent.json}]", "checks[0].schema: cannot be read (No such file or directory)"),
    ("checks: [{schema: broken.json}]", "checks[0].schema: names "),
    ("checks: [{labels: [Good, ' good ']}]", "checks[0].labels: names 'good' twice"),
    ("checks: [{labels: [a, b]}, {min_chars: 2}]", "checks[1].min_chars: is more than any of the labels has"),
    ("checks: [{json: true}, {json: true}]", "checks[1].json: is the second check of its kind. Keep one of them."),
    ("checks: [{python: rules}]", "checks[0].python: is not the name of a function"),
    ("checks: [{python: 'rules:polite'}]", "checks[0].python: finds no file "),
    ("checks: [{judge: {model: mimi, rubric: fine}}]", "checks[0].judge.model: no model is named mimi, did you mean mini?"),
    ("checks: [{judge: {model: mini}}]", "checks[0].judge.rubric: is missing"),
    ("checks: [{judge: {model: mini, rubric: fine, threshold: 11}}]", "checks[0].judge.threshold: must be at most 10"),
    ("keep_best: true", "keep_best: keeps nothing: no check refuses an answer. Add checks, or remove it."),
    ("last_resort: sorry", "last_resort: must be a mapping"),
    ("last_resort: {text: ''}", "last_resort.text: must not be empty"),
    ("last_resort: {cache: false}", "last_resort: gives nothing. Write text, or cache: true."),
    ("last_resort: {cache: true}", "last_resort.cache: looks into a cache, and the job has none"),
]  # fmt: skip


@pytest.mark.parametrize(("route", "expected"), REFUSED)
def test_what_cannot_be_is_refused_where_it_stands(tmp_path: Path, route: str, expected: str) -> None:
    (tmp_path / "broken.json").write_text("{")
    problems = refused(tmp_path, text(routed(route)))

    assert len(problems) == 1, problems
    assert f"routes.default.{expected}" in problems[0]
    assert problems[0].startswith("job.yaml:1:")


def test_schema_is_read_from_a_file_beside_the_job(tmp_path: Path) -> None:
    (tmp_path / "answer.json").write_text(json.dumps({"type": "array"}))
    job = loaded(tmp_path, routed("checks: [{schema: answer.json}]"))

    assert job.routes["default"].checks[0].json_schema == {"type": "array"}


def test_changed_checks_change_the_fingerprint_and_their_absence_does_not(tmp_path: Path) -> None:
    written = [
        "checks: []",
        "checks: [{min_chars: 2}]",
        "checks: [{min_chars: 3}]",
        "last_resort: {text: none}",
        "checks: [{min_chars: 3}], keep_best: true",
    ]
    prints = [loaded(tmp_path, routed(route)).fingerprint() for route in written]

    assert prints[0] == loaded(tmp_path).fingerprint()
    assert len(set(prints)) == len(prints)


def test_dumped_check_can_be_read_again() -> None:
    for written in ({"json": True}, {"schema": {"type": "null"}}, {"labels": ("a",)}):
        check = Check.model_validate(written)
        assert Check.model_validate(check.model_dump(exclude_none=True)) == check
