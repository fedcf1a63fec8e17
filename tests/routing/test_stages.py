"""Stages that compute, are asked, or say how sure they are, and how they take turns."""

import re
from collections.abc import Sequence
from typing import Any, ClassVar

import pytest
from pydantic import TypeAdapter, ValidationError

from batchroute.core.errors import JobError
from batchroute.core.records import Labels, Record
from batchroute.job.stages import Stage
from batchroute.routing.classifiers import Classifier
from batchroute.routing.columns import Columns
from batchroute.routing.functions import Function
from batchroute.routing.opinions import COMPLEXITY, TASK, UNDECIDED, Answer, Decider, opinions
from batchroute.routing.sittings import Sitting

STAGES: TypeAdapter[list[Stage]] = TypeAdapter(list[Stage])
SQL = {"sql": "CASE WHEN length(text) > 3 THEN 'long' END"}


def _records(*fields: dict[str, Any]) -> list[Record]:
    return [
        Record(record_id=str(n), file="input.jsonl", line=n, fields=each) for n, each in enumerate(fields, 1)
    ]


def _text(records: Sequence[Record]) -> list[str | None]:
    return [record.fields.get("text") for record in records]


def _classifier(*stages: dict[str, Any], functions: dict[str, Function] | None = None) -> Classifier:
    return Classifier(STAGES.validate_python(list(stages)), text=_text, functions=functions)


def _tasks(classifier: Classifier, *fields: dict[str, Any]) -> list[str | None]:
    return [labels.task for labels in classifier.classify(_records(*fields))]


class TestExpressions:
    def test_null_and_blank_decide_nothing(self) -> None:
        classifier = _classifier({"sql": "text"})

        assert _tasks(classifier, {"text": "a"}, {"text": " "}, {"text": None}, {}) == ["a", None, None, None]

    def test_a_level_is_one_of_three(self) -> None:
        classifier = _classifier({"sql": "level", "label": "complexity"})

        records = _records({"level": "HARD", "text": "x"}, {"level": "harder", "text": "x"})

        assert [labels.complexity for labels in classifier.classify(records)] == ["hard", "simple"]

    @pytest.mark.parametrize(
        ("sql", "value", "task"),
        [
            ("CASE WHEN n > 3 THEN 'x' END", 4, "x"),
            ("CASE WHEN n > 3 THEN 'x' END", 3.5, "x"),
            ("CASE WHEN n > 3 THEN 'x' END", "n/a", None),
            ("CASE WHEN n > 3 THEN 'x' END", None, None),
            ("CASE WHEN n > 3 THEN 'x' END", [4], None),
            ("CASE WHEN n > 3 THEN 'x' END", 10**30, "x"),
            ("CASE WHEN n THEN 'x' END", True, "x"),
            ("CASE WHEN TRY_CAST(n AS DOUBLE) > 3 THEN 'x' END", "4", "x"),
            ("CASE WHEN n IN ('a', 'b') THEN 'x' END", "b", "x"),
            ("CASE WHEN n LIKE '%sup%' OR n = 'a' THEN 'x' END", "support", "x"),
            ("CASE WHEN n ~ '^(?i)s' THEN 'x' END", "Support", "x"),
            ("CASE WHEN upper(n) = 'A' THEN 'x' END", "\ud800", None),
            ("CASE WHEN \"n\" IS NULL THEN 'x' END", None, "x"),
        ],
    )
    def test_a_value_counts_as_what_it_is_whatever_stands_beside_it(
        self, sql: str, value: object, task: str | None
    ) -> None:
        classifier = _classifier({"sql": sql})
        beside: list[dict[str, Any]] = [{"n": 1}, {"n": 0.5}, {"n": "a"}, {"n": False}, {"n": None}, {}]

        assert _tasks(classifier, *beside, {"n": value}, *beside)[len(beside)] == task

    def test_what_can_be_computed_for_no_record_is_told(self) -> None:
        with pytest.raises(JobError, match=r"classify: sql: .*cannot compare.*TRY_CAST.*\[job_sql\]"):
            _tasks(_classifier({"sql": "CASE WHEN n > 3 THEN 'x' END"}), {"n": "a"})

    @pytest.mark.parametrize(
        ("sql", "message"),
        [
            ("CASE WHEN foo(x) THEN 1 END", "unsupported function 'foo'"),
            ("length(text", "is not an SQL expression"),
            ("SELECT 1", "is not an SQL expression"),
            ("CASE WHEN n = max(n) THEN 'x' END", "several records"),
            ("CASE WHEN sum(n) OVER () > n THEN 'x' END", "several records"),
            ("CASE WHEN count(*) > n THEN 'x' END", "several records"),
            ("CASE WHEN n IN (SELECT 1) THEN 'x' END", "subquery"),
            ("CASE WHEN (SELECT 1) > n THEN 'x' END", "several records"),
            ("'x'", "names no column"),
            ("read_csv('/etc/hostname')", "unsupported function"),
        ],
    )
    def test_what_is_no_expression_over_one_record_is_refused(self, sql: str, message: str) -> None:
        with pytest.raises(ValidationError, match=re.escape(message)):
            _classifier({"sql": sql})


