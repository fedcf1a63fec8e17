"""Parts of a job that do not fit together, and parts that fit but deserve a warning."""

from pathlib import Path

import pytest

from tests.job.files import loaded, refused, text

TWO_MODELS = "models: {mini: {provider: here}, maxi: {provider: here}}\n"


def routes(*lines: str) -> str:
    return "routes:\n" + "".join(f"  {line}\n" for line in lines)


MISFITS = [
    pytest.param(
        "models: {mini: {provider: hree}}\n",
        "1:27: models.mini.provider: no provider is named hree, did you mean here?",
        id="provider-typo",
    ),
    pytest.param(
        "models: {mini: {provider: zzz}}\n",
        "1:27: models.mini.provider: no provider is named zzz. Declare it in providers, or use one of: here.",
        id="provider-unknown",
    ),
    pytest.param(
        routes("default: {models: [mini, maxi]}"),
        "2:28: routes.default.models[1]: no model is named maxi. Declare it in models, or use one of: mini.",
        id="B117",
    ),
    pytest.param(
        "classify:\n  - builtin: tasks\n  - llm: {model: mini2, labels: [a]}\n",
        "3:18: classify[1].llm.model: no model is named mini2, did you mean mini?",
        id="labelling-model",
    ),
    pytest.param(
        "baseline: Mini\n", "1:11: baseline: no model is named Mini, did you mean mini?", id="baseline"
    ),
    pytest.param(
        "models:\n  mini: {provider: here}\n  MINI: {provider: here}\n",
        "3:3: models.MINI: differs from mini in case only. Rename one of the two.",
        id="B118-model",
    ),
    pytest.param(
        routes("Default: {when: {task: a}, models: [mini]}", "default: {models: [mini]}"),
        "3:3: routes.default: differs from Default in case only. Rename one of the two.",
        id="B118-route",
    ),
    pytest.param(
        routes("a: {when: {task: b}, models: [mini]}"),
        "1:1: routes.default: is missing. Close the list with default: {models: [...]}",
        id="B120-no-default",
    ),
    pytest.param(
        routes("default: {models: [mini]}", "a: {when: {task: b}, models: [mini]}"),
        "2:3: routes.default: is not the last route. Move it to the end",
        id="B120-default-first",
    ),
    pytest.param(
        routes("default: {when: {task: b}, models: [mini]}"),
        "2:13: routes.default.when: narrows the default route. Remove when",
        id="B120-default-when",
    ),
    pytest.param(
        routes("a: {models: [mini]}", "default: {models: [mini]}"),
        "2:3: routes.a: has no when, so that no record comes to the routes after it. Add when",
        id="B120-no-when",
    ),
    pytest.param(
        routes(
            "a: {when: {task: [x, y]}, models: [mini]}",
            "b: {when: {task: y, complexity: hard}, models: [mini]}",
            "default: {models: [mini]}",
        ),
        "3:3: routes.b: can never match: a before it takes all its records. Move it up or remove it.",
        id="B120-covered",
    ),
    pytest.param(
        routes(
            "a: {when: {task: x}, models: [mini]}",
            "b: {when: {complexity: [hard, medium]}, models: [mini]}",
            "c: {when: {task: [x, y], complexity: hard}, models: [mini]}",
            "default: {models: [mini]}",
        ),
        "4:3: routes.c: can never match: a and b before it take all its records.",
        id="B120-covered-together",
    ),
]


@pytest.mark.parametrize(("first", "line"), MISFITS)
def test_misfit_is_the_one_problem_named(tmp_path: Path, first: str, line: str) -> None:
    [found] = refused(tmp_path, text(first))

    assert found.startswith(f"job.yaml:{line}")


REACHABLE = [
    pytest.param(["a: {when: {task: x, complexity: hard}", "b: {when: {task: x}"], id="wider"),
    pytest.param(
        ["a: {when: {task: x, complexity: [simple, medium, hard]}", "b: {when: {task: x}"], id="unlabelled"
    ),
    pytest.param(["a: {when: {task: x}", "b: {when: {complexity: hard}"], id="other-column"),
    pytest.param(["a: {when: {task: [x, y]}", "b: {when: {task: [y, z]}"], id="in-part"),
]


