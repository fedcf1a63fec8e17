"""A job's stages of classification: how they are declared, and what they decide."""

import re
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import TypeAdapter, ValidationError

from batchroute.core.errors import JobError
from batchroute.core.records import Labels, Record
from batchroute.job.stages import Stage
from batchroute.routing.classifiers import Classifier

STAGES: TypeAdapter[list[Stage]] = TypeAdapter(list[Stage])


def _record(**fields: Any) -> Record:
    return Record(record_id="1", file="input.jsonl", line=1, fields=fields)


def _text(records: Sequence[Record]) -> list[str | None]:
    return [record.fields.get("text") for record in records]


def _unread(records: Sequence[Record]) -> list[str | None]:
    raise AssertionError(f"the texts of {len(records)} records were read")


def _classifier(*stages: dict[str, Any]) -> Classifier:
    return Classifier(STAGES.validate_python(list(stages)), text=_text)


def _label(classifier: Classifier, **fields: Any) -> Labels:
    (labels,) = classifier.classify([_record(**fields)])
    return labels


class TestDeclarations:
    @pytest.mark.parametrize(
        "stage",
        [
            {"column": "task"},
            {"complexity": "level"},
            {"column": "task", "complexity": "level"},
            {"patterns": {"translate": [r"\btranslate\b", r"\p{Han}", r"(?-i)TR", "[a-z&&[^x]]", r"\\1"]}},
            {"patterns": {"翻译": ["译"]}, "text": "question"},
            {"builtin": "tasks"},
            {"builtin": "tasks", "text": "question"},
            {"length": {"medium": 400, "hard": 2000}},
        ],
    )
    def test_a_key_says_which_stage_it_is(self, stage: dict[str, Any]) -> None:
        (loaded,) = STAGES.validate_python([stage])

        written = loaded.model_dump(mode="json", exclude_unset=True)
        assert written == stage
        assert STAGES.validate_python([loaded]) == [loaded]

    @pytest.mark.parametrize(
        ("stage", "message"),
        [
            pytest.param(
                {"colum": "task"},
                "'colum'. Write one of column, patterns, builtin, length, sql, python or llm",
                id="typo",
            ),
            pytest.param({}, "found nothing. Write one of", id="empty"),
            pytest.param("tasks", "must be a mapping. Write one of", id="not a mapping"),
            pytest.param({"column": None}, "names no column", id="no column"),
            pytest.param({"builtin": "task"}, "should be 'tasks'", id="unknown set"),
            pytest.param({"builtin": "tasks", "column": "task"}, "not permitted", id="two stages in one"),
            pytest.param({"patterns": {}}, "at least 1", id="no task"),
            pytest.param({"patterns": {"a": []}}, "lists no pattern", id="no pattern"),
            pytest.param({"patterns": {"a": ["(x"]}}, "is not a regular expression", id="B121"),
            pytest.param({"patterns": {"a": ["x(?=y)"]}}, "has (?=: look-around", id="look-ahead"),
            pytest.param(
                {"patterns": {"a": [r"(x)\1"]}}, r"has \1: look-around and backreferences", id="reference"
            ),
            pytest.param(
                {"length": {"medium": 400, "hard": 400}}, "not above medium (400)", id="levels crossed"
            ),
            pytest.param({"length": {"medium": 0, "hard": 5}}, "greater than 0", id="no length"),
            pytest.param({"llm": {"model": "m"}}, "Field required", id="llm without labels"),
            pytest.param({"llm": {"model": "m", "labels": []}}, "at least 1", id="llm with no label"),
            pytest.param({"llm": {"model": "m", "labels": ["a", "A"]}}, "has 'A' beside 'a'", id="alike"),
            pytest.param({"llm": {"model": "m", "labels": ["a|b"]}}, "an answer cannot hold", id="parted"),
            pytest.param({"llm": {"model": "m", "labels": ["a\n"]}}, "an answer cannot hold", id="lines"),
            pytest.param({"llm": {"model": "m", "labels": ["None"]}}, "stands for no label", id="none"),
            pytest.param(
                {"llm": {"model": "m", "labels": ["a"], "batch": 0}}, "greater than 0", id="batch 0"
            ),
            pytest.param({"llm": {"model": "m", "labels": ["a"], "batch": 101}}, "100", id="large batch"),
        ],
    )
    def test_what_is_wrong_is_said_once_and_where_it_stands(self, stage: object, message: str) -> None:
        with pytest.raises(ValidationError, match=re.escape(message)) as refused:
            STAGES.validate_python([{"builtin": "tasks"}, stage])

        assert [error["loc"][0] for error in refused.value.errors()] == [1]

    def test_what_only_the_engine_refuses_names_task_and_pattern(self) -> None:
        with pytest.raises(
            JobError, match=r"patterns\.cook: '\\\\p\{Nope\}' is not .*: Unicode property not found"
        ):
            _classifier({"patterns": {"eat": ["bread"], "cook": [r"\p{Nope}"]}})


