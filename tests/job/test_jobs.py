"""The types of a loaded job: defaults, what is derived, and the fingerprint."""

from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import ValidationError

from batchroute.core.money import Price
from batchroute.job.durations import seconds
from batchroute.job.jobs import Job, Limits, Model, Output, Route, When
from batchroute.job.prices import PriceSpec
from tests.job.files import loaded


def test_defaults(tmp_path: Path) -> None:
    job = loaded(tmp_path)

    mini, here = job.models["mini"], job.providers["here"]
    assert (mini.limits, mini.timeout, mini.price) == (Limits(concurrency=32), 60.0, None)
    assert (here.kind, here.transport, here.api_key, here.proxy) == ("openai", "wire", None, None)
    assert (job.classify, job.baseline, job.window, job.output.keep) == ((), None, None, ())
    assert job.provider_model("mini") == "mini"


def test_job_does_not_change(tmp_path: Path) -> None:
    job = loaded(tmp_path)

    with pytest.raises(ValidationError, match="frozen"):
        job.window = 20


def test_simulator_is_simulated_by_default(tmp_path: Path) -> None:
    job = loaded(tmp_path, "providers: {here: {kind: simulator}}\n")

    simulation = job.providers["here"].simulation
    assert simulation is not None
    assert "sim-small" in simulation.models


@pytest.mark.parametrize(
    ("written", "value"),
    [("500ms", 0.5), ("30s", 30.0), ("1.5s", 1.5), ("2m", 120.0), ("1h", 3600.0), ("30 s", 30.0)],
)
def test_durations_are_seconds(written: str, value: float) -> None:
    assert seconds(written) == value


@pytest.mark.parametrize("written", ["", "s", "30", "-1s", "1d", "1e3s", "1s ", "٣s", None, True, [1]])
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="must be a duration"):
        seconds(written)


def test_prices_keep_the_digits_that_were_written(tmp_path: Path) -> None:
    price = "price: {input: 0.1, output: 0.42, cached: 0}"

    spec = loaded(tmp_path, f"models: {{mini: {{provider: here, {price}}}}}\n").models["mini"].price

    assert spec is not None
    assert spec.price() == Price(input=Decimal("0.1"), output=Decimal("0.42"), cached=Decimal(0))


def test_types_can_be_built_in_python() -> None:
    model = Model(provider="here", price=PriceSpec(input=Decimal(1), output=Decimal(2)))

    assert model.limits.concurrency == 32
    assert Route(models=("a",)).when == When()
    assert Output(path=Path("out")).path == Path("out")


@pytest.mark.parametrize(
    ("when", "task", "complexity", "takes"),
    [
        ({}, None, None, True),
        ({"task": "code"}, "code", None, True),
        ({"task": "code"}, "chat", None, False),
        ({"task": "code"}, None, "hard", False),
        ({"task": ["code", "chat"], "complexity": "hard"}, "chat", "hard", True),
        ({"task": ["code", "chat"], "complexity": "hard"}, "chat", None, False),
        ({"complexity": ["medium", "hard"]}, None, "medium", True),
    ],
)
def test_route_takes_records_whose_labels_are_listed(
    when: dict[str, object], task: str | None, complexity: str | None, takes: bool
) -> None:
    assert When.model_validate(when).takes(task, complexity) is takes


SAME = [
    pytest.param("models: {mini: {provider: here, limits: {rpm: 5}, timeout: 5s}}\n", id="limits"),
    pytest.param("models: {mini: {provider: here, price: {input: 1, output: 1}}}\n", id="price"),
    pytest.param("models: {mini: {provider: here, model: mini}}\n", id="default-written-out"),
    pytest.param("job: other\n", id="name"),
    pytest.param("output: {path: elsewhere}\n", id="output"),
    pytest.param("input: {path: other.jsonl, id: key}\n", id="input"),
    pytest.param('providers: {here: {base_url: "http://127.0.0.1:8000/v1/", api_key: EMPTY}}\n', id="key"),
    pytest.param("window: 50\nbaseline: mini\n", id="window"),
]
OTHER = [
    pytest.param('prompt: {user: "{{ text }}!"}\n', id="prompt"),
    pytest.param('prompt: {user: "{{ text }}", params: {seed: 1}}\n', id="params"),
    pytest.param("classify: [{column: task}]\n", id="classify"),
    pytest.param("input: {path: in/records.jsonl, text: body}\n", id="text"),
    pytest.param("models: {mini: {provider: here, model: maxi}}\n", id="model"),
    pytest.param("providers: {here: {base_url: http://127.0.0.1:8001/v1}}\n", id="base-url"),
    pytest.param("routes: {a: {when: {task: b}, models: [mini]}, default: {models: [mini]}}\n", id="routes"),
]


@pytest.mark.parametrize("first", SAME)
def test_fingerprint_stays_when_the_answers_would(tmp_path: Path, first: str) -> None:
    assert loaded(tmp_path, first).fingerprint() == loaded(tmp_path).fingerprint()


@pytest.mark.parametrize("first", OTHER)
def test_fingerprint_changes_with_what_shapes_answers(tmp_path: Path, first: str) -> None:
    assert loaded(tmp_path, first).fingerprint() != loaded(tmp_path).fingerprint()


def test_fingerprint_is_the_same_in_every_run_and_place(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()

    fingerprint = loaded(tmp_path).fingerprint()

    assert fingerprint == loaded(tmp_path / "elsewhere").fingerprint()
    assert len(bytes.fromhex(fingerprint)) == 32


def test_what_a_function_beside_the_job_says_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    staged = "classify: [{python: 'rules:label', columns: [text]}]\n"
    prints = []
    for label in ("code", "chat", "code"):
        (tmp_path / "rules.py").write_text(f"def label(records):\n    return ['{label}' for _ in records]\n")
        prints.append(loaded(tmp_path, staged).fingerprint())

    assert prints[0] == prints[2] != prints[1]


def test_order_of_routes_is_part_of_the_fingerprint(tmp_path: Path) -> None:
    routes = ["a: {when: {task: a}, models: [mini]}", "b: {when: {complexity: hard}, models: [mini]}"]
    prints = {
        loaded(tmp_path, f"routes: {{{one}, {two}, default: {{models: [mini]}}}}\n").fingerprint()
        for one, two in (routes, routes[::-1])
    }

    assert len(prints) == 2


def test_route_with_groups_is_read_again_as_it_was_dumped(tmp_path: Path) -> None:
    groups = "models: {a: {provider: here}, b: {provider: here}, c: {provider: here}}\n"
    job = loaded(tmp_path, f"{groups}routes: {{default: {{models: [[a, b], c]}}}}\n")

    dumped = job.model_dump(exclude={"models": {"__all__": {"timeout"}}})
    route = Job.model_validate(dumped).routes["default"]

    assert (route.listed, route.models) == ((("a", "b"), "c"), ("a", "b", "c"))


def test_job_made_in_python_has_no_file_and_no_warnings(tmp_path: Path) -> None:
    made = Job.model_validate(loaded(tmp_path).model_dump(exclude={"models": {"mini": {"timeout"}}}))

    assert (made.path, made.warnings) == (Path("job.yaml"), ())