@pytest.mark.parametrize("starts", REACHABLE)
def test_route_that_is_left_some_records_is_accepted(tmp_path: Path, starts: list[str]) -> None:
    lines = [f"{start}, models: [mini]}}" for start in starts]

    job = loaded(tmp_path, routes(*lines, "default: {models: [mini]}"))

    assert list(job.routes) == ["a", "b", "default"]


def test_routes_keep_the_order_of_the_file(tmp_path: Path) -> None:
    names = ["zeta", "alpha", "mid"]
    lines = [f"{name}: {{when: {{task: {name}}}, models: [maxi, mini]}}" for name in names]

    job = loaded(tmp_path, TWO_MODELS + routes(*lines, "default: {models: [mini]}"))

    assert list(job.routes) == [*names, "default"]
    assert job.routes["zeta"].models == ("maxi", "mini")


OVERLAPS = [
    pytest.param("in", "in", id="B134-equal"),
    pytest.param("in/records.jsonl", "in", id="B134-contains"),
    pytest.param("in", "in/out", id="B134-inside"),
    pytest.param("in/*.jsonl", "in/out.jsonl", id="B134-matches"),
    pytest.param("in/*/a.jsonl", "in/out", id="B134-matches-folder"),
    pytest.param("in/**/*.jsonl", "in/deep/out", id="B134-any-depth"),
    pytest.param("in/a.jsonl", "other/../in", id="B134-dots"),
    pytest.param("in/a.jsonl", "link", id="B134-symlink"),
]


@pytest.mark.parametrize(("read", "written"), OVERLAPS)
def test_output_may_not_meet_the_input(tmp_path: Path, read: str, written: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "in")

    [line] = refused(tmp_path, text(f"output: {{path: {written}}}\ninput: {{path: '{read}'}}\n"))

    place = "job.yaml:1:16: output.path: equals, contains or lies in input.path"
    assert line == f"{place} (got {written}). Choose a directory of its own."


@pytest.mark.parametrize(
    ("read", "written"), [("in/a.jsonl", "in/out"), ("in", "in-out"), ("in/*.jsonl", "in/out")]
)
def test_output_may_stand_beside_the_input(tmp_path: Path, read: str, written: str) -> None:
    job = loaded(tmp_path, f"output: {{path: {written}}}\ninput: {{path: '{read}'}}\n")

    assert job.output.path == tmp_path / written


REAL = "sk-proj-0123456789abcdefghij"
QUESTIONABLE = [
    pytest.param(
        f"base_url: https://a/v1, api_key: {REAL}", "providers.here.api_key holds a key", id="B127-key"
    ),
    pytest.param(
        f"base_url: https://a/v1, headers: {{api-key: Bearer {REAL}}}",
        "providers.here.headers.api-key holds a key",
        id="B127-header",
    ),
    pytest.param(
        "base_url: https://a/v1, proxy: http://me:sentinel@proxy:3128",
        "providers.here.proxy holds a key",
        id="B127-proxy",
    ),
    pytest.param(
        'base_url: http://models.lan/v1, api_key: "${KEY}"',
        "providers.here.base_url is plain http",
        id="B126",
    ),
]


@pytest.mark.parametrize(("entry", "start"), QUESTIONABLE)
def test_questionable_provider_works_with_a_warning_that_keeps_the_secret(
    tmp_path: Path, entry: str, start: str
) -> None:
    job = loaded(tmp_path, f"providers: {{here: {{{entry}}}}}\n")

    [warning] = job.warnings
    assert warning.startswith(start)
    assert REAL not in warning + repr(job)
    assert "sentinel" not in warning + repr(job)


@pytest.mark.parametrize(
    "entry",
    [
        "base_url: http://localhost:8000/v1, api_key: EMPTY",
        'base_url: "http://[::1]:8000/v1", api_key: changeme',
        "base_url: http://127.0.0.2/v1, api_key: local-server-without-any-key",
        "base_url: http://models.lan/v1",
        "base_url: https://a/v1, headers: {x-beta: prompt-caching-2024-07-31}",
        'base_url: https://a/v1, api_key: "${KEY}", proxy: http://proxy:3128',
    ],
)
def test_ordinary_provider_gives_no_warning(tmp_path: Path, entry: str) -> None:
    assert loaded(tmp_path, f"providers: {{here: {{{entry}}}}}\n").warnings == ()