class TestColumns:
    @pytest.mark.parametrize(
        ("value", "task"),
        [
            ("translate", "translate"),
            ("  Translate\n", "Translate"),
            (7, "7"),
            (True, "true"),
            (None, None),
            ("", None),
            (" \t", None),
            (["translate"], None),
            ({"task": "translate"}, None),
        ],
    )
    def test_a_value_decides_unless_it_is_blank(self, value: object, task: str | None) -> None:
        labels = _label(_classifier({"column": "task"}), task=value, text="x")

        assert (labels.task, labels.classified_by) == (task, task and "column:task")

    def test_a_missing_column_decides_nothing(self) -> None:
        assert _label(_classifier({"column": "task"}), text="x") == Labels(None, "simple", None)

    @pytest.mark.parametrize(
        ("value", "level"),
        [("hard", "hard"), (" Medium ", "medium"), ("extreme", "simple"), (None, "simple"), (3, "simple")],
    )
    def test_only_the_three_levels_count(self, value: object, level: str) -> None:
        assert _label(_classifier({"complexity": "level"}), level=value, text="x").complexity == level

    def test_texts_are_not_read_where_columns_say_everything(self) -> None:
        stages = STAGES.validate_python([{"column": "task", "complexity": "level"}, {"builtin": "tasks"}])

        labels = Classifier(stages, text=_unread).classify([_record(task="code", level="hard")] * 3)

        assert labels == [Labels("code", "hard", "column:task")] * 3


class TestPatterns:
    COOKING = _classifier(
        {
            "patterns": {
                "cook": [r"\bbake\b", r"\bküche", "烤"],
                "eat": [r"\beat\b", "(?-i)BITE"],
                "any": ["!$"],
            }
        }
    )

    @pytest.mark.parametrize(
        ("text", "task"),
        [
            ("Bake a cake", "cook"),
            ("Eat it", "eat"),
            ("EAT what you BAKE", "cook"),
            ("Please BITE", "eat"),
            ("please bite", None),
            ("baked and eaten", None),
            ("die Küche ist kalt", "cook"),
            ("sous-cuküche", None),
            ("après ça, eat", "eat"),
            ("烤面包", "cook"),
            ("Ça alors!", "any"),
            ("", None),
            (None, None),
        ],
    )
    def test_the_first_task_with_a_match_wins(self, text: str | None, task: str | None) -> None:
        labels = _label(self.COOKING, text=text)

        assert (labels.task, labels.classified_by) == (task, task and "patterns")

    @pytest.mark.parametrize(
        "pattern", [r"\btrain\b", r"train\B", r"\\b", r"(?:\b|_)train", r"[\w]\b!", r"rain(?:er|\b)"]
    )
    def test_boundaries_mean_what_they_say(self, pattern: str) -> None:
        texts = [
            "train",
            "trainer",
            "a train!",
            "été train ça",
            "étrain",
            "_train",
            r"a\b",
            "s!",
            "é!",
            "火train车",
            "",
        ]
        classifier = _classifier({"patterns": {"hit": [pattern]}})

        found = [
            labels.task == "hit" for labels in classifier.classify([_record(text=text) for text in texts])
        ]

        assert found == [re.search(pattern, text, re.IGNORECASE) is not None for text in texts]

    def test_a_verbose_pattern_keeps_its_comment_to_itself(self) -> None:
        classifier = _classifier({"patterns": {"a": ["(?x) one # first", "two"], "b": ["three"]}})

        assert [_label(classifier, text=text).task for text in ("one", "two", "three")] == ["a", "a", "b"]

    def test_another_column_can_be_searched(self) -> None:
        classifier = _classifier({"patterns": {"cook": ["bake"]}, "text": "title"})

        assert _label(classifier, text="bake", title="walk").task is None
        assert _label(classifier, text="walk", title="bake").task == "cook"


class TestStages:
    CLASSIFIER = _classifier(
        {"column": "task", "complexity": "level"},
        {"patterns": {"cook": ["bake"]}},
        {"length": {"medium": 30, "hard": 60}},
        {"builtin": "tasks"},
    )

    @pytest.mark.parametrize(
        ("fields", "labels"),
        [
            ({"text": "bake it", "task": "code"}, Labels("code", "simple", "column:task")),
            ({"text": "Bake it", "task": None}, Labels("cook", "simple", "patterns")),
            ({"text": "Translate into French: good day."}, Labels("translate", "medium", "builtin:tasks")),
            ({"text": "Translate", "level": "hard"}, Labels("translate", "hard", "builtin:tasks")),
            ({"text": "x" * 60}, Labels(None, "hard", None)),
            ({}, Labels(None, None, None)),
            ({"text": "Summarize \ud800"}, Labels("summarize", "simple", "builtin:tasks")),
        ],
        ids=["column", "patterns", "builtin", "both", "none", "no text", "lone surrogate"],
    )
    def test_the_first_that_decides_wins(self, fields: dict[str, Any], labels: Labels) -> None:
        assert _label(self.CLASSIFIER, **fields) == labels

    @pytest.mark.parametrize(
        ("characters", "level"), [(0, "simple"), (29, "simple"), (30, "medium"), (59, "medium"), (60, "hard")]
    )
    def test_length_is_counted_in_characters(self, characters: int, level: str) -> None:
        assert _label(self.CLASSIFIER, text="文" * characters).complexity == level

    def test_a_record_is_judged_alone_and_in_its_place(self) -> None:
        records = [
            _record(text="bake", task=None),
            _record(text="Translate this", task=""),
            _record(text="x", task="code"),
            _record(text="z" * 500),
            _record(text=None, level="medium"),
            _record(text=5),
        ] * 3

        assert self.CLASSIFIER.classify(records) == [self.CLASSIFIER.classify([one])[0] for one in records]

    def test_no_records_have_no_labels(self) -> None:
        assert self.CLASSIFIER.classify([]) == []

    def test_without_stages_there_is_a_complexity_and_no_task(self) -> None:
        assert _label(_classifier(), text="Translate this") == Labels(None, "simple", None)
