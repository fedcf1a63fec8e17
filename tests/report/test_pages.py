import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import get_args

import pytest

from batchroute.report.pages import page
from batchroute.report.reports import report
from tests.builders import attempt, result
from tests.report.books import ATTEMPTS, CHEAP, MIDNIGHT, failed, write_output
from tests.report.browser import CHROMIUM, Browser, Scheme, browser

HOSTILE = '</title></style></svg>"\'><script>document.title="pwned"</script><img src=http://127.0.0.1:9/x onerror=alert(1)>'
LONG = "a-very-long-record-id/" * 20


class Tags(HTMLParser):
    """Every tag of a page with its attributes."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.found = list[tuple[str, dict[str, str | None]]]()
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """The page of a ledger whose names are attacks or very long, with every chart in it."""
    attempts = [
        *ATTEMPTS,
        attempt(
            "h",
            model=HOSTILE,
            route=HOSTILE,
            task=HOSTILE,
            provider=HOSTILE,
            run_id=HOSTILE,
            started_at=MIDNIGHT,
            **CHEAP,
        ),
        *(
            attempt(f"t{n}", task=f"task {n} {LONG}", route=f"route {n} {LONG}", model=f"model {n} {LONG}")
            for n in range(20)
        ),
        *(failed(f"d{n}", HOSTILE, provider=LONG) for n in range(9)),
    ]
    output = write_output(tmp_path / "out", attempts, [result(HOSTILE), result(LONG)], job=HOSTILE)
    file = tmp_path / "report.html"
    file.write_text(page(report([output])), encoding="utf-8")
    return file


def test_page_names_nothing_outside_and_runs_nothing(hostile: Path) -> None:
    content = hostile.read_text(encoding="utf-8")
    tags = Tags(content).found

    assert {tag for tag, _ in tags} & {
        "script",
        "img",
        "link",
        "iframe",
        "object",
        "embed",
        "a",
        "use",
        "image",
    } == set()
    names = {name for _, attributes in tags for name in attributes}
    assert names & {"src", "href", "xlink:href", "srcset", "action", "style"} == set()
    assert [name for name in names if name.startswith("on")] == []
    assert re.search(r"@import|url\(", content) is None


def test_page_has_every_chart_and_table(hostile: Path) -> None:
    headings = re.findall(r"<h2>([^<]*)", hostile.read_text(encoding="utf-8"))

    assert [each.strip() for each in headings] == [
        "Cost by route",
        "Where the records went",
        "How long answers took",
        "The latest run over its time",
        "Cost of each run",
        "By route and model",
        "By model",
        "By task",
        "By day",
        "Runs",
        "Providers",
        "Use of rate limits",
        "Errors",
        "The dearest records",
    ]


def test_page_of_an_empty_ledger_is_a_page(tmp_path: Path) -> None:
    content = page(report([write_output(tmp_path, [], [])]))

    assert "No attempt stands in this ledger." in content
    assert "<svg" not in content


def test_page_of_costs_that_nobody_knows_has_no_cost_chart(tmp_path: Path) -> None:
    content = page(report([write_output(tmp_path, [ATTEMPTS[4]], [])]))

    assert "Cost by route" not in content
    assert "1 attempts of unknown price" in content


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("chromium is not installed")
    with browser() as opened:
        yield opened


@pytest.mark.parametrize("scheme", get_args(Scheme))
@pytest.mark.parametrize("width", [390, 1280])
def test_page_fits_and_asks_for_nothing(chromium: Browser, hostile: Path, width: int, scheme: Scheme) -> None:
    chromium.requests.clear()
    chromium.show(hostile, width=width, scheme=scheme)

    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate("innerWidth") == width
    assert chromium.requests == [hostile.as_uri()]
    assert chromium.complaints == []
    assert "pwned" not in chromium.evaluate("document.title").split("<")[0]
    dark = chromium.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")


def test_no_text_of_a_chart_is_cut_off_by_its_edge(chromium: Browser, hostile: Path) -> None:
    chromium.show(hostile, width=390)
    outside = """
        [...document.querySelectorAll('svg text')].filter(text => {
          const [it, all] = [text.getBoundingClientRect(), text.closest('svg').getBoundingClientRect()]
          return it.left < all.left - 1 || it.right > all.right + 1 || it.bottom > all.bottom + 4
        }).map(text => text.textContent)"""

    assert chromium.evaluate(outside) == []


def test_paper_is_white_whatever_the_screen(chromium: Browser, hostile: Path) -> None:
    chromium.show(hostile, width=750, scheme="dark", media="print")

    assert chromium.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
