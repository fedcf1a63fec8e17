"""README's order and its links; what it says is held against the code by the tests of each part."""

import re
import shlex
from pathlib import Path

import pytest

from batchroute.job.loading import load_job

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PROSE = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
HEADINGS = re.findall(r"^##+ (.+)$", PROSE, flags=re.MULTILINE)
LINKS = re.findall(r"\]\(([^)\s]+)\)", PROSE)
OVERRIDDEN = re.findall(r"^ +batchroute .*(jobs/\S+\.yaml) --set (.+)$", PROSE, flags=re.MULTILINE)


def anchor(heading: str) -> str:
    """As GitHub makes it: without punctuation, hyphens for blanks."""
    return "#" + re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_each_link_within_the_page_leads_to_one_heading() -> None:
    anchors = [anchor(heading) for heading in HEADINGS]
    assert len(set(anchors)) == len(anchors)
    assert {link for link in LINKS if link.startswith("#")} <= set(anchors)


@pytest.mark.parametrize("link", sorted({link for link in LINKS if not link.startswith(("#", "http"))}))
def test_each_file_that_is_linked_is_there(link: str) -> None:
    assert (ROOT / link).exists()


def test_the_contents_are_all_chapters_and_sections_in_their_order() -> None:
    listed = PROSE.partition("\n## Contents\n")[2].partition("\n## ")[0]
    headings = [anchor(heading) for heading in HEADINGS if heading != "Contents"]
    assert re.findall(r"\]\((#[^)]+)\)", listed) == headings


@pytest.mark.parametrize(("job", "override"), OVERRIDDEN)
def test_each_job_takes_what_a_command_sets_in_it(job: str, override: str) -> None:
    """A command that is copied from the page must not name a model that the job has not got."""
    load_job(ROOT / job, overrides=shlex.split(override)[:1])


def test_there_are_commands_that_set_something() -> None:
    assert OVERRIDDEN
