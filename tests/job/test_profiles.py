"""Profiles and auto names as a job file declares them."""

from pathlib import Path

import pytest

from batchroute.job.jobs import Route
from batchroute.job.profiles import PROFILES
from tests.job.files import loaded, refused, text

MODELS = "models: {small: {provider: here}, mini: {provider: here}, large: {provider: here}}\n"
LISTS = "{budget: [small], balanced: [mini, small], quality: [large, [mini, small]]}"
PROFILED = f"{MODELS}routes: {{default: {{models: {LISTS}}}}}\n"


def default(models: str, more: str = "") -> str:
    return f"{MODELS}routes: {{default: {{models: {models}}}}}\n{more}"


def test_balanced_is_the_profile_of_a_job_that_names_none(tmp_path: Path) -> None:
    job = loaded(tmp_path, PROFILED)

    assert job.profile == "balanced"
    assert job.routes["default"].models == ("mini", "small")


@pytest.mark.parametrize(
    ("profile", "models"),
    [("budget", ("small",)), ("balanced", ("mini", "small")), ("quality", ("large", "mini", "small"))],
)
def test_profile_chooses_the_models_of_routes_that_have_profiles(
    tmp_path: Path, profile: str, models: tuple[str, ...]
) -> None:
    code = f"code: {{when: {{task: code}}, models: [mini]}}, default: {{models: {LISTS}}}"
    job = loaded(tmp_path, f"{MODELS}routes: {{{code}}}\nprofile: {profile}\n")

    assert job.routes["default"].models == models
    assert job.routes["code"].models == ("mini",)


def test_another_profile_of_the_same_job_leaves_the_job_as_it_is(tmp_path: Path) -> None:
    job = loaded(tmp_path, PROFILED)

    assert job.chosen("quality").routes["default"].listed == ("large", ("mini", "small"))
    assert job.chosen("quality").profile == "quality"
    assert job.routes["default"].models == ("mini", "small")


def test_profile_is_part_of_the_fingerprint_where_routes_have_profiles(tmp_path: Path) -> None:
    job = loaded(tmp_path, PROFILED)

    assert len({job.chosen(profile).fingerprint() for profile in PROFILES}) == len(PROFILES)
    plain = loaded(tmp_path, default("[mini]"))
    assert plain.chosen("quality").fingerprint() == plain.fingerprint()


def test_what_is_dumped_can_be_read_again(tmp_path: Path) -> None:
    route = loaded(tmp_path, PROFILED).routes["default"]

    again = Route.model_validate(route.model_dump(mode="json"))

    assert again.chosen("quality").listed == ("large", ("mini", "small"))


MISFITS = [
    pytest.param(
        default("{budget: [small], balanced: [mini]}"),
        "2:20: routes.default.models.quality: is missing. Add quality: Models where the answer counts most, such as "
        "[large, mini].",
        id="missing",
    ),
    pytest.param(
        default(LISTS.replace("quality:", "qualtiy: [large], quality:")),
        "2:71: routes.default.models.qualtiy: unknown key, did you mean quality?",
        id="typo",
    ),
    pytest.param(
        default(LISTS.replace("[mini, small],", "[mini, smal],")),
        "2:63: routes.default.models.balanced[1]: no model is named smal, did you mean small?",
        id="unknown-model",
    ),
    pytest.param(
        default(LISTS.replace("large, [mini", "large, [mni")),
        "2:89: routes.default.models.quality[1][0]: no model is named mni, did you mean mini?",
        id="unknown-in-a-group",
    ),
    pytest.param(
        default(LISTS.replace("budget: [small]", "budget: []")),
        "2:37: routes.default.models.budget: must not be empty",
        id="empty",
    ),
    pytest.param(
        default(LISTS, "profile: best\n"),
        "3:10: profile: must be 'budget', 'balanced' or 'quality'",
        id="unknown-profile",
    ),
    pytest.param(
        default("[mini]", "profile: budget\n"),
        "3:1: profile: chooses nothing: no route has profiles. Write models: {budget: [...], balanced: [...], "
        "quality: [...]} on a route, or remove it.",
        id="no-profiles",
    ),
    pytest.param(
        default("[mini]", "input: {path: in/records.jsonl, profile: column}\n"),
        "3:33: input.profile: chooses nothing: no route has profiles",
        id="no-profiles-for-a-column",
    ),
    pytest.param(
        MODELS.replace("small: {provider: here}", "small: {provider: here, quality: 3}"),
        "1:34: models.small.quality: is never looked at: no record can ask for auto-best or its like. "
        "Name the column with their models in input.model, or remove it.",
        id="merit",
    ),
    pytest.param(
        "models: {auto-free: {provider: here}}\n"
        "input: {path: in/records.jsonl, model: m}\nroutes: {default: {models: [auto-free]}}\n",
        "1:10: models.auto-free: is a name that stands for a choice among models, where records name theirs. "
        "Rename the model, or remove input.model.",
        id="auto-name",
    ),
]


@pytest.mark.parametrize(("written", "line"), MISFITS)
def test_misfit_is_the_first_problem_named(tmp_path: Path, written: str, line: str) -> None:
    lines = refused(tmp_path, text(written))

    assert lines[0].startswith(f"job.yaml:{line}"), lines


def test_weights_of_a_route_cover_the_models_of_all_its_profiles(tmp_path: Path) -> None:
    weighted = f"{LISTS}, strategy: weighted, weights: {{small: 1}}"

    (line,) = refused(tmp_path, text(default(weighted)))

    assert "routes.default.weights: has no weight for mini" in line
    whole = loaded(tmp_path, default(weighted.replace("small: 1", "small: 1, mini: 2")))
    assert whole.routes["default"].weights == {"small": 1, "mini": 2}


def test_merits_are_read_where_records_name_models(tmp_path: Path) -> None:
    models = "models: {mini: {provider: here, strengths: [code], quality: 80}}\n"
    job = loaded(tmp_path, f"{models}input: {{path: in/records.jsonl, model: m}}\n")

    assert job.models["mini"].strengths == ("code",)
    assert job.models["mini"].quality == 80


def test_job_that_lets_records_choose_has_another_fingerprint(tmp_path: Path) -> None:
    plain = loaded(tmp_path)
    choosing = loaded(tmp_path, "input: {path: in/records.jsonl, model: m}\n")

    assert plain.fingerprint() != choosing.fingerprint()
