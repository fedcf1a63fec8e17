"""Routes that choose among their models: what a job file may say, and what does not fit together."""

from decimal import Decimal
from pathlib import Path

import pytest

from tests.job.files import loaded, refused, text

MODELS = "models: {east: {provider: here}, west: {provider: here}, large: {provider: here}}\n"


def default(route: str) -> str:
    """Three models, and a default route on line 2 that says this."""
    return f"{MODELS}routes: {{default: {{{route}}}}}\n"


def test_groups_are_read_and_the_models_of_a_route_are_all_of_them(tmp_path: Path) -> None:
    route = loaded(tmp_path, default("models: [[east, west], large]")).routes["default"]

    assert route.models == ("east", "west", "large")
    assert route.listed == (("east", "west"), "large")


def test_strategy_weights_and_cost_are_read(tmp_path: Path) -> None:
    written = "models: [east, west], strategy: weighted, weights: {east: 3, west: 0.5}, max_cost: 0.0000125"
    route = loaded(tmp_path, default(written)).routes["default"]

    assert (route.strategy, route.weights) == ("weighted", {"east": 3, "west": 0.5})
    assert route.max_cost == Decimal("0.0000125")


MISFITS = [
    pytest.param(
        "models: [east, west], weights: {east: 3, west: 1}",
        "2:42: routes.default.weights: is only looked at by one strategy. Add strategy: weighted, or remove it.",
        id="weights-of-no-strategy",
    ),
    pytest.param(
        "models: [east, west], strategy: weighted",
        "2:52: routes.default.strategy: has no weight for east and west. Write weights: {east: 1, west: 1}.",
        id="no-weights",
    ),
    pytest.param(
        "models: [east, west], strategy: weighted, weights: {east: 3}",
        "2:71: routes.default.weights: has no weight for west. Write weights: {east: 1, west: 1}.",
        id="a-weight-is-missing",
    ),
    pytest.param(
        "models: [east, west], strategy: weighted, weights: {east: 3, west: 1, wset: 1}",
        "2:90: routes.default.weights.wset: is the weight of no model of this route, did you mean west? "
        "Add wset to models, or remove it.",
        id="weight-of-another-model",
    ),
    pytest.param(
        "models: [east, west], strategy: weighted, weights: {east: 0, west: 1}",
        "2:78: routes.default.weights.east: must be greater than 0.0 (got 0).",
        id="weight-of-zero",
    ),
    pytest.param(
        "models: [[east, wets], large]",
        "2:36: routes.default.models[0][1]: no model is named wets, did you mean west?",
        id="unknown-in-a-group",
    ),
    pytest.param(
        "models: [[east, west], east]", "2:28: routes.default.models: names 'east' twice", id="twice"
    ),
    pytest.param("models: [[], east]", "2:29: routes.default.models[0]: must not be empty", id="no-group"),
    pytest.param("models: [3]", "2:29: routes.default.models[0]: must be text (got 3)", id="number"),
    pytest.param(
        "models: [[[east]]]", "2:30: routes.default.models[0][0]: must be text", id="group-in-a-group"
    ),
    pytest.param(
        "models: [east, west], strategy: cheap",
        "2:52: routes.default.strategy: must be 'ordered', 'cheapest', 'fastest', 'least_busy' or 'weighted'",
        id="unknown-strategy",
    ),
    pytest.param(
        "models: [east], max_cost: 0", "2:46: routes.default.max_cost: must be greater than 0", id="no-cost"
    ),
]


@pytest.mark.parametrize(("written", "line"), MISFITS)
def test_misfit_is_the_one_problem_named(tmp_path: Path, written: str, line: str) -> None:
    lines = refused(tmp_path, text(default(written)))

    assert len(lines) == 1, lines
    assert lines[0].startswith(f"job.yaml:{line}"), lines[0]


def test_models_outside_of_groups_need_no_weight(tmp_path: Path) -> None:
    written = "models: [[east, west], large], strategy: weighted, weights: {east: 3, west: 1}"

    assert loaded(tmp_path, default(written)).routes["default"].weights == {"east": 3, "west": 1}


def test_languages_need_a_column_that_tells_them(tmp_path: Path) -> None:
    models = "models: {mini: {provider: here, languages: [en]}}\n"

    (line,) = refused(tmp_path, text(models))

    assert line == (
        "job.yaml:1:33: models.mini.languages: is never looked at: nothing tells in which language a record is. "
        "Name the column in input.language, or remove it."
    )
    named = f"{models}input: {{path: in/records.jsonl, language: lang}}\n"
    assert loaded(tmp_path, named).models["mini"].languages == ("en",)


def test_job_that_declares_nothing_new_keeps_its_fingerprint(tmp_path: Path) -> None:
    """Or every record of every job would be compared anew after an update."""
    plain = loaded(tmp_path, default("models: [east, west]"))
    chosen = loaded(tmp_path, default("models: [east, west], strategy: least_busy"))
    able = loaded(tmp_path, "models: {mini: {provider: here, context: 9}}\n")

    assert plain.routes["default"].shape() == {
        "when": {"task": None, "complexity": None},
        "models": ["east", "west"],
    }
    assert len({each.fingerprint() for each in (plain, chosen, able)}) == 3
