from pathlib import Path

import pytest

from batchroute.core.errors import JobError
from batchroute.core.records import Labels
from batchroute.routing.selections import Selection
from tests.builders import job

ROUTES = {"code": {"when": {"task": "code"}, "models": ["a"]}, "default": {"models": ["b"]}}
HARD_CODE = Labels("code", "hard", None)


@pytest.mark.parametrize(
    ("asked", "takes"),
    [
        ([], True),
        (["route=code"], True),
        (["route=default"], False),
        (["route=default", "route=code"], True),
        (["task=code", "complexity=hard"], True),
        (["task=code", "complexity=simple"], False),
        (["task=a=b"], False),
    ],
)
def test_of_values_of_one_key_any_will_do_and_of_several_keys_all_must(
    tmp_path: Path, asked: list[str], takes: bool
) -> None:
    assert Selection.of(asked, job(tmp_path, routes=ROUTES)).takes(HARD_CODE, "code") is takes


@pytest.mark.parametrize(
    ("asked", "word"),
    [
        ("code", "only_form"),
        ("model=a", "only_form"),
        ("route=", "only_form"),
        ("route=cod", "only_unknown"),
        ("complexity=easy", "only_unknown"),
    ],
)
def test_what_no_record_can_be_is_refused(tmp_path: Path, asked: str, word: str) -> None:
    with pytest.raises(JobError, match=rf"\[{word}\]"):
        Selection.of([asked], job(tmp_path, routes=ROUTES))