class TestConfidence:
    @pytest.mark.parametrize(
        ("sure", "task"),
        [(0.7, "a"), ("0.9", "a"), (0.69, "late"), (None, "late"), (1.5, "late"), ("much", "late")],
    )
    def test_what_is_less_sure_or_does_not_say_is_left_to_the_next(self, sure: object, task: str) -> None:
        first = {"column": "task", "confidence": "sure", "threshold": 0.7}
        classifier = _classifier(first, {"patterns": {"late": ["x"]}})

        (labels,) = classifier.classify(_records({"task": "a", "sure": sure, "text": "x"}))

        assert (labels.task, labels.classified_by) == (task, "column:task" if task == "a" else "patterns")

    @pytest.mark.parametrize(
        ("threshold", "task", "by"),
        [
            pytest.param(0.9, "translate", "builtin:tasks", id="a plain instruction is sure"),
            pytest.param(0.95, "late", "patterns", id="and not more than that"),
            pytest.param(0.0, "translate", "builtin:tasks", id="nothing is asked for"),
        ],
    )
    def test_the_shipped_rules_say_how_sure_they_are(self, threshold: float, task: str, by: str) -> None:
        classifier = _classifier({"builtin": "tasks", "threshold": threshold}, {"patterns": {"late": ["x"]}})

        (labels,) = classifier.classify(_records({"text": "Translate into German: the fox"}))

        assert (labels.task, labels.classified_by) == (task, by)

    def test_of_requests_that_are_not_plain_some_are_surer_than_others(self) -> None:
        texts = ["ok", "Is this comment fine under our rules? Remove or keep?", "Blue or green, then?"]
        decided = [
            sum(task is not None for task in _tasks(_classifier(stage), *({"text": text} for text in texts)))
            for stage in ({"builtin": "tasks", "threshold": least} for least in (0.3, 0.6, 0.999))
        ]

        assert decided[0] > decided[-1]
        assert decided == sorted(decided, reverse=True)

    def test_an_expression_says_how_sure_another_is(self) -> None:
        stage = {**SQL, "confidence": "sure", "threshold": 0.5}

        tasks = _tasks(_classifier(stage), {"text": "abcd", "sure": 0.5}, {"text": "abcd", "sure": 0.4})

        assert tasks == ["long", None]

    @pytest.mark.parametrize("stage", [SQL, {"column": "task"}])
    def test_a_threshold_without_a_confidence_is_refused(self, stage: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="has a threshold and nothing to compare with it"):
            _classifier({**stage, "threshold": 0.5})

    @pytest.mark.parametrize("stage", [{"patterns": {"a": ["a"]}}, {"length": {"medium": 1, "hard": 2}}])
    def test_a_stage_that_never_says_how_sure_it_is_has_no_threshold(self, stage: dict[str, Any]) -> None:
        with pytest.raises(ValidationError, match="not permitted"):
            _classifier({**stage, "threshold": 0.5})


class TestFunctions:
    STAGE: ClassVar = {"python": "rules:label", "columns": ["text"], "threshold": 0.7}

    @pytest.mark.parametrize(
        ("answer", "labels"),
        [
            (("a", 0.7), Labels("a", "simple", "python:rules:label")),
            (["a", 1], Labels("a", "simple", "python:rules:label")),
            (("a", 0.6), Labels(None, "simple", None)),
            ("a", Labels(None, "simple", None)),
            (None, Labels(None, "simple", None)),
            ((None, 0.9), Labels(None, "simple", None)),
            ((" ", 0.9), Labels(None, "simple", None)),
            ({"complexity": "hard", "confidence": 1}, Labels(None, "hard", None)),
            (
                {"task": "a", "complexity": "hard", "confidence": 0.8},
                Labels("a", "hard", "python:rules:label"),
            ),
        ],
    )
    def test_an_answer_has_many_forms(self, answer: object, labels: Labels) -> None:
        classifier = _classifier(
            self.STAGE, functions={"rules:label": lambda fields: [answer for _ in fields]}
        )

        assert classifier.classify(_records({"text": "x"}, {"text": "y"})) == [labels] * 2

    def test_a_plain_label_is_what_the_stage_says_it_is(self) -> None:
        stage = {"python": "rules:label", "columns": ["text"], "label": "complexity"}
        classifier = _classifier(stage, functions={"rules:label": lambda fields: ["hard" for _ in fields]})

        assert classifier.classify(_records({"text": "x"})) == [Labels(None, "hard", None)]

    def test_it_sees_the_columns_it_asked_for_of_what_is_undecided(self) -> None:
        seen = list[dict[str, Any]]()

        def label(fields: list[dict[str, Any]]) -> list[None]:
            seen.extend(fields)
            return [None] * len(fields)

        given = {"column": "task", "complexity": "level"}
        classifier = _classifier(given, self.STAGE, functions={"rules:label": label})
        classifier.classify(
            _records(
                {"task": "a", "level": "hard"}, {"task": "b", "text": "y", "secret": 1}, {"level": "hard"}
            )
        )

        assert seen == [{"text": "y"}, {"text": None}]

    @pytest.mark.parametrize(
        ("answers", "message"),
        [
            ([], "gave 0 answers for 1 records"),
            ([5], "answered 5. Return a label"),
            ([("a", 2)], "<= 1"),
            ([("a", "sure")], "Expected `float | null`"),
            ([{"topic": "a"}], "unknown field `topic`"),
            ([{"complexity": "extreme"}], "answered the complexity 'extreme'"),
            (["half \ud800"], "which holds half of a character"),
            (None, "raised TypeError"),
        ],
    )
    def test_what_it_does_wrong_is_told_with_its_name(self, answers: Any, message: str) -> None:
        classifier = _classifier(self.STAGE, functions={"rules:label": lambda _: answers})

        with pytest.raises(JobError, match=rf"^python:rules:label .*{re.escape(message)}.*\[job_function\]$"):
            classifier.classify(_records({"text": "x"}))

    @pytest.mark.parametrize("error", [ValueError("odd"), SystemExit("odd"), ValueError("\ud800")])
    def test_what_it_raises_is_told_with_its_place(self, error: BaseException) -> None:
        def label(_: list[dict[str, Any]]) -> list[str]:
            raise error

        classifier = _classifier(self.STAGE, functions={"rules:label": label})
        told = rf"^python:rules:label raised {type(error).__name__} at .*test_stages\.py, line \d+: (?:odd|\?)\. "

        with pytest.raises(JobError, match=told):
            classifier.classify(_records({"text": "x"}))


