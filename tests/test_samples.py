"""The shipped sample data is what its README says: varied, labelled, distinct, and broken where it should be."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator
from itertools import combinations, groupby
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import msgspec
import polars as pl
import pytest

from batchroute.routing.tasks import guess

FOLDER = Path(__file__).parents[1] / "sample_data"
README = (FOLDER / "README.md").read_text(encoding="utf-8")

FIELDS = ("id", "text", "source", "language", "task", "complexity")

Task: TypeAlias = Literal[
    "code", "reason", "classify", "extract", "translate", "summarize", "creative", "moderate", "chat", "vision"
]  # fmt: skip
Language: TypeAlias = Literal["en", "zh", "es", "fr", "de", "pt", "it", "ja"]
Complexity: TypeAlias = Literal["simple", "medium", "hard"]


class Labelled(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A request with its true labels; decoding into it checks names, types and labels."""

    id: str
    text: str
    source: str
    language: Language
    task: Task
    complexity: Complexity


def read_requests() -> list[Labelled]:
    lines = (FOLDER / "requests.jsonl").read_bytes().removesuffix(b"\n").split(b"\n")
    return [msgspec.json.decode(line, type=Labelled) for line in lines]


REQUESTS = read_requests()


class TestRequests:
    def test_there_are_at_least_640(self) -> None:
        assert len(REQUESTS) >= 640

    def test_ids_count_up_without_a_gap(self) -> None:
        assert [request.id for request in REQUESTS] == [f"req-{n:04d}" for n in range(1, len(REQUESTS) + 1)]

    def test_every_line_has_the_fields_in_order_and_is_ended(self) -> None:
        content = (FOLDER / "requests.jsonl").read_bytes()

        assert content.endswith(b"}\n")
        assert {tuple(json.loads(line)) for line in content.splitlines()} == {FIELDS}

    @pytest.mark.parametrize("task", get_args(Task))
    def test_every_task_has_at_least_45_and_every_complexity_and_language(self, task: str) -> None:
        mine = [request for request in REQUESTS if request.task == task]

        assert len(mine) >= 45
        assert {request.complexity for request in mine} == set(get_args(Complexity))
        assert {request.language for request in mine} == set(get_args(Language))

    @pytest.mark.parametrize("language", ["zh", "es", "fr", "de"])
    def test_at_least_60_are_written_in(self, language: str) -> None:
        assert sum(request.language == language for request in REQUESTS) >= 60

    def test_somewhat_more_than_half_are_english(self) -> None:
        share = sum(request.language == "en" for request in REQUESTS) / len(REQUESTS)

        assert 0.50 < share < 0.60

    @pytest.mark.parametrize(("complexity", "share"), [("simple", 0.50), ("medium", 0.33), ("hard", 0.17)])
    def test_complexities_are_spread_as_in_real_traffic(self, complexity: str, share: float) -> None:
        mine = sum(request.complexity == complexity for request in REQUESTS)

        assert mine / len(REQUESTS) == pytest.approx(share, abs=0.03)

    def test_tasks_are_mixed_and_not_in_blocks(self) -> None:
        runs = [len(list(run)) for _, run in groupby(REQUESTS, key=lambda request: request.task)]

        assert max(runs) <= 5

    def test_every_vision_request_shows_an_image_address(self) -> None:
        vision = [request.text for request in REQUESTS if request.task == "vision"]

        assert all(re.search(r"https://\S+\.(?:jpe?g|png|svg|tif|webp)", text) for text in vision)