def _constant(name: str, answer: Answer, *labels: str, threshold: float | None = None) -> Decider:
    def decide(columns: Columns) -> Any:
        return opinions([answer for _ in columns.records()])

    return Decider(name=name, labels=labels, decide=decide, threshold=threshold)


ASKS = Decider(name="llm:mini", labels=(TASK, COMPLEXITY), decide=None, threshold=0.5)


class TestSittings:
    """What a stage that asks somebody relies on."""

    def _sitting(self, *deciders: Decider) -> Sitting:
        records = _records({"text": "known"}, {"text": "a"}, {"text": "b"}, {"text": "c"})
        first = _classifier({"sql": "CASE WHEN text = 'known' THEN 'early' END"}).deciders[0]
        return Sitting([first, *deciders], Columns(records, _text))

    def test_it_stops_with_the_question_and_goes_on_with_the_answers(self) -> None:
        sitting = self._sitting(
            Decider(name="ask", labels=(TASK,), decide=None, threshold=0.5),
            _constant("late", Answer(task="late"), TASK),
        )

        assert sitting.question is not None
        assert sitting.question.stage == "ask"
        assert [record.fields["text"] for record in sitting.question.records] == ["a", "b", "c"]
        assert [labels.task for labels in sitting.labels()] == ["early", None, None, None]
        sitting.answer([Answer(task="told", confidence=0.9), Answer(task="told", confidence=0.1), UNDECIDED])
        assert sitting.question is None
        assert sitting.labels() == [
            Labels("early", None, "sql"),
            Labels("told", None, "ask"),
            Labels("late", None, "late"),
            Labels("late", None, "late"),
        ]
        assert sitting.decided(TASK).confidence.to_list() == [None, 0.9, None, None]

    def test_two_questions_come_one_after_the_other(self) -> None:
        sitting = self._sitting(ASKS, ASKS)

        sitting.answer([Answer(task="a", complexity="hard", confidence=1.0)] * 2 + [UNDECIDED] * 2)

        assert sitting.question is not None
        assert [record.fields["text"] for record in sitting.question.records] == ["b", "c"]

    def test_an_answer_does_not_touch_what_was_decided_before(self) -> None:
        sitting = self._sitting(ASKS)

        sitting.answer([Answer(task="told", complexity="hard", confidence=1.0)] * 4)

        assert sitting.labels() == [Labels("early", "hard", "sql")] + [Labels("told", "hard", "llm:mini")] * 3

    def test_nothing_is_asked_where_all_is_decided(self) -> None:
        every = _constant("all", Answer(task="a", complexity="hard"), TASK, COMPLEXITY)

        assert self._sitting(every, ASKS).question is None

    @pytest.mark.parametrize("answers", [0, 5])
    def test_another_number_of_answers_is_a_mistake(self, answers: int) -> None:
        with pytest.raises(ValueError, match="one answer for each record"):
            self._sitting(ASKS).answer([UNDECIDED] * answers)

    def test_stages_of_one_kind_have_names_that_differ(self) -> None:
        classifier = _classifier(SQL, {"column": "x", "complexity": "x"}, SQL)

        assert [decider.name for decider in classifier.deciders] == [
            "sql",
            "column:x",
            "column:x",
            "sql:2",
            "builtin:complexity",
        ]