class TestVariety:
    def test_no_text_repeats(self) -> None:
        folded = Counter(" ".join(request.text.casefold().split()) for request in REQUESTS)

        assert folded.most_common(1)[0][1] == 1

    def test_no_two_texts_are_near_duplicates(self) -> None:
        grams = {request.id: shingles(request.text) for request in REQUESTS}
        alike = [pair for pair in combinations(grams, 2) if similarity(grams[pair[0]], grams[pair[1]]) > 0.35]

        assert alike == []

    def test_near_duplicates_would_be_noticed(self) -> None:
        one = "Translate to German: the parcel arrives tomorrow between nine and eleven."
        other = "Translate to German: the parcel arrives tomorrow between nine and twelve."

        assert similarity(shingles(one), shingles(other)) > 0.35

    def test_at_most_a_handful_open_alike(self) -> None:
        openings = Counter(tuple(request.text.casefold().split()[:3]) for request in REQUESTS)

        assert openings.most_common(1)[0][1] <= 5

    def test_lengths_reach_from_a_word_to_a_document(self) -> None:
        words = sorted(len(request.text.split()) for request in REQUESTS)

        assert words[0] == 1
        assert sum(count >= 200 for count in words) >= 10

    @pytest.mark.parametrize(
        ("trait", "at_least"),
        [
            pytest.param(r"\n", 100, id="several lines"),
            pytest.param(r"\t", 5, id="tab"),
            pytest.param('"', 100, id="quotes"),
            pytest.param(r"\d", 250, id="numbers"),
            pytest.param("[\u0590-\u07ff]", 2, id="right to left"),
            pytest.param("[\U0001f300-\U0001faff]", 10, id="emoji"),
            pytest.param(r"[ßäöüéèêçñ¿¡]", 150, id="accents"),
            pytest.param(r"\\", 5, id="backslash"),
            pytest.param("[\u3040-\u30ff]", 10, id="kana"),
        ],
    )
    def test_texts_hold_what_real_ones_hold(self, trait: str, at_least: int) -> None:
        assert sum(bool(re.search(trait, request.text)) for request in REQUESTS) >= at_least

    @pytest.mark.parametrize(
        ("word", "own_task"),
        [
            (r"\btranslat", "translate"),
            (r"\bsummar", "summarize"),
            (r"\bcode\b", "code"),
            (r"photo", "vision"),
        ],
    )
    def test_words_of_a_task_also_stand_in_requests_of_others(self, word: str, own_task: str) -> None:
        others = [r for r in REQUESTS if r.task != own_task and re.search(word, r.text, re.IGNORECASE)]

        assert len({request.task for request in others}) >= 2


class TestAddresses:
    @pytest.mark.parametrize("name", ["requests.jsonl", "broken.jsonl"])
    def test_hosts_and_mail_addresses_are_reserved_for_examples(self, name: str) -> None:
        hosts = set(hosts_in((FOLDER / name).read_text(encoding="utf-8", errors="replace")))

        assert hosts
        assert {
            host for host in hosts if not re.fullmatch(r"(?:[\w-]+\.)*example\.(?:com|net|org)", host)
        } == set()

    def test_other_hosts_would_be_noticed(self) -> None:
        text = "see https://shop.invalid/a, www.shop.invalid, a@shop.invalid or plain shop-two.de"

        assert sorted(hosts_in(text)) == ["shop-two.de", "shop.invalid", "shop.invalid", "shop.invalid"]


class TestParquet:
    def test_holds_the_rows_of_the_jsonl_file(self) -> None:
        frame = pl.read_parquet(FOLDER / "requests.parquet")

        assert frame.schema == pl.Schema(dict.fromkeys(FIELDS, pl.String()))
        assert frame.rows() == [msgspec.structs.astuple(request) for request in REQUESTS]

    def test_is_compressed(self) -> None:
        assert (FOLDER / "requests.parquet").stat().st_size < (FOLDER / "requests.jsonl").stat().st_size / 2


class TestBroken:
    def test_every_line_is_broken_as_the_readme_says(self) -> None:
        verdicts = list(judge((FOLDER / "broken.jsonl").read_bytes()))

        assert verdicts == re.findall(r"^\| \d+ \| (\w+) \|", README, re.MULTILINE)

    def test_the_readme_numbers_the_lines(self) -> None:
        numbers = re.findall(r"^\| (\d+) \|", README, re.MULTILINE)

        assert numbers == [str(n) for n in range(1, 34)]

    def test_good_lines_are_not_outnumbered(self) -> None:
        counted = Counter(judge((FOLDER / "broken.jsonl").read_bytes()))

        assert counted["good"] == 16
        assert counted["blank"] == 2
        assert counted.total() - 18 < counted["good"]

    @pytest.mark.parametrize(
        ("trait", "lines"),
        [
            pytest.param(b"\r$", [2, 21], id="CRLF"),
            pytest.param(b"^\xef\xbb\xbf", [11], id="byte order mark"),
            pytest.param(b"\xe2\x80\xa8", [29], id="U+2028"),
            pytest.param(rb"\[{70}[^\[]", [24], id="nested 70 deep"),
        ],
    )
    def test_oddities_stand_where_the_readme_says(self, trait: bytes, lines: list[int]) -> None:
        content = (FOLDER / "broken.jsonl").read_bytes().split(b"\n")

        assert [n for n, line in enumerate(content, 1) if re.search(trait, line)] == lines


class TestReadme:
    @pytest.mark.parametrize("field", ["task", "language", "complexity", "source"])
    def test_counts_are_those_of_the_file(self, field: str) -> None:
        heading = {"task": "Tasks", "language": "Languages", "complexity": "Complexity", "source": "Sources"}
        told = re.search(rf"\*\*{heading[field]}\*\*: (.*)\.", README)
        assert told is not None

        counted = Counter(str(getattr(request, field)) for request in REQUESTS)

        assert {k: int(v) for k, v in re.findall(r"(\w+) (\d+)", told[1])} == counted

    def test_names_total_and_licence(self) -> None:
        assert f"{len(REQUESTS)} requests" in README
        assert "CC0 1.0" in README


def shingles(text: str) -> frozenset[str]:
    """All runs of five characters: words would not do for languages that are written without spaces."""
    folded = " ".join(text.casefold().split())
    return frozenset(folded[n : n + 5] for n in range(max(1, len(folded) - 4)))


def similarity(one: frozenset[str], other: frozenset[str]) -> float:
    """The share of their shingles that two texts have in common, 0 to 1."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def hosts_in(text: str) -> Iterator[str]:
    """Hosts of addresses, of e-mail addresses, and bare names under the common top-level domains."""
    addressed = r"(?:https?://|www\.|[\w.+-]@)((?:[\w-]+\.)+[a-z]+)"
    bare = r"(?<![\w./@-])((?:[\w-]+\.)+(?:com|org|net|de|fr|es|cn|io|dev))\b"
    for match in re.finditer(f"{addressed}|{bare}", text, re.ASCII):
        yield (match[1] or match[2]).removeprefix("www.")


def judge(content: bytes) -> Iterator[str]:
    """A verdict for every line: good, blank, or the word for what is wrong with it."""
    seen: set[str] = set()
    for line in content.split(b"\n"):
        verdict = judge_line(line.removeprefix(b"\xef\xbb\xbf"))
        if isinstance(verdict, str):
            yield verdict
        elif verdict.get("id") is None:
            yield "id_missing"
        elif str(verdict["id"]) in seen:
            yield "id_duplicate"
        else:
            seen.add(str(verdict["id"]))
            yield judge_fields(verdict)


def judge_line(line: bytes) -> str | dict[str, object]:
    """The object on a line, or the word for why there is none."""
    if not line.strip():
        return "blank"
    try:
        found = json.loads(line.decode(), object_pairs_hook=unique, parse_constant=refuse_constant)
    except UnicodeDecodeError:
        return "line_utf8"
    except json.JSONDecodeError as error:
        return "json_trailing_data" if error.msg == "Extra data" else "json_syntax"
    except ValueError as error:
        return str(error)
    if not isinstance(found, dict):
        return "record_not_object"
    return "json_depth" if depth(found) > 64 else found


def judge_fields(fields: dict[str, object]) -> str:
    if "text" not in fields:
        return "field_missing"
    if fields["text"] is None:
        return "field_null"
    return "text_surrogate" if re.search("[\ud800-\udfff]", str(fields["text"])) else "good"


def unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise ValueError("json_duplicate_key")
    return fields


def refuse_constant(_: str) -> object:
    raise ValueError("json_nonfinite")


def depth(value: object) -> int:
    match value:
        case dict():
            return 1 + max(map(depth, value.values()), default=0)
        case list():
            return 1 + max(map(depth, value), default=0)
        case _:
            return 0


def half(request: Labelled) -> int:
    """0 for the half whose requests the shipped weights are trained on, 1 for the other, which nothing is tuned to."""
    return hashlib.sha256(request.id.encode()).digest()[0] % 2


@pytest.mark.parametrize(
    ("number", "at_least"), [pytest.param(0, 0.97, id="seen"), pytest.param(1, 0.88, id="unseen")]
)
def test_the_shipped_rules_name_the_true_task(number: int, at_least: float) -> None:
    """What they reach, and what they reach on requests that nobody tuned them to: the honest figure."""
    some = [request for request in REQUESTS if half(request) == number]

    found = guess(pl.Series([request.text for request in some])).labels.to_list()

    assert len(some) > 300
    assert sum(task == each.task for task, each in zip(found, some, strict=True)) / len(some) >= at_least
